//! User-interactive authentication.
//!
//! A session belongs to one operation: endpoint, content of the request, user and device. It ends when
//! it is used, after an hour, or after too many failures.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::records::accounts::{EmailOwnerKey, Purpose, SecretHash};
use ruma::{
    OwnedDeviceId, OwnedUserId,
    api::{
        client::uiaa::{AuthData, AuthFlow, AuthType, UiaaInfo, UserIdentifier},
        error::{ErrorKind, StandardErrorBody},
    },
};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Accounts, Authenticated, Secret, TokenHash};
use crate::{Clock, Error, MilliSeconds, Random, Result};

/// Sessions kept, at most: the ones not used for longest are forgotten.
const SESSIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// How long a session lives.
const LIFETIME_MS: u64 = 3_600_000;
/// Failed stages in a session before it ends.
const FAILURES: u32 = 10;

/// What a session authenticates: the endpoint (method and path, with what the path names) and the
/// content of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub(super) endpoint: String,
    content: Option<SecretHash>,
}

impl Operation {
    /// An operation. `content` is whatever of the request decides what will be done, without `auth`.
    ///
    /// # Errors
    /// [`Error::Bug`] if the content cannot be serialized.
    pub fn new(endpoint: impl Into<String>, content: &impl Serialize) -> Result<Self> {
        let json = serde_json::to_vec(content)
            .map_err(|error| Error::Bug(format!("content of an operation: {error}")))?;
        Ok(Self { endpoint: endpoint.into(), content: Some(Sha256::digest(json).into()) })
    }

    /// A request without content, with which clients ask for the flows. A session that begins so takes
    /// the content of the first request that comes with a stage.
    #[must_use]
    pub fn without_content(endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), content: None }
    }
}

/// A stage that was passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Password,
    Email {
        sid: String,
    },
    RegistrationToken {
        hash: SecretHash,
    },
    Terms,
    Dummy,
    /// Signed in again in the browser.
    Sso,
}

impl Proof {
    fn stage(&self) -> AuthType {
        match self {
            Self::Password => AuthType::Password,
            Self::Email { .. } => AuthType::EmailIdentity,
            Self::RegistrationToken { .. } => AuthType::RegistrationToken,
            Self::Terms => AuthType::Terms,
            Self::Dummy => AuthType::Dummy,
            Self::Sso => AuthType::Sso,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct UiaSession {
    pub operation: Operation,
    pub who: Option<(OwnedUserId, OwnedDeviceId)>,
    proofs: Vec<Proof>,
    failures: u32,
    expires_at_ms: MilliSeconds,
}

/// The sessions that are open. They are in memory: after a restart the client is asked again, what the
/// person has proven by mail remains.
#[derive(Debug)]
pub(super) struct UiaSessions {
    clock: Clock,
    random: Random,
    open: Mutex<LruCache<String, UiaSession>>,
}

impl UiaSessions {
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random, open: Mutex::new(LruCache::new(SESSIONS)) }
    }

    pub fn begin(&self, stages: &Stages<'_>) -> (String, UiaSession) {
        let session = UiaSession {
            operation: stages.operation.clone(),
            who: stages.who.map(|who| (who.user_id.clone(), who.device_id.clone())),
            proofs: Vec::new(),
            failures: 0,
            expires_at_ms: self.clock.now_ms().saturating_add(LIFETIME_MS),
        };
        let id = self.random.letters(24);
        self.open.lock().put(id.clone(), session.clone());
        (id, session)
    }

    /// The session, if it is for this operation of this user.
    fn find(&self, id: &str, stages: &Stages<'_>) -> Option<UiaSession> {
        let mut open = self.open.lock();
        let session = open.get_mut(id)?;
        let same_who = match (&session.who, stages.who) {
            (None, None) => true,
            (Some((user_id, device_id)), Some(who)) => {
                *user_id == who.user_id && *device_id == who.device_id
            }
            _ => false,
        };
        let alive = session.expires_at_ms > self.clock.now_ms() && session.failures < FAILURES;
        if !alive || !same_who || session.operation.endpoint != stages.operation.endpoint {
            return None;
        }
        if session.operation.content.is_none() {
            session.operation.content = stages.operation.content;
        }
        (session.operation == *stages.operation).then(|| session.clone())
    }

    /// A session by its id alone, for the page on which a stage is passed.
    pub fn opened(&self, id: &str) -> Option<UiaSession> {
        let open = self.open.lock();
        let session = open.peek(id)?;
        let alive = session.expires_at_ms > self.clock.now_ms() && session.failures < FAILURES;
        alive.then(|| session.clone())
    }

    /// Notes what a stage has brought.
    pub fn record(
        &self,
        id: &str,
        result: &Result<Proof, StandardErrorBody>,
    ) -> Option<UiaSession> {
        let mut open = self.open.lock();
        let session = open.get_mut(id)?;
        match result {
            Ok(proof) => {
                session.proofs.retain(|known| known.stage() != proof.stage());
                session.proofs.push(proof.clone());
            }
            // Polling for a mail that was not answered yet is no failure.
            Err(error) if error.kind == ErrorKind::Unauthorized => {}
            Err(_) => session.failures = session.failures.saturating_add(1),
        }
        Some(session.clone())
    }

    fn end(&self, id: &str) -> Option<UiaSession> {
        self.open.lock().pop(id)
    }
}

/// What must be passed for an operation.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    pub operation: &'a Operation,
    pub who: Option<&'a Authenticated>,
    pub flows: Vec<Vec<AuthType>>,
    pub params: Option<Box<RawValue>>,
    pub purpose: Purpose,
}

