//! The device authorization grant (RFC 8628): a client shows a code, a person types it in a browser.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#device-authorisation-flow>

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::records::accounts::SecretHash;
use ruma::{OwnedUserId, UserId};

use super::{Client, Oauth, OauthError, OauthResult, Scope};
use crate::{
    Clock, Error, MilliSeconds, Result,
    accounts::{Secret, TokenHash},
};

/// Grants kept, at most: the oldest are forgotten.
const GRANTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);
/// How long a person has.
const LIFETIME_MS: u64 = 15 * 60_000;
/// How long a client waits between two questions, in seconds.
const INTERVAL_S: u64 = 5;
/// Letters without vowels, so that they make no words, and without those that look alike.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Codes that one user may type in a quarter of an hour.
const CODES_TRIED: u32 = 20;

/// What a client shows.
#[derive(Clone, Debug)]
pub struct DeviceAuthorization {
    /// With which the client asks.
    pub device_code: Secret,
    /// What the person types, as in `BCDF-GHJK`.
    pub user_code: String,
    /// How long both are good, in seconds.
    pub expires_in_s: u64,
    /// How long the client waits between two questions, in seconds.
    pub interval_s: u64,
}

#[derive(Clone, Debug)]
enum Answer {
    Pending,
    Granted(OwnedUserId),
    Denied,
}

#[derive(Clone, Debug)]
struct DeviceGrant {
    client_id: String,
    scope: Scope,
    user_code: String,
    answer: Answer,
    expires_at_ms: MilliSeconds,
    next_poll_ms: MilliSeconds,
    interval_ms: u64,
}

#[derive(Debug)]
struct Open {
    by_device_code: LruCache<SecretHash, DeviceGrant>,
    by_user_code: LruCache<String, SecretHash>,
}

/// The grants under way.
#[derive(Debug)]
pub(super) struct DeviceGrants {
    clock: Clock,
    open: Mutex<Open>,
}

/// What a client learns that asks.
pub(super) enum Polled {
    Granted(OwnedUserId, Scope),
    Pending,
    TooSoon,
    Denied,
    Expired,
    Unknown,
}

impl DeviceGrants {
    pub fn new(clock: Clock) -> Self {
        let open =
            Open { by_device_code: LruCache::new(GRANTS), by_user_code: LruCache::new(GRANTS) };
        Self { clock, open: Mutex::new(open) }
    }

    /// The answer for a client. A grant is given once.
    pub fn poll(&self, client_id: &str, device_code: &str) -> Polled {
        let now_ms = self.clock.now_ms();
        let mut open = self.open.lock();
        let hash = TokenHash::of(device_code).0;
        let grant = open.by_device_code.get_mut(&hash);
        let Some(grant) = grant.filter(|grant| grant.client_id == client_id) else {
            return Polled::Unknown;
        };
        if grant.expires_at_ms <= now_ms {
            return Polled::Expired;
        }
        match grant.answer.clone() {
            Answer::Denied => Polled::Denied,
            Answer::Granted(user_id) => {
                let scope = grant.scope.clone();
                open.by_device_code.pop(&hash);
                Polled::Granted(user_id, scope)
            }
            Answer::Pending if grant.next_poll_ms > now_ms => {
                // RFC 8628, 3.5: five seconds more for this and all that follow.
                grant.interval_ms = grant.interval_ms.saturating_add(INTERVAL_S * 1_000);
                grant.next_poll_ms = now_ms.saturating_add(grant.interval_ms);
                Polled::TooSoon
            }
            Answer::Pending => {
                grant.next_poll_ms = now_ms.saturating_add(grant.interval_ms);
                Polled::Pending
            }
        }
    }

    fn find(&self, user_code: &str) -> Option<(String, Scope)> {
        let open = self.open.lock();
        let grant = open.by_device_code.peek(open.by_user_code.peek(user_code)?)?;
        let waiting = matches!(grant.answer, Answer::Pending);
        let alive = waiting && grant.expires_at_ms > self.clock.now_ms();
        alive.then(|| (grant.client_id.clone(), grant.scope.clone()))
    }

    fn answer(&self, user_code: &str, answer: Answer) -> bool {
        let mut open = self.open.lock();
        let Some(hash) = open.by_user_code.pop(user_code) else {
            return false;
        };
        let now_ms = self.clock.now_ms();
        match open.by_device_code.get_mut(&hash) {
            Some(grant) if grant.expires_at_ms > now_ms => {
                grant.answer = answer;
                true
            }
            _ => false,
        }
    }
}

/// A code as it was typed, in the form in which it was given out.
#[must_use]
pub fn normalized(typed: &str) -> String {
    let letters: String = typed
        .chars()
        .filter(char::is_ascii_alphabetic)
        .take(8)
        .collect::<String>()
        .to_ascii_uppercase();
    match letters.split_at_checked(4) {
        Some((first, second)) => format!("{first}-{second}"),
        None => letters,
    }
}

impl Oauth {
    /// Begins a device authorization.
    ///
    /// # Errors
    /// [`OauthError::UnauthorizedClient`], [`OauthError::InvalidScope`].
    pub async fn authorize_device(
        &self,
        client_id: &str,
        scope: &str,
    ) -> OauthResult<DeviceAuthorization> {
        let client = self.client(client_id).await?;
        if !client.may_use("urn:ietf:params:oauth:grant-type:device_code") {
            return Err(OauthError::UnauthorizedClient);
        }
        let scope = Scope::parse(scope)?;
        let device_code = self.random.token();
        let user_code = normalized(&self.random.string(LETTERS, 8));
        let grant = DeviceGrant {
            client_id: client.client_id,
            scope,
            user_code: user_code.clone(),
            answer: Answer::Pending,
            expires_at_ms: self.clock.now_ms().saturating_add(LIFETIME_MS),
            next_poll_ms: 0,
            interval_ms: INTERVAL_S * 1_000,
        };
        let hash = TokenHash::of(&device_code).0;
        let mut open = self.device_grants.open.lock();
        open.by_user_code.put(user_code.clone(), hash);
        if let Some((_, forgotten)) = open.by_device_code.push(hash, grant) {
            open.by_user_code.pop(&forgotten.user_code);
        }
        Ok(DeviceAuthorization {
            device_code: Secret::from(device_code),
            user_code,
            expires_in_s: LIFETIME_MS / 1_000,
            interval_s: INTERVAL_S,
        })
    }

    /// What a code that a user has typed is for.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a code that is not known or too old; [`Error::LimitExceeded`] for a user
    /// who tries many.
    pub async fn typed_code(&self, user_id: &UserId, typed: &str) -> Result<(Client, Scope)> {
        self.accounts.spend(&format!("device codes of {user_id}"), CODES_TRIED, LIFETIME_MS)?;
        let not_found = || Error::not_found("This code is not known");
        let (client_id, scope) =
            self.device_grants.find(&normalized(typed)).ok_or_else(not_found)?;
        match self.client(&client_id).await {
            Ok(client) => Ok((client, scope)),
            Err(OauthError::Core(error)) => Err(error),
            Err(_) => Err(not_found()),
        }
    }

    /// Says yes or no to a code.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a code that is not known or too old.
    pub fn answer_code(&self, user_id: &UserId, typed: &str, yes: bool) -> Result<()> {
        let answer = if yes { Answer::Granted(user_id.to_owned()) } else { Answer::Denied };
        if self.device_grants.answer(&normalized(typed), answer) {
            return Ok(());
        }
        Err(Error::not_found("This code is not known"))
    }
}
