//! The authorization code grant with PKCE.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#authorisation-code-flow>

use std::num::NonZeroUsize;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lru::LruCache;
use parking_lot::Mutex;
use pli_schema::records::accounts::SecretHash;
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    Client, Oauth, OauthError, OauthResult, Scope,
    redirects::{ResponseMode, is_registered, with_parameters},
};
use crate::{Clock, MilliSeconds, accounts::TokenHash};

/// Codes kept, at most: the oldest are forgotten.
const CODES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);
/// How long a code is good (RFC 6749, 4.1.2: at most ten minutes).
const CODE_LIFETIME_MS: u64 = 5 * 60_000;
/// Longest `state`, in bytes.
const STATE_MAX: usize = 2_048;

/// A request that a person can be asked about.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// The client.
    pub client: Client,
    /// What is asked for.
    pub scope: Scope,
    /// The person wants a new account (`prompt=create`).
    pub create: bool,
    /// Who signs in, as the client believes.
    pub login_hint: Option<String>,
    redirect_uri: String,
    mode: ResponseMode,
    state: Option<String>,
    code_challenge: String,
}

/// Why a request is refused, and who is told.
#[derive(Debug)]
pub enum Refusal {
    /// The person: there is nowhere to send the browser.
    Page(OauthError),
    /// The client, by sending the browser here.
    Redirect(String),
}

/// A code that a client wants tokens for.
#[derive(Clone, Debug)]
pub struct CodeExchange<'a> {
    /// The client.
    pub client_id: &'a str,
    /// The code.
    pub code: &'a str,
    /// The redirect URI of the request.
    pub redirect_uri: &'a str,
    /// The verifier whose hash was in the request.
    pub code_verifier: &'a str,
}

/// A value that may be there once.
pub fn one<'a>(pairs: &'a [(String, String)], name: &str) -> OauthResult<Option<&'a str>> {
    let mut found = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let first = found.next();
    if found.next().is_some() {
        return Err(OauthError::InvalidRequest("A parameter is there twice"));
    }
    Ok(first.filter(|value| !value.is_empty()))
}

/// A value that must be there once.
pub fn required<'a>(pairs: &'a [(String, String)], name: &str) -> OauthResult<&'a str> {
    one(pairs, name)?.ok_or(OauthError::InvalidRequest("A parameter is missing"))
}

impl AuthorizationRequest {
    /// Where the browser is sent when the person says no.
    #[must_use]
    pub fn denied(&self) -> String {
        self.refused(&OauthError::AccessDenied)
    }

    /// Where the browser will be sent.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    fn refused(&self, error: &OauthError) -> String {
        let target = (self.redirect_uri.as_str(), self.mode, self.state.as_deref());
        refused(target, error)
    }
}

fn refused(
    (redirect_uri, mode, state): (&str, ResponseMode, Option<&str>),
    error: &OauthError,
) -> String {
    let description = error.to_string();
    let mut parameters = vec![("error", error.code()), ("error_description", &*description)];
    parameters.extend(state.map(|state| ("state", state)));
    with_parameters(redirect_uri, mode, &parameters)
}

impl Oauth {
    /// Reads the parameters of the authorization endpoint.
    ///
    /// # Errors
    /// [`Refusal::Page`] as long as it is not sure that the browser may be sent to the client,
    /// [`Refusal::Redirect`] after that.
    pub async fn authorization(
        &self,
        pairs: &[(String, String)],
    ) -> Result<AuthorizationRequest, Refusal> {
        let client_id = required(pairs, "client_id").map_err(Refusal::Page)?;
        let client = self.client(client_id).await.map_err(Refusal::Page)?;
        let redirect_uri = match one(pairs, "redirect_uri").map_err(Refusal::Page)? {
            Some(uri) if is_registered(uri, client.redirect_uris()) => uri,
            _ => {
                let why = "The redirect URI is not one of those that the client has registered";
                return Err(Refusal::Page(OauthError::InvalidRedirectUri(why)));
            }
        };
        let mode = match one(pairs, "response_mode").map_err(Refusal::Page)? {
            None | Some("query") => ResponseMode::Query,
            Some("fragment") => ResponseMode::Fragment,
            Some(_) => {
                let why = "The response mode is query or fragment";
                return Err(Refusal::Page(OauthError::InvalidRequest(why)));
            }
        };
        let state = one(pairs, "state").map_err(Refusal::Page)?.map(str::to_owned);
        if state.as_ref().is_some_and(|state| state.len() > STATE_MAX) {
            return Err(Refusal::Page(OauthError::InvalidRequest("The state is too long")));
        }
        let target = (redirect_uri, mode, state.as_deref());
        let wish = read(pairs, &client).map_err(|error| Refusal::Redirect(refused(target, &error)));
        let Wish { scope, code_challenge, create, login_hint } = wish?;
        let redirect_uri = redirect_uri.to_owned();
        Ok(AuthorizationRequest {
            client,
            scope,
            create,
            login_hint,
            redirect_uri,
            mode,
            state,
            code_challenge,
        })
    }

