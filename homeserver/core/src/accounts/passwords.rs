//! Password hashes (Argon2id) on a bounded pool, and the rules for new passwords.
//!
//! Parameters: OWASP Password Storage Cheat Sheet. Rules and errcodes: MSC2000.

use std::{sync::Arc, thread::available_parallelism};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use pli_schema::account_settings::PasswordSettings;
use tokio::sync::Semaphore;

use super::Secret;
use crate::{Error, Random, Result};

/// Longest password that is hashed, in bytes: hashing must not become an attack.
const PASSWORD_MAX: usize = 512;
/// When someone who was turned away may try again.
const BUSY_RETRY_MS: u64 = 2_000;

/// Hashes and verifies passwords on blocking threads, so many at once and no more: a storm of logins
/// waits here and leaves everything else alone. Clones share the pool.
#[derive(Clone)]
pub struct Passwords {
    settings: PasswordSettings,
    params: Params,
    random: Random,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Verified where there is no account, so that the answer takes as long.
    decoy: Arc<str>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The password is right.
    pub right: bool,
    /// It is right, and its hash is weaker than new ones are: hash it again.
    pub outdated: bool,
}

impl Passwords {
    /// A pool with these settings.
    ///
    /// # Errors
    /// [`Error::Bug`] if the parameters are out of Argon2's bounds.
    pub fn new(settings: PasswordSettings, random: Random) -> Result<Self> {
        let hashing = &settings.hashing;
        let params = Params::new(hashing.memory_kib, hashing.passes, hashing.lanes, None)
            .map_err(|error| Error::Bug(format!("parameters of Argon2: {error}")))?;
        let cores = available_parallelism().map_or(1, usize::from);
        let at_once = match hashing.at_once {
            0 => (cores / 2).max(1),
            n => n as usize,
        };
        let decoy = hash(&params, &random, "no account has this password")?;
        Ok(Self {
            running: Arc::new(Semaphore::new(at_once)),
            waiting: Arc::new(Semaphore::new(at_once.saturating_add(hashing.waiting as usize))),
            settings,
            params,
            random,
            decoy: decoy.into(),
        })
    }

    /// The hash of a password in PHC form.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] if too many wait.
    pub async fn hash(&self, password: &Secret) -> Result<String> {
        let (params, random, password) =
            (self.params.clone(), self.random.clone(), password.clone());
        self.on_the_pool(move || hash(&params, &random, password.reveal())).await?
    }

    /// Whether a password is the one that was hashed. Without a hash it takes as long and is wrong.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] if too many wait.
    pub async fn verify(&self, password: &Secret, phc: Option<&str>) -> Result<Verified> {
        let has_hash = phc.is_some() && password.reveal().len() <= PASSWORD_MAX;
        let phc: Arc<str> = phc.map_or_else(|| self.decoy.clone(), Arc::from);
        let (params, password) = (self.params.clone(), password.clone());
        self.on_the_pool(move || {
            let Ok(parsed) = PasswordHash::new(&phc) else {
                return Err(Error::bug("a password hash cannot be read"));
            };
            let bytes = password.reveal().as_bytes();
            let bytes = bytes.get(..PASSWORD_MAX.min(bytes.len())).unwrap_or_default();
            let right = argon2(&params).verify_password(bytes, &parsed).is_ok() && has_hash;
            let outdated =
                right && Params::try_from(&parsed).is_ok_and(|old| is_weaker(&old, &params));
            Ok(Verified { right, outdated })
        })
        .await?
    }

    async fn on_the_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let busy = Error::LimitExceeded { retry_after_ms: BUSY_RETRY_MS };
        let _place = self.waiting.clone().try_acquire_owned().map_err(|_| busy)?;
        let turn = self.running.clone().acquire_owned().await;
        let turn = turn.map_err(|_| Error::bug("the pool of hashes is closed"))?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(|_| Error::bug("hashing a password failed"))
    }

    /// Whether a new password follows the rules.
    ///
    /// # Errors
    /// [`Error::WeakPassword`] with the errcode of MSC2000 for the first rule that it breaks.
    pub fn check_rules(&self, password: &Secret) -> Result<()> {
        let weak = |errcode, text: &str| Err(Error::WeakPassword { errcode, message: text.into() });
        let rules = &self.settings.rules;
        let text = password.reveal();
        let has = |test: fn(char) -> bool| text.chars().any(test);
        if text.len() > PASSWORD_MAX {
            return weak("M_WEAK_PASSWORD", "The password is too long");
        }
        if text.chars().count() < rules.minimum_length as usize {
            let text = format!("The password needs at least {} characters", rules.minimum_length);
            return weak("M_PASSWORD_TOO_SHORT", &text);
        }
        if rules.require_digit && !has(|c| c.is_ascii_digit()) {
            return weak("M_PASSWORD_NO_DIGIT", "The password needs a digit");
        }
        if rules.require_symbol && !has(|c| !c.is_ascii_alphanumeric()) {
            return weak("M_PASSWORD_NO_SYMBOL", "The password needs a symbol");
        }
        if rules.require_lowercase && !has(char::is_lowercase) {
            return weak("M_PASSWORD_NO_LOWERCASE", "The password needs a lower-case letter");
        }
        if rules.require_uppercase && !has(char::is_uppercase) {
            return weak("M_PASSWORD_NO_UPPERCASE", "The password needs an upper-case letter");
        }
        Ok(())
    }
}

