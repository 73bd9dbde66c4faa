//! The OAuth 2.0 server that is built in: clients, grants, browsers that are signed in, and the
//! OpenID Connect providers with whom people may sign in.
//!
//! Clients and sessions are stored ([`crate::accounts::oauth_sessions`]); what lives for minutes (codes,
//! device codes, browsers, sign-ins under way) is in memory and bounded: after a restart a person begins
//! the sign-in again.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#oauth-20-api>

pub mod authorization;
pub mod browsers;
pub mod clients;
pub mod device_grants;
mod error;
pub mod redirects;
mod scope;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod upstream;

use std::sync::Arc;

use pli_schema::account_settings::OauthSettings;
use pli_store::Store;

use self::{authorization::Codes, browsers::Browsers, device_grants::DeviceGrants};
pub use self::{
    authorization::{AuthorizationRequest, CodeExchange, Refusal},
    browsers::{Browser, SignedIn},
    clients::Client,
    device_grants::DeviceAuthorization,
    error::{OauthError, OauthResult},
    scope::Scope,
    tokens::Issued,
    upstream::{Arrival, Provider, Upstream},
};
use crate::{Clock, Random, Result, accounts::Accounts};

/// The OAuth server. Clones share it.
#[derive(Clone, Debug)]
pub struct Oauth {
    store: Store,
    clock: Clock,
    random: Random,
    accounts: Accounts,
    settings: Arc<OauthSettings>,
    codes: Arc<Codes>,
    device_grants: Arc<DeviceGrants>,
    browsers: Arc<Browsers>,
    upstream: Upstream,
}

impl Oauth {
    /// The server of these accounts, with their settings. Secrets of providers are read from their
    /// files by the caller: `secrets` holds them by the providers' ids.
    ///
    /// # Errors
    /// [`crate::Error::InvalidParam`] for a provider that cannot be used.
    pub fn new(
        (store, clock, random): (Store, Clock, Random),
        accounts: Accounts,
        secrets: &[(String, crate::accounts::Secret)],
    ) -> Result<Self> {
        let settings = accounts.settings().oauth.clone();
        let base_url = accounts.settings().base_url.clone();
        Ok(Self {
            upstream: Upstream::new(
                clock.clone(),
                random.clone(),
                (&settings, &base_url),
                secrets,
            )?,
            store,
            codes: Arc::new(Codes::new(clock.clone())),
            device_grants: Arc::new(DeviceGrants::new(clock.clone())),
            browsers: Arc::new(Browsers::new(clock.clone())),
            clock,
            random,
            accounts,
            settings: Arc::new(settings),
        })
    }

    /// Clients may sign in with OAuth and with single sign-on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    /// The providers with whom people may sign in.
    #[must_use]
    pub const fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}
