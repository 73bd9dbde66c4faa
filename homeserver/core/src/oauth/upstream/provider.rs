//! What a provider publishes, and the requests that are made to it.

use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;
use parking_lot::Mutex;
use pli_schema::{EmailAddress, account_settings::OauthProvider};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{failed, verify};
use crate::{
    Clock, Error, MilliSeconds, Result,
    accounts::{Secret, UpstreamIdentity},
    outgoing::{Fetched, Outgoing, OutgoingError},
};

/// Largest document that is read, in bytes.
const DOCUMENT_BYTES: usize = 256 * 1024;
/// How long documents are good.
const FRESH_MS: u64 = 3_600_000;
/// Unknown keys do not make us ask more often than this.
const ASK_AGAIN_MS: u64 = 60_000;
/// Longest subject, in bytes (OpenID Connect Core, 2).
const SUBJECT_MAX: usize = 255;

/// The discovery document, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Document {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    pub userinfo_endpoint: Option<String>,
    pub end_session_endpoint: Option<String>,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub access_token: String,
    pub id_token: String,
}

type Documents = Arc<(Document, JwkSet)>;

/// A provider with what is known of it.
#[derive(Debug)]
pub(super) struct Connected {
    pub settings: OauthProvider,
    secret: Option<Secret>,
    outgoing: Outgoing,
    clock: Clock,
    known: Mutex<Option<(MilliSeconds, Documents)>>,
}

impl Connected {
    pub const fn new(
        settings: OauthProvider,
        secret: Option<Secret>,
        outgoing: Outgoing,
        clock: Clock,
    ) -> Self {
        Self { settings, secret, outgoing, clock, known: Mutex::new(None) }
    }

    /// The documents; fetched when they are old, or (not too often) when a key was not in them.
    pub async fn documents(&self, key_is_missing: bool) -> Result<Documents> {
        let now_ms = self.clock.now_ms();
        let longest = if key_is_missing { ASK_AGAIN_MS } else { FRESH_MS };
        if let Some((at_ms, documents)) = &*self.known.lock()
            && now_ms.saturating_sub(*at_ms) < longest
        {
            return Ok(documents.clone());
        }
        let base = self.settings.issuer.trim_end_matches('/');
        let found = self.get(&format!("{base}/.well-known/openid-configuration"), None).await?;
        let document: Document = parse(&found.bytes, "its discovery document is not valid")?;
        if document.issuer != self.settings.issuer {
            return Err(self.failure("its discovery document names another issuer"));
        }
        let keys = self.get(&document.jwks_uri, None).await?;
        let keys: JwkSet = parse(&keys.bytes, "its keys are not valid")?;
        let documents = Arc::new((document, keys));
        *self.known.lock() = Some((now_ms, documents.clone()));
        Ok(documents)
    }

    /// An error for the person; the log says more.
    fn failure(&self, why: &str) -> Error {
        tracing::warn!(provider = self.settings.id, why, "a sign-in at a provider failed");
        failed(why)
    }

    fn unreachable(&self, error: &OutgoingError) -> Error {
        self.failure(&error.to_string())
    }

    async fn get(&self, url: &str, bearer: Option<&str>) -> Result<Fetched> {
        let url = Url::parse(url).map_err(|_| self.failure("an endpoint is no address"))?;
        let found = self.outgoing.get_document(&url, bearer, DOCUMENT_BYTES).await;
        found.map_err(|error| self.unreachable(&error))
    }

    /// Tokens for a code.
    pub async fn exchange(&self, code: &str, callback: &str, verifier: &str) -> Result<Tokens> {
        let documents = self.documents(false).await?;
        let document = &documents.0;
        let url = Url::parse(&document.token_endpoint)
            .map_err(|_| self.failure("its token endpoint is no address"))?;
        let client_id = self.settings.client_id.as_str();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback),
            ("code_verifier", verifier),
            ("client_id", client_id),
        ];
        let by_post = document
            .token_endpoint_auth_methods_supported
            .iter()
            .any(|method| method == "client_secret_post");
        let secret = self.secret.as_ref().map(Secret::reveal);
        let basic = match secret {
            Some(secret) if by_post => {
                fields.push(("client_secret", secret));
                None
            }
            Some(secret) => Some((client_id, secret)),
            None => None,
        };
        let answer = self.outgoing.post_form(&url, &fields, basic, DOCUMENT_BYTES).await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        parse(&answer.bytes, "it gave no ID token")
    }

    /// The claims of a token that the provider has signed for us.
    async fn verified(&self, token: &str) -> Result<Map<String, Value>> {
        let documents = self.documents(false).await?;
        let expected = (self.settings.issuer.as_str(), self.settings.client_id.as_str());
        match verify::claims(token, &documents.1, expected) {
            Err(verify::Why::UnknownKey) => {
                let documents = self.documents(true).await?;
                let again = verify::claims(token, &documents.1, expected);
                again.map_err(|why| self.failure(&why.to_string()))
            }
            other => other.map_err(|why| self.failure(&why.to_string())),
        }
    }

    /// Who has signed in.
    pub async fn identity(&self, tokens: &Tokens, nonce: &str) -> Result<UpstreamIdentity> {
        let claims = self.verified(&tokens.id_token).await?;
        verify::times(&claims, self.clock.now_ms() / 1_000)
            .map_err(|why| self.failure(&why.to_string()))?;
        let text = |claims: &Map<String, Value>, name: &str| {
            claims.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        if text(&claims, "nonce").as_deref() != Some(nonce) {
            return Err(self.failure("the ID token is for another sign-in"));
        }
        let subject = text(&claims, "sub").filter(|sub| (1..=SUBJECT_MAX).contains(&sub.len()));
        let subject = subject.ok_or_else(|| self.failure("the ID token names nobody"))?;
        let information = self.information(tokens).await?;
        if let Some(more) = &information
            && text(more, "sub").as_deref() != Some(subject.as_str())
        {
            return Err(self.failure("its user information is of somebody else"));
        }
        let told = information.iter().chain([&claims]).find(|it| text(it, "email").is_some());
        let verified_email = told
            .filter(|claims| self.is_verified(claims))
            .and_then(|claims| EmailAddress::parse(text(claims, "email")?.trim()).ok());
        Ok(UpstreamIdentity { issuer: self.settings.issuer.clone(), subject, verified_email })
    }

    /// Whether the provider says that the address is the person's.
    fn is_verified(&self, claims: &Map<String, Value>) -> bool {
        match claims.get("email_verified") {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(text)) => text == "true",
            Some(_) => false,
            None => self.settings.email_is_verified,
        }
    }

    /// User information, as JSON or as a JWT.
    async fn information(&self, tokens: &Tokens) -> Result<Option<Map<String, Value>>> {
        let documents = self.documents(false).await?;
        let Some(endpoint) = &documents.0.userinfo_endpoint else {
            return Ok(None);
        };
        let found = self.get(endpoint, Some(&tokens.access_token)).await?;
        if !found.content_type.starts_with("application/jwt") {
            return parse(&found.bytes, "its user information is not valid").map(Some);
        }
        let token = std::str::from_utf8(&found.bytes)
            .map_err(|_| self.failure("its user information is not valid"))?;
        self.verified(token.trim()).await.map(Some)
    }
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8], why: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|_| failed(why))
}
