//! User-interactive authentication whose stages are passed on a page in the browser.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#fallback>,
//! <https://spec.matrix.org/v1.19/client-server-api/#oauth-authentication>

use pli_schema::records::accounts::Purpose;
use ruma::{
    OwnedUserId, UserId,
    api::{
        client::uiaa::{AuthData, AuthType},
        error::ErrorKind,
    },
};

use super::{
    Accounts, Authenticated, Operation, Secret, TokenHash,
    uia::{Proof, Stages, refusal},
};
use crate::{Error, Result};

/// What the page of a stage has to know of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageInBrowser {
    /// Whose operation it is; `None` for somebody who has no account yet.
    pub user_id: Option<OwnedUserId>,
    /// What is being confirmed: method and path, such as `DELETE /devices`.
    pub endpoint: String,
}

/// What was done on the page.
#[derive(Clone, Debug)]
pub enum BrowserProof {
    /// `m.login.password`
    Password(Secret),
    /// `m.login.registration_token`
    RegistrationToken(String),
    /// `m.login.terms`
    Terms,
    /// `m.login.dummy`
    Dummy,
    /// `m.login.sso`: this user has just signed in.
    Sso(OwnedUserId),
}

impl Accounts {
    /// Counts a use of something that may be used `limit` times per `window_ms`. `what` names it,
    /// together with whoever uses it.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub fn spend(&self, what: &str, limit: u32, window_ms: u64) -> Result<()> {
        self.spent.spend(TokenHash::of(what).0, limit, window_ms)
    }

    /// The session that a page of a stage is opened for.
    #[must_use]
    pub fn stage_in_browser(&self, session: &str) -> Option<StageInBrowser> {
        let open = self.uia.opened(session)?;
        let user_id = open.who.map(|(user_id, _)| user_id);
        Some(StageInBrowser { user_id, endpoint: open.operation.endpoint })
    }

    /// Passes a stage on a page; the client then repeats its request with the session only.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a session that has ended, [`Error::Forbidden`] for what proves nothing,
    /// [`Error::LimitExceeded`] after too many wrong tries.
    pub async fn pass_in_browser(&self, session: &str, given: &BrowserProof) -> Result<()> {
        let ended = || Error::not_found("This session has ended");
        let user_id = self.stage_in_browser(session).ok_or_else(ended)?.user_id;
        let proof = match given {
            BrowserProof::Terms => Some(Proof::Terms),
            BrowserProof::Dummy => Some(Proof::Dummy),
            BrowserProof::Sso(signed_in) => {
                (user_id.as_ref() == Some(signed_in)).then_some(Proof::Sso)
            }
            BrowserProof::RegistrationToken(token) => {
                let valid = self.registration_token_is_valid(token).await?;
                valid.then(|| Proof::RegistrationToken { hash: TokenHash::of(token).0 })
            }
            BrowserProof::Password(password) => {
                let user_id = user_id.as_ref().ok_or_else(ended)?;
                self.password_is_right(user_id, password).await?.then_some(Proof::Password)
            }
        };
        let result = proof.ok_or_else(|| refusal(ErrorKind::Forbidden, "That is not right"));
        let passed = result.is_ok();
        self.uia.record(session, &result).ok_or_else(ended)?;
        if passed { Ok(()) } else { Err(Error::forbidden("That is not right")) }
    }

    /// Approves that the user's next upload of cross-signing keys replaces those that are there.
    pub fn approve_cross_signing_reset(&self, user_id: &UserId) {
        self.approvals.give(user_id);
    }

    /// Ends the approval once it has been used.
    pub fn end_cross_signing_approval(&self, user_id: &UserId) {
        self.approvals.end(user_id);
    }

    /// Has the owner of an account confirm that the cross-signing keys are replaced: on the page of the
    /// account where the client came by OAuth, else as any operation.
    ///
    /// # Errors
    /// [`Error::Uia`] with what is to be done.
    pub async fn confirm_cross_signing_reset(
        &self,
        who: &Authenticated,
        operation: &Operation,
        auth: Option<&AuthData>,
    ) -> Result<()> {
        if self.approvals.holds(&who.user_id) {
            return Ok(());
        }
        if self.oauth_client_of(&who.user_id, &who.device_id).await?.is_none() {
            return self.confirm_operation(who, operation, auth).await;
        }
        let url = format!(
            "{}/_pli/account?action=org.matrix.cross_signing_reset",
            self.settings.base_url
        );
        let params = serde_json::json!({
            "m.oauth": { "url": url },
            "org.matrix.cross_signing_reset": { "url": url },
        });
        let params = serde_json::value::to_raw_value(&params)
            .map_err(|error| Error::Bug(format!("parameters of a stage: {error}")))?;
        let stages = Stages {
            operation,
            who: Some(who),
            flows: vec![vec![AuthType::OAuth]],
            params: Some(params),
            purpose: Purpose::ResetPassword,
        };
        // The approval decides, not the session: so a session that is repeated needs no look-up.
        let (id, session) = self.uia.begin(&stages);
        Err(stages.challenge(id, &session, None))
    }
}