impl Stages<'_> {
    pub fn challenge(
        &self,
        id: String,
        session: &UiaSession,
        error: Option<StandardErrorBody>,
    ) -> Error {
        let flows = self.flows.iter().map(|stages| AuthFlow::new(stages.clone())).collect();
        let mut info = UiaaInfo::new(flows);
        info.completed = session.proofs.iter().map(Proof::stage).collect();
        // Never absent: matrix-nio reads it without looking whether it is there.
        info.params = self.params.clone().or_else(|| serde_json::from_str("{}").ok());
        info.session = Some(id);
        info.auth_error = error.map(Box::new);
        Error::Uia(Box::new(info))
    }

    fn is_passed_by(&self, proofs: &[Proof]) -> bool {
        let passed = |stage: &AuthType| proofs.iter().any(|proof| proof.stage() == *stage);
        self.flows.iter().any(|stages| stages.iter().all(passed))
    }

    fn knows(&self, stage: &AuthType) -> bool {
        self.flows.iter().flatten().any(|known| known == stage)
    }
}

pub(super) fn refusal(kind: ErrorKind, text: &str) -> StandardErrorBody {
    StandardErrorBody::new(kind, text.to_owned())
}

impl Accounts {
    /// Passes a stage, and the operation if that was the last one: then the proofs are returned and the
    /// session is over.
    ///
    /// # Errors
    /// [`Error::Uia`] with what is to be done next.
    pub(super) async fn pass(
        &self,
        stages: &Stages<'_>,
        auth: Option<&AuthData>,
    ) -> Result<Vec<Proof>> {
        let Some(auth) = auth else {
            let (id, session) = self.uia.begin(stages);
            return Err(stages.challenge(id, &session, None));
        };
        let id = match auth.session() {
            Some(id) if self.uia.find(id, stages).is_some() => id.to_owned(),
            Some(_) => {
                let (id, session) = self.uia.begin(stages);
                let text = "The session is not known, has ended, or was for another request";
                let error = refusal(ErrorKind::Forbidden, text);
                return Err(stages.challenge(id, &session, Some(error)));
            }
            None => self.uia.begin(stages).0,
        };
        let (session, error) = if matches!(auth, AuthData::FallbackAcknowledgement(_)) {
            (self.uia.find(&id, stages), None)
        } else {
            let result = self.prove(stages, auth).await?;
            (self.uia.record(&id, &result), result.err())
        };
        let Some(session) = session else {
            let (id, session) = self.uia.begin(stages);
            return Err(stages.challenge(id, &session, error));
        };
        if error.is_none() && stages.is_passed_by(&session.proofs) {
            // Only one of several requests at once gets the session.
            if let Some(ended) = self.uia.end(&id) {
                return Ok(ended.proofs);
            }
        }
        Err(stages.challenge(id, &session, error))
    }

