//! Browsers in which people are signed in to the pages of their account.

use std::num::NonZeroUsize;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::records::accounts::SecretHash;
use ruma::{OwnedUserId, UserId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Oauth;
use crate::{
    Clock, Error, MilliSeconds, Result,
    accounts::{Secret, TokenHash, UpstreamIdentity},
};

/// Browsers kept, at most: those not used for longest are signed out.
const BROWSERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(32_767);
/// A browser that is not used for this long is signed out.
const IDLE_MS: u64 = 30 * 60_000;
/// After this long a person signs in again in any case.
const LIFETIME_MS: u64 = 8 * 3_600_000;
/// What changes an account needs a sign-in as fresh as this.
const FRESH_MS: u64 = 10 * 60_000;

/// A browser, by its cookie. It need not be signed in.
#[derive(Clone, Debug)]
pub struct Browser(Secret);

impl Browser {
    /// The browser with this cookie.
    #[must_use]
    pub fn with_cookie(value: &str) -> Option<Self> {
        let ok = value.len() == 43
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        ok.then(|| Self(Secret::from(value)))
    }

    /// The cookie.
    #[must_use]
    pub fn cookie(&self) -> &str {
        self.0.reveal()
    }

    /// What every form of this browser carries, so that no other site can send one.
    #[must_use]
    pub fn form_token(&self) -> String {
        let hash = Sha256::new().chain_update("form ").chain_update(self.0.reveal()).finalize();
        URL_SAFE_NO_PAD.encode(hash)
    }

    /// Whether a form came from a page of this browser.
    #[must_use]
    pub fn sent(&self, form_token: &str) -> bool {
        bool::from(self.form_token().as_bytes().ct_eq(form_token.as_bytes()))
    }

    pub(super) fn hash(&self) -> SecretHash {
        TokenHash::of(self.0.reveal()).0
    }
}

/// Who is signed in in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user.
    pub user_id: OwnedUserId,
    /// The person has signed in just now: what changes the account needs that.
    pub is_fresh: bool,
    /// The provider where the person signed in, by its id.
    pub provider: Option<String>,
}

#[derive(Clone, Debug)]
struct Known {
    user_id: OwnedUserId,
    since_ms: MilliSeconds,
    used_ms: MilliSeconds,
    provider: Option<(String, Secret)>,
}

/// Somebody whom a provider vouches for, what the form of the page holds, and until when it counts.
type Newcomer = (UpstreamIdentity, (String, Secret), MilliSeconds);

/// The browsers that are signed in, and those whose person must still agree to a new account.
#[derive(Debug)]
pub(super) struct Browsers {
    clock: Clock,
    known: Mutex<LruCache<SecretHash, Known>>,
    newcomers: Mutex<LruCache<SecretHash, Newcomer>>,
}

impl Browsers {
    pub fn new(clock: Clock) -> Self {
        let known = Mutex::new(LruCache::new(BROWSERS));
        Self { clock, known, newcomers: Mutex::new(LruCache::new(BROWSERS)) }
    }

    fn find(&self, browser: &Browser) -> Option<SignedIn> {
        let now_ms = self.clock.now_ms();
        let mut known = self.known.lock();
        let found = known.get_mut(&browser.hash())?;
        let idle = now_ms.saturating_sub(found.used_ms) > IDLE_MS;
        if idle || now_ms.saturating_sub(found.since_ms) > LIFETIME_MS {
            known.pop(&browser.hash());
            return None;
        }
        found.used_ms = now_ms;
        Some(SignedIn {
            user_id: found.user_id.clone(),
            is_fresh: now_ms.saturating_sub(found.since_ms) <= FRESH_MS,
            provider: found.provider.as_ref().map(|(id, _)| id.clone()),
        })
    }
}

impl Oauth {
    /// A browser that has no cookie yet.
    #[must_use]
    pub fn new_browser(&self) -> Browser {
        Browser(Secret::from(self.random.token()))
    }

    /// Who is signed in in a browser.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn signed_in(&self, browser: &Browser) -> Result<Option<SignedIn>> {
        let Some(found) = self.browsers.find(browser) else {
            return Ok(None);
        };
        match self.accounts.check_usable(&found.user_id).await {
            Ok(()) => Ok(Some(found)),
            Err(error @ (Error::Store(_) | Error::Bug(_))) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Signs a user in. The browser gets another cookie, so that nobody knows it who knew the old one.
    #[must_use]
    pub fn sign_in(
        &self,
        old: &Browser,
        user_id: &UserId,
        provider: Option<(String, Secret)>,
    ) -> Browser {
        let now_ms = self.clock.now_ms();
        let browser = self.new_browser();
        let user_id = user_id.to_owned();
        let entry = Known { user_id, since_ms: now_ms, used_ms: now_ms, provider };
        let mut known = self.browsers.known.lock();
        known.pop(&old.hash());
        known.put(browser.hash(), entry);
        browser
    }

    /// Signs a browser out; returns where the provider's session was begun, with its ID token.
    #[must_use]
    pub fn sign_out(&self, browser: &Browser) -> Option<(String, Secret)> {
        self.browsers.known.lock().pop(&browser.hash())?.provider
    }

    /// Signs a user out in every browser but one.
    pub fn sign_out_everywhere(&self, user_id: &UserId, but: Option<&Browser>) {
        let keep = but.map(Browser::hash);
        let mut known = self.browsers.known.lock();
        let theirs: Vec<SecretHash> = known
            .iter()
            .filter(|(hash, entry)| entry.user_id == user_id && Some(**hash) != keep)
            .map(|(hash, _)| *hash)
            .collect();
        for hash in theirs {
            known.pop(&hash);
        }
    }

    /// Keeps who has come from a provider without having an account, until the person agrees to one.
    pub fn keep_newcomer(
        &self,
        browser: &Browser,
        identity: UpstreamIdentity,
        provider: (String, Secret),
    ) {
        let until_ms = self.clock.now_ms().saturating_add(FRESH_MS);
        self.browsers.newcomers.lock().put(browser.hash(), (identity, provider, until_ms));
    }

    /// Who has come from a provider without having an account.
    #[must_use]
    pub fn newcomer(&self, browser: &Browser) -> Option<(UpstreamIdentity, (String, Secret))> {
        let newcomers = self.browsers.newcomers.lock();
        let (identity, provider, until_ms) = newcomers.peek(&browser.hash())?;
        (*until_ms > self.clock.now_ms()).then(|| (identity.clone(), provider.clone()))
    }
}