fn argon2(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

fn hash(params: &Params, random: &Random, password: &str) -> Result<String> {
    let mut salt = [0_u8; 16];
    random.fill(&mut salt);
    let hash: PasswordHash = argon2(params)
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| Error::Bug(format!("hashing a password: {error}")))?;
    Ok(hash.to_string())
}

fn is_weaker(old: &Params, new: &Params) -> bool {
    old.m_cost() < new.m_cost() || old.t_cost() < new.t_cost()
}

#[cfg(test)]
mod tests {
    use pli_schema::account_settings::{HashingSettings, PasswordRules};

    use super::*;

    fn hashing(hashing: HashingSettings) -> PasswordSettings {
        PasswordSettings { hashing, ..PasswordSettings::cheap() }
    }

    fn pool(settings: PasswordSettings) -> Passwords {
        Passwords::new(settings, Random::seeded(1)).unwrap()
    }

    #[tokio::test]
    async fn a_password_verifies_and_an_old_hash_is_outdated() {
        let old = pool(PasswordSettings::cheap());
        let phc = old.hash(&"correct horse".into()).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        let found = old.verify(&"correct horse".into(), Some(&phc)).await.unwrap();
        assert_eq!(found, Verified { right: true, outdated: false });
        let found = old.verify(&"wrong".into(), Some(&phc)).await.unwrap();
        assert_eq!(found, Verified { right: false, outdated: false });
        let new = pool(hashing(HashingSettings {
            passes: 2,
            memory_kib: 8,
            ..HashingSettings::default()
        }));
        let found = new.verify(&"correct horse".into(), Some(&phc)).await.unwrap();
        assert_eq!(found, Verified { right: true, outdated: true });
    }

    #[tokio::test]
    async fn without_a_hash_every_password_is_wrong() {
        let pool = pool(PasswordSettings::cheap());
        for password in ["", "no account has this password", "x"] {
            assert!(!pool.verify(&password.into(), None).await.unwrap().right);
        }
    }

    #[tokio::test]
    async fn a_storm_is_turned_away_instead_of_queued_without_end() {
        let (at_once, waiting, passes) = (1, 2, 200);
        let pool = pool(hashing(HashingSettings {
            memory_kib: 1_024,
            passes,
            lanes: 1,
            at_once,
            waiting,
        }));
        let tries = (0..20).map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.verify(&"x".into(), None).await })
        });
        let mut turned_away = 0;
        for task in tries.collect::<Vec<_>>() {
            turned_away +=
                usize::from(matches!(task.await.unwrap(), Err(Error::LimitExceeded { .. })));
        }
        assert!(turned_away >= 10, "{turned_away}");
    }

    #[test]
    fn rules_name_their_errcode() {
        let rules = PasswordRules {
            minimum_length: 8,
            require_digit: true,
            require_symbol: true,
            require_lowercase: true,
            require_uppercase: true,
        };
        let settings = PasswordSettings { rules, ..PasswordSettings::cheap() };
        let pool = pool(settings);
        for (password, expected) in [
            ("Aa1!", Some("M_PASSWORD_TOO_SHORT")),
            ("Aaaaaaa!", Some("M_PASSWORD_NO_DIGIT")),
            ("Aaaaaaa1", Some("M_PASSWORD_NO_SYMBOL")),
            ("AAAAAA1!", Some("M_PASSWORD_NO_LOWERCASE")),
            ("aaaaaa1!", Some("M_PASSWORD_NO_UPPERCASE")),
            ("Aaaaaa1!", None),
            ("Àéééééé1", None),
        ] {
            let found = match pool.check_rules(&password.into()) {
                Err(Error::WeakPassword { errcode, .. }) => Some(errcode),
                _ => None,
            };
            assert_eq!(found, expected, "{password}");
        }
    }
}
