//! OpenID Connect providers with whom people sign in: discovery, authorization code with PKCE and nonce,
//! ID token, user information, end of the provider's session.
//!
//! OpenID Connect Core 1.0 and Discovery 1.0; ProConnect answers user information as a signed JWT.

mod provider;
mod verify;

use std::{num::NonZeroUsize, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::{
    Language,
    account_settings::{OauthProvider, OauthSettings},
    records::accounts::SecretHash,
};
use sha2::{Digest, Sha256};
use url::Url;

use self::provider::Connected;
use super::Browser;
use crate::{
    Clock, Error, MilliSeconds, Random, Result,
    accounts::{Secret, TokenHash, UpstreamIdentity},
    outgoing::Outgoing,
};

/// Sign-ins under way, at most: the oldest are forgotten.
const FLOWS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);
/// How long a person has at the provider.
const FLOW_LIFETIME_MS: u64 = 30 * 60_000;

/// A provider, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its id.
    pub id: String,
    /// What its button says.
    pub label: String,
}

/// Somebody who has come back from a provider.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who it is.
    pub identity: UpstreamIdentity,
    /// Where the person goes next, on this server.
    pub next: String,
    /// The provider's id and the ID token, to end the provider's session with.
    pub provider: (String, Secret),
}

#[derive(Clone, Debug)]
struct Flow {
    provider: usize,
    browser: SecretHash,
    nonce: String,
    verifier: Secret,
    next: String,
    expires_at_ms: MilliSeconds,
}

/// The providers and the sign-ins under way. Clones share them.
#[derive(Clone, Debug)]
pub struct Upstream {
    clock: Clock,
    random: Random,
    base_url: Arc<str>,
    providers: Arc<Vec<Connected>>,
    flows: Arc<Mutex<LruCache<SecretHash, Flow>>>,
}

fn failed(why: &str) -> Error {
    Error::bad_state(format!("The sign-in at the provider failed: {why}"))
}

impl Upstream {
    pub(super) fn new(
        clock: Clock,
        random: Random,
        (settings, base_url): (&OauthSettings, &str),
        secrets: &[(String, Secret)],
    ) -> Result<Self> {
        let mut providers: Vec<Connected> = Vec::new();
        for provider in &settings.providers {
            let outgoing = Outgoing::new(provider.allow_private_addresses)?;
            check(provider, &providers, &outgoing)?;
            let secret = secrets.iter().find(|(id, _)| *id == provider.id);
            let secret = secret.map(|(_, secret)| secret.clone());
            providers.push(Connected::new(provider.clone(), secret, outgoing, clock.clone()));
        }
        Ok(Self {
            clock,
            random,
            base_url: base_url.into(),
            providers: Arc::new(providers),
            flows: Arc::new(Mutex::new(LruCache::new(FLOWS))),
        })
    }

    /// The providers, in the order of the configuration.
    #[must_use]
    pub fn providers(&self, language: Language) -> Vec<Provider> {
        let show = |it: &Connected| Provider {
            id: it.settings.id.clone(),
            label: it.settings.label(language).to_owned(),
        };
        self.providers.iter().map(show).collect()
    }

    /// Where providers send browsers back to.
    #[must_use]
    pub fn callback(&self) -> String {
        format!("{}/_pli/upstream/callback", self.base_url)
    }

