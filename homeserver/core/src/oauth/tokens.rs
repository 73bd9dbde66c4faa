//! The token endpoint: codes, device codes and refresh tokens become access tokens.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#grant-types>

use pli_schema::Language;
use ruma::UserId;

use super::{
    Client, CodeExchange, Oauth, OauthError, OauthResult, Scope, authorization::Redeemed,
    device_grants::Polled,
};
use crate::accounts::{OauthWish, Refreshed, Secret, Session};

/// Tokens for a client.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
    /// How long the access token lives, in seconds.
    pub expires_in_s: Option<u64>,
    /// The scope.
    pub scope: String,
}

impl Issued {
    fn new(session: Session, scope: String) -> Self {
        Self {
            access_token: session.access_token,
            refresh_token: session.refresh_token,
            expires_in_s: session.expires_in_ms.map(|ms| ms / 1_000),
            scope,
        }
    }
}

const NOT_VALID: OauthError = OauthError::InvalidGrant("The code is not valid, or not any more");

impl Oauth {
    /// Tokens for a code.
    ///
    /// # Errors
    /// [`OauthError::InvalidGrant`]; a code that is used twice ends the session that began with it.
    pub async fn exchange_code(&self, given: &CodeExchange<'_>) -> OauthResult<Issued> {
        let client = self.client(given.client_id).await?;
        match self.codes.redeem(given) {
            Redeemed::For(user_id, scope) => {
                let issued = self.begin(&client, &user_id, &scope).await?;
                self.codes.began(given.code, &user_id, &scope);
                Ok(issued)
            }
            Redeemed::Replay(user_id, device_id) => {
                self.accounts.delete_devices(&user_id, &[device_id]).await?;
                Err(NOT_VALID)
            }
            Redeemed::Nothing => Err(NOT_VALID),
        }
    }

    /// Tokens for a device code, once the person has agreed.
    ///
    /// # Errors
    /// [`OauthError::AuthorizationPending`], [`OauthError::SlowDown`], [`OauthError::AccessDenied`],
    /// [`OauthError::ExpiredToken`], [`OauthError::InvalidGrant`].
    pub async fn exchange_device_code(
        &self,
        client_id: &str,
        device_code: &str,
    ) -> OauthResult<Issued> {
        let client = self.client(client_id).await?;
        match self.device_grants.poll(client_id, device_code) {
            Polled::Granted(user_id, scope) => self.begin(&client, &user_id, &scope).await,
            Polled::Pending => Err(OauthError::AuthorizationPending),
            Polled::TooSoon => Err(OauthError::SlowDown),
            Polled::Denied => Err(OauthError::AccessDenied),
            Polled::Expired => Err(OauthError::ExpiredToken),
            Polled::Unknown => Err(NOT_VALID),
        }
    }

    async fn begin(&self, client: &Client, user_id: &UserId, scope: &Scope) -> OauthResult<Issued> {
        let account = self.accounts.account(user_id).await?;
        let language = account.map_or_else(Language::default, |account| account.language);
        let wish = OauthWish {
            client_id: client.client_id.clone(),
            device_id: scope.device_id.clone(),
            device_name: Some(client.name(language)),
            scope: scope.text.clone(),
        };
        let session = self.accounts.begin_oauth_session(user_id, &wish).await?;
        Ok(Issued::new(session, wish.scope))
    }

    /// New tokens for a refresh token.
    ///
    /// # Errors
    /// [`OauthError::InvalidGrant`]; a token that was used up ends its session.
    pub async fn refresh(&self, client_id: &str, refresh_token: &str) -> OauthResult<Issued> {
        let client = self.client(client_id).await?;
        match self.accounts.refresh_oauth_session(&client.client_id, refresh_token).await? {
            Refreshed::Renewed(session, scope) => Ok(Issued::new(session, scope)),
            Refreshed::Refused => {
                Err(OauthError::InvalidGrant("The refresh token is not valid, or not any more"))
            }
            Refreshed::Replayed => Err(OauthError::InvalidGrant(
                "The refresh token was used before, so the session has been ended",
            )),
        }
    }

    /// Ends the session of a token.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revoke(&self, token: &str) -> OauthResult<()> {
        Ok(self.accounts.revoke_token(token).await?)
    }
}
