//! Accounts: registration, login, devices, sessions, profiles, e-mail addresses.

pub mod administration;
mod approvals;
mod appservice;
mod browser_auth;
mod cache;
pub mod dehydrated;
pub mod devices;
pub mod emails;
mod guests;
pub mod login;
mod names;
pub mod oauth_sessions;
pub mod openid;
pub mod password_change;
pub mod passwords;
pub mod profiles;
pub mod registration;
pub mod registration_tokens;
pub mod restrictions;
mod secret;
mod seen;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod uia;
pub mod upstream_links;
pub mod validation;
pub mod validity;
mod wrong_tries;

use std::sync::Arc;

use pli_schema::{
    account_settings::{
        OauthSettings, PasswordSettings, ProfileSettings, RegistrationSettings, SessionSettings,
    },
    config::TestDeployment,
    records::accounts::{AccountKey, AccountRecord},
};
use pli_store::{Store, Tx};
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId, UserId};

use self::{
    approvals::Approvals, cache::TokenCache, passwords::Passwords, seen::Seen, uia::UiaSessions,
    wrong_tries::WrongTries,
};
pub use self::{
    appservice::Assertion,
    browser_auth::{BrowserProof, StageInBrowser},
    devices::Device,
    emails::AccountEmail,
    login::{LoginIdentifier, LoginRequest},
    oauth_sessions::{OauthWish, Refreshed},
    password_change::PasswordChange,
    registration::{RegisterRequest, Registered},
    restrictions::Restriction,
    secret::Secret,
    tokens::{DeviceWish, Session, TokenHash},
    uia::Operation,
    upstream_links::{UpstreamAccount, UpstreamIdentity},
    validation::ValidationRequest,
};
use crate::{Clock, Error, Random, Result, appservices::Appservices, audit::Audit, policy::Policy};

/// Who a valid access token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device whose token was used.
    pub device_id: OwnedDeviceId,
    /// The account is a guest in the sense of the specification ("Guest access").
    pub is_guest: bool,
    /// The account is an admin of this server.
    pub is_admin: bool,
    /// The account is suspended: it may read and little else.
    pub is_suspended: bool,
    /// The id of the application service that acts as the user. Its requests may name no device; then
    /// `device_id` is empty.
    pub appservice: Option<Arc<str>>,
}

/// What accounts need to know of the server.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// The server's name.
    pub server_name: OwnedServerName,
    /// Where clients reach the server, without a slash at the end: for links in mails.
    pub base_url: String,
    /// Registration.
    pub registration: RegistrationSettings,
    /// Passwords.
    pub passwords: PasswordSettings,
    /// Sessions.
    pub sessions: SessionSettings,
    /// Profiles.
    pub profiles: ProfileSettings,
    /// Sign-in in the browser.
    pub oauth: OauthSettings,
    /// What only test deployments switch on.
    pub test_deployment: TestDeployment,
    /// The application services.
    pub appservices: Appservices,
}

impl AccountSettings {
    /// The default settings of a server.
    #[must_use]
    pub fn new(server_name: OwnedServerName, base_url: impl Into<String>) -> Self {
        Self {
            server_name,
            base_url: base_url.into(),
            registration: RegistrationSettings::default(),
            passwords: PasswordSettings::default(),
            sessions: SessionSettings::default(),
            profiles: ProfileSettings::default(),
            oauth: OauthSettings::default(),
            test_deployment: TestDeployment::default(),
            appservices: Appservices::default(),
        }
    }

    /// Open registration with `m.login.dummy`, cheap passwords and no limits: for tests.
    #[must_use]
    pub fn for_tests(server_name: OwnedServerName) -> Self {
        let mut settings = Self::new(server_name, "http://localhost:8008");
        settings.test_deployment.open_registration = true;
        settings.test_deployment.no_limits = true;
        settings.passwords = PasswordSettings::cheap();
        settings
    }
}

/// The accounts of this server. Clones share them.
#[derive(Clone, Debug)]
pub struct Accounts {
    store: Store,
    clock: Clock,
    random: Random,
    settings: Arc<AccountSettings>,
    passwords: Passwords,
    cache: Arc<TokenCache>,
    uia: Arc<UiaSessions>,
    wrong_passwords: Arc<WrongTries>,
    /// Mails by address. Apart from the passwords, so that neither crowds the other out.
    mails: Arc<WrongTries>,
    policy: Policy,
    seen: Arc<Seen>,
    /// Uses of what may be used so and so often.
    spent: Arc<WrongTries>,
    approvals: Arc<Approvals>,
}

impl Accounts {
    /// The accounts of a store.
    ///
    /// # Errors
    /// [`Error::Bug`] if the parameters of the password hash are out of Argon2's bounds.
    pub fn new(
        store: Store,
        clock: Clock,
        random: Random,
        settings: AccountSettings,
    ) -> Result<Self> {
        let open = settings.test_deployment.open_registration;
        let server_name = settings.server_name.clone();
        let limits = (!settings.test_deployment.no_limits).then_some(&settings.sessions);
        let tries = || WrongTries::new(clock.clone(), limits.map(|it| &it.wrong_passwords));
        Ok(Self {
            policy: Policy::new(store.clone(), clock.clone(), server_name, open),
            store,
            passwords: Passwords::new(settings.passwords.clone(), random.clone())?,
            uia: Arc::new(UiaSessions::new(clock.clone(), random.clone())),
            wrong_passwords: Arc::new(tries()),
            mails: Arc::new(tries()),
            spent: Arc::new(tries()),
            approvals: Arc::new(Approvals::new(clock.clone())),
            clock,
            random,
            settings: Arc::new(settings),
            cache: Arc::default(),
            seen: Arc::default(),
        })
    }

    /// The accounts of an empty store in memory, with [`AccountSettings::for_tests`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_tests(store: Store, clock: Clock, server_name: OwnedServerName) -> Result<Self> {
        Self::new(store, clock, Random::from_os(), AccountSettings::for_tests(server_name))
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &AccountSettings {
        &self.settings
    }

    /// The rules about e-mail addresses.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::new(self.store.clone())
    }

    /// The server's name.
    #[must_use]
    pub fn server_name(&self) -> &ruma::ServerName {
        &self.settings.server_name
    }

    /// The time, for what the api must date.
    #[must_use]
    pub fn now_ms(&self) -> crate::MilliSeconds {
        self.clock.now_ms()
    }

    /// Random letters, for what the api must make unique.
    #[must_use]
    pub fn random_letters(&self, length: usize) -> String {
        self.random.letters(length)
    }

    /// An account of this server.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn account(&self, user_id: &UserId) -> Result<Option<AccountRecord>> {
        Ok(self.store.get(&AccountKey { user_id: user_id.to_owned() }).await?)
    }

    /// An account that may be used: it exists and is not closed.
    async fn open_account(&self, tx: &Tx, user_id: &UserId) -> Result<AccountRecord> {
        let account = tx.get(&AccountKey { user_id: user_id.to_owned() }).await?;
        account
            .filter(|account| !account.deactivated)
            .ok_or_else(|| Error::not_found("There is no such account"))
    }
}