    /// Grants a request; returns where the browser is sent, with the code.
    #[must_use]
    pub fn grant(&self, request: &AuthorizationRequest, user_id: &UserId) -> String {
        let code = self.random.token();
        let granted = Code {
            client_id: request.client.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            code_challenge: request.code_challenge.clone(),
            scope: request.scope.clone(),
            user_id: user_id.to_owned(),
            expires_at_ms: self.clock.now_ms().saturating_add(CODE_LIFETIME_MS),
            spent: false,
            session: None,
        };
        self.codes.open.lock().put(TokenHash::of(&code).0, granted);
        let mut parameters = vec![("code", code.as_str())];
        parameters.extend(request.state.as_deref().map(|state| ("state", state)));
        with_parameters(&request.redirect_uri, request.mode, &parameters)
    }
}

/// What of a request is left once it is known where its answer goes.
struct Wish {
    scope: Scope,
    code_challenge: String,
    create: bool,
    login_hint: Option<String>,
}

fn read(pairs: &[(String, String)], client: &Client) -> OauthResult<Wish> {
    if required(pairs, "response_type")? != "code" {
        return Err(OauthError::UnsupportedResponseType);
    }
    if !client.may_use("authorization_code") {
        return Err(OauthError::UnauthorizedClient);
    }
    if required(pairs, "code_challenge_method")? != "S256" {
        return Err(OauthError::InvalidRequest("The code challenge method must be S256"));
    }
    let code_challenge = required(pairs, "code_challenge")?;
    if !is_verifier(code_challenge) {
        return Err(OauthError::InvalidRequest("The code challenge is malformed"));
    }
    let prompts: Vec<&str> = one(pairs, "prompt")?.unwrap_or_default().split(' ').collect();
    if prompts.contains(&"none") {
        return Err(OauthError::InteractionRequired);
    }
    let hint = one(pairs, "login_hint")?.filter(|hint| hint.len() <= 512);
    Ok(Wish {
        scope: Scope::parse(required(pairs, "scope")?)?,
        code_challenge: code_challenge.to_owned(),
        create: prompts.contains(&"create"),
        login_hint: hint.map(|hint| hint.strip_prefix("mxid:").unwrap_or(hint).to_owned()),
    })
}

/// RFC 7636, 4.1 and 4.2: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

fn matches_challenge(verifier: &str, challenge: &str) -> bool {
    let hashed = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    is_verifier(verifier) && bool::from(hashed.as_bytes().ct_eq(challenge.as_bytes()))
}

#[derive(Clone, Debug)]
struct Code {
    client_id: String,
    redirect_uri: String,
    code_challenge: String,
    scope: Scope,
    user_id: OwnedUserId,
    expires_at_ms: MilliSeconds,
    spent: bool,
    session: Option<(OwnedUserId, OwnedDeviceId)>,
}

/// The codes that are out.
#[derive(Debug)]
pub(super) struct Codes {
    clock: Clock,
    open: Mutex<LruCache<SecretHash, Code>>,
}

/// What a code is good for.
pub(super) enum Redeemed {
    /// A session of this user with this scope.
    For(OwnedUserId, Scope),
    /// Nothing.
    Nothing,
    /// Nothing: it was used before, and this session began with it.
    Replay(OwnedUserId, OwnedDeviceId),
}

impl Codes {
    pub fn new(clock: Clock) -> Self {
        Self { clock, open: Mutex::new(LruCache::new(CODES)) }
    }

    /// Takes a code: it can be tried once, whether the rest is right or not.
    pub fn redeem(&self, given: &CodeExchange<'_>) -> Redeemed {
        let mut open = self.open.lock();
        let Some(code) = open.get_mut(&TokenHash::of(given.code).0) else {
            return Redeemed::Nothing;
        };
        if code.spent {
            return match code.session.clone() {
                Some((user_id, device_id)) => Redeemed::Replay(user_id, device_id),
                None => Redeemed::Nothing,
            };
        }
        code.spent = true;
        let right = code.expires_at_ms > self.clock.now_ms()
            && code.client_id == given.client_id
            && code.redirect_uri == given.redirect_uri
            && matches_challenge(given.code_verifier, &code.code_challenge);
        if right {
            Redeemed::For(code.user_id.clone(), code.scope.clone())
        } else {
            Redeemed::Nothing
        }
    }

    /// Notes the session that began with a code.
    pub fn began(&self, code: &str, user_id: &UserId, scope: &Scope) {
        if let Some(code) = self.open.lock().get_mut(&TokenHash::of(code).0) {
            code.session = Some((user_id.to_owned(), scope.device_id.clone()));
        }
    }
}