    /// Begins a sign-in at a provider; returns where the browser is sent. `next` is where the person
    /// goes afterwards, on this server.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a provider that is not known, [`Error::BadState`] if it cannot be
    /// reached.
    pub async fn begin(&self, id: &str, browser: &Browser, next: &str) -> Result<String> {
        let place = self.providers.iter().position(|it| it.settings.id == id);
        let found = place.and_then(|place| Some((place, self.providers.get(place)?)));
        let (place, provider) = found.ok_or_else(|| Error::not_found("No such provider"))?;
        let documents = provider.documents(false).await?;
        let [state, nonce, verifier] = [(); 3].map(|()| self.random.token());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let mut url = Url::parse(&documents.0.authorization_endpoint)
            .map_err(|_| failed("its authorization endpoint is no address"))?;
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &provider.settings.client_id),
            ("redirect_uri", &self.callback()),
            ("scope", &provider.settings.scopes.join(" ")),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let flow = Flow {
            provider: place,
            browser: browser.hash(),
            nonce,
            verifier: Secret::from(verifier),
            next: next.to_owned(),
            expires_at_ms: self.clock.now_ms().saturating_add(FLOW_LIFETIME_MS),
        };
        self.flows.lock().put(TokenHash::of(&state).0, flow);
        Ok(url.into())
    }

    /// Finishes a sign-in: the browser has come back with a code.
    ///
    /// # Errors
    /// [`Error::BadState`] if the browser did not begin it, or if what the provider says does not hold.
    pub async fn finish(&self, browser: &Browser, state: &str, code: &str) -> Result<Arrival> {
        let flow = self.flows.lock().pop(&TokenHash::of(state).0);
        let ours = |flow: &Flow| {
            flow.browser == browser.hash() && flow.expires_at_ms > self.clock.now_ms()
        };
        let flow = flow.filter(ours).ok_or_else(|| failed("this browser did not begin it"))?;
        let provider = self.providers.get(flow.provider);
        let provider = provider.ok_or_else(|| Error::bug("a provider is gone"))?;
        let tokens = provider.exchange(code, &self.callback(), flow.verifier.reveal()).await?;
        let identity = provider.identity(&tokens, &flow.nonce).await?;
        let provider = (provider.settings.id.clone(), Secret::from(tokens.id_token));
        Ok(Arrival { identity, next: flow.next, provider })
    }

    /// Takes back a sign-in that the provider has refused; returns where the person goes next.
    #[must_use]
    pub fn give_up(&self, browser: &Browser, state: &str) -> Option<String> {
        let flow = self.flows.lock().pop(&TokenHash::of(state).0)?;
        (flow.browser == browser.hash()).then_some(flow.next)
    }

    /// Where a browser is sent to end the provider's session too; `None` if the provider has no such
    /// place or cannot be asked for it.
    pub async fn end_session(&self, id: &str, id_token: &Secret) -> Option<String> {
        let provider = self.providers.iter().find(|it| it.settings.id == id)?;
        let documents = provider.documents(false).await.ok()?;
        let mut url = Url::parse(documents.0.end_session_endpoint.as_deref()?).ok()?;
        let back = format!("{}/_pli/account/signed-out", self.base_url);
        url.query_pairs_mut().extend_pairs([
            ("id_token_hint", id_token.reveal()),
            ("post_logout_redirect_uri", &back),
            ("state", &self.random.letters(16)),
        ]);
        Some(url.into())
    }
}

/// Refuses what cannot work, at the start of the server.
fn check(provider: &OauthProvider, before: &[Connected], outgoing: &Outgoing) -> Result<()> {
    let of_id =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let id = &provider.id;
    let wrong =
        |why: &str| Err(Error::invalid_param(format!("oauth.providers: provider `{id}`: {why}")));
    if !(1..=64).contains(&id.len()) || !id.bytes().all(of_id) {
        return wrong("the id is made of a-z, 0-9 and . _ -");
    }
    if before.iter().any(|known| known.settings.id == *id) {
        return wrong("the id is there twice");
    }
    let Ok(issuer) = Url::parse(&provider.issuer) else {
        return wrong("the issuer is no address");
    };
    if outgoing.check(&issuer).is_err() || issuer.query().is_some() || issuer.fragment().is_some() {
        return wrong("the issuer is not an HTTPS address (or is a private one)");
    }
    if !provider.scopes.iter().any(|scope| scope == "openid") {
        return wrong("scopes must have openid");
    }
    Ok(())
}