    /// Has the owner of an account confirm an operation: with the password, or by mail where the
    /// account has an e-mail address.
    ///
    /// # Errors
    /// [`Error::Uia`] with what is to be done next; [`Error::Forbidden`] for an account with which
    /// nothing can be proven.
    pub async fn confirm_operation(
        &self,
        who: &Authenticated,
        operation: &Operation,
        auth: Option<&AuthData>,
    ) -> Result<()> {
        let account = self.account(&who.user_id).await?;
        let mut flows = Vec::new();
        if account.is_some_and(|account| account.password_hash.is_some()) {
            flows.push(vec![AuthType::Password]);
        }
        if flows.is_empty() && self.settings.oauth.enabled {
            // Somebody who came from a provider of identity signs in there again.
            flows.push(vec![AuthType::Sso]);
        }
        if flows.is_empty() {
            return Err(Error::forbidden(
                "This account has no password with which to confirm this",
            ));
        }
        let stages = Stages {
            operation,
            who: Some(who),
            flows,
            params: None,
            purpose: Purpose::ResetPassword,
        };
        self.pass(&stages, auth).await.map(|_| ())
    }

    /// Checks one stage. The inner error goes into the challenge; the outer one ends the request.
    async fn prove(
        &self,
        stages: &Stages<'_>,
        auth: &AuthData,
    ) -> Result<Result<Proof, StandardErrorBody>> {
        let Some(stage) = auth.auth_type().filter(|stage| stages.knows(stage)) else {
            let text = "This stage is in none of the flows";
            return Ok(Err(refusal(ErrorKind::Unrecognized, text)));
        };
        Ok(match auth {
            AuthData::Dummy(_) => Ok(Proof::Dummy),
            AuthData::Terms(_) => Ok(Proof::Terms),
            AuthData::Password(given) => {
                let Some(who) = stages.who else {
                    return Err(Error::bug("a password stage without a user"));
                };
                self.prove_password(who, &given.identifier, &given.password.as_str().into()).await?
            }
            AuthData::EmailIdentity(given) => {
                let (sid, secret) = (
                    given.thirdparty_id_creds.sid.as_str(),
                    Secret::from(given.thirdparty_id_creds.client_secret.as_str()),
                );
                self.prove_email(stages, sid, &secret).await?
            }
            AuthData::RegistrationToken(given) => {
                let hash = TokenHash::of(&given.token).0;
                if self.registration_token_is_valid(&given.token).await? {
                    Ok(Proof::RegistrationToken { hash })
                } else {
                    let text = "The registration token is not valid";
                    Err(refusal(ErrorKind::Unauthorized, text))
                }
            }
            _ => Err(refusal(ErrorKind::Unrecognized, &format!("The stage {stage} is not known"))),
        })
    }

    /// The person has taken the code of the mail to the session of `sid`. Where there is a user, the
    /// address must be the user's.
    async fn prove_email(
        &self,
        stages: &Stages<'_>,
        sid: &str,
        client_secret: &Secret,
    ) -> Result<Result<Proof, StandardErrorBody>> {
        let not_yet = || Err(refusal(ErrorKind::Unauthorized, "The e-mail is not confirmed yet"));
        let Some(record) = self.proof(stages.purpose, sid, client_secret).await? else {
            return Ok(not_yet());
        };
        if let Some(who) = stages.who {
            let owner = EmailOwnerKey { address: record.address.into() };
            let owner = self.store.get(&owner).await?;
            if owner.is_none_or(|owner| owner.user_id != who.user_id) {
                return Ok(not_yet());
            }
        }
        Ok(Ok(Proof::Email { sid: sid.to_owned() }))
    }

    async fn prove_password(
        &self,
        who: &Authenticated,
        identifier: &UserIdentifier,
        password: &Secret,
    ) -> Result<Result<Proof, StandardErrorBody>> {
        let named = self.identified_user(&identifier.clone().into()).await?;
        let right = match named {
            Some(user_id) if user_id == who.user_id => {
                self.password_is_right(&user_id, password).await?
            }
            _ => false,
        };
        if right {
            return Ok(Ok(Proof::Password));
        }
        Ok(Err(refusal(ErrorKind::Forbidden, "The password is not right")))
    }
}
