//! Who is asking, as a type: a handler that needs a user cannot be written without one.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens>

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use pli_core::{
    accounts::{Assertion, Authenticated},
    appservices::Appservice,
};
use ruma::{DeviceId, OwnedUserId, UserId};

use crate::{
    AppState, Error,
    request::{ClientAddress, RequestClass},
};

/// A user of this server with a valid access token; guests are refused
/// (`M_GUEST_ACCESS_FORBIDDEN`). Dereferences to [`Authenticated`].
#[derive(Clone, Debug)]
pub struct User(pub Authenticated);

/// A user or a guest with a valid access token, for the endpoints that the specification opens to
/// guests. Dereferences to [`Authenticated`].
#[derive(Clone, Debug)]
pub struct UserOrGuest(pub Authenticated);

/// A user who is an admin of this server. Dereferences to [`Authenticated`].
#[derive(Clone, Debug)]
pub struct Admin(pub Authenticated);

/// Anyone: the user if a token was given (a wrong token is an error), else nobody.
#[derive(Clone, Debug)]
pub struct Anyone(pub Option<Authenticated>);

/// A user or a guest with a valid access token, also one whose account is locked: for logging out.
/// Dereferences to [`Authenticated`].
#[derive(Clone, Debug)]
pub struct EvenLocked(pub Authenticated);

/// A user with a valid access token, also one whose account must be renewed first: for asking for the
/// mail. Dereferences to [`Authenticated`].
#[derive(Clone, Debug)]
pub struct EvenExpired(pub Authenticated);

macro_rules! identity {
    ($($name:ident),+) => {$(
        impl std::ops::Deref for $name {
            type Target = Authenticated;
            fn deref(&self) -> &Authenticated {
                &self.0
            }
        }

        impl $name {
            /// The user's id.
            #[must_use]
            pub fn user_id(&self) -> &UserId {
                &self.0.user_id
            }

            /// The device whose token was used.
            #[must_use]
            pub fn device_id(&self) -> &DeviceId {
                &self.0.device_id
            }

            /// The user's id, for a call that keeps it.
            #[must_use]
            pub fn into_user_id(self) -> OwnedUserId {
                self.0.user_id
            }
        }
    )+};
}
identity!(User, UserOrGuest, EvenExpired, EvenLocked, Admin);

/// The access token of a request, if there is one: from the `Authorization` header, else from the
/// query (deprecated, but servers must still take it in v1.19).
///
/// # Errors
/// `M_MISSING_TOKEN` if the header is there but is not `Bearer TOKEN`.
pub fn access_token(parts: &Parts) -> Result<Option<String>, Error> {
    let headerless = || pli_core::Error::MissingToken.into();
    if let Some(value) = parts.headers.get(http::header::AUTHORIZATION) {
        let value = value.to_str().map_err(|_| headerless())?;
        return match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(Some(token.trim().to_owned()))
            }
            _ => Err(headerless()),
        };
    }
    // A query that cannot be read holds no token; the endpoint says what is wrong with it.
    let Ok(Query(fields)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) else {
        return Ok(None);
    };
    Ok(fields.into_iter().find(|(name, _)| name == "access_token").map(|(_, token)| token))
}

/// Notes that the device was seen, without making the request wait for it.
fn note_seen(parts: &Parts, state: &AppState, who: &Authenticated) {
    let ip = parts.extensions.get().map(|ClientAddress(address)| address.to_string());
    let (accounts, who) = (state.accounts.clone(), who.clone());
    if !accounts.is_news(&who) {
        return;
    }
    tokio::spawn(async move {
        if let Err(error) = accounts.note_seen(&who, ip).await {
            tracing::warn!(%error, "when a device was seen could not be noted");
        }
    });
}

/// A request with a token that stands for nobody is counted for its address.
fn count_stranger(parts: &Parts, state: &AppState) -> Result<(), Error> {
    match (parts.extensions.get(), parts.extensions.get()) {
        (Some(&RequestClass(class)), Some(&ClientAddress(address))) => {
            Ok(state.rate_limits.check_address(class, address)?)
        }
        _ => Ok(()),
    }
}

/// As whom an application service wants to act. Each name stands once; of the device there is an older
/// one.
fn assertion(parts: &Parts) -> Assertion {
    let Ok(Query(fields)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) else {
        return Assertion::default();
    };
    let field = |name: &str| {
        let field = fields.iter().find(|(given, _)| given == name);
        field.map(|(_, value)| value.clone())
    };
    Assertion {
        user_id: field("user_id"),
        device_id: field("device_id").or_else(|| field("org.matrix.msc3202.device_id")),
    }
}

/// The user for whom an application service acts, counted unless the service is not limited.
async fn act(
    parts: &Parts,
    state: &AppState,
    service: &Appservice,
) -> Result<Authenticated, Error> {
    let who = state.accounts.assert_identity(service, &assertion(parts)).await?;
    if let Some(&RequestClass(class)) = parts.extensions.get()
        && service.limits(&who.user_id)
    {
        state.rate_limits.check_user(class, &who.user_id)?;
    }
    Ok(who)
}

/// Who the token stands for; the request is counted for that user.
async fn authenticate(parts: &Parts, state: &AppState) -> Result<Option<Authenticated>, Error> {
    match access_token(parts)? {
        Some(token) => {
            if let Some(service) = state.accounts.appservices().by_token(&token) {
                return act(parts, state, service).await.map(Some);
            }
            let who = match state.accounts.authenticate(&token).await {
                Ok(who) => who,
                Err(error) => {
                    count_stranger(parts, state)?;
                    return Err(error.into());
                }
            };
            if let Some(&RequestClass(class)) = parts.extensions.get() {
                state.rate_limits.check_user(class, &who.user_id)?;
            }
            note_seen(parts, state, &who);
            Ok(Some(who))
        }
        None => Ok(None),
    }
}

/// The access token of a request as it was given, if there is one: for endpoints that take those of
/// application services beside other proofs. Never shown.
#[derive(Clone)]
pub struct GivenToken(Option<String>);

impl GivenToken {
    /// The token.
    #[must_use]
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromRequestParts<AppState> for GivenToken {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        // A header that is none is as good as none: most of these requests come without.
        Ok(Self(access_token(parts).unwrap_or_default()))
    }
}

impl FromRequestParts<AppState> for Anyone {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        Ok(Self(authenticate(parts, state).await?))
    }
}

impl FromRequestParts<AppState> for UserOrGuest {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let who = authenticate(parts, state).await?.ok_or(pli_core::Error::MissingToken)?;
        Ok(Self(who))
    }
}

impl FromRequestParts<AppState> for EvenExpired {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        match User::from_request_parts(parts, state).await {
            Err(Error(pli_core::Error::AccountExpired)) => {
                let token = access_token(parts)?.ok_or(pli_core::Error::MissingToken)?;
                Ok(Self(state.accounts.authenticate_even_expired(&token).await?))
            }
            other => other.map(|User(who)| Self(who)),
        }
    }
}

impl FromRequestParts<AppState> for EvenLocked {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        match UserOrGuest::from_request_parts(parts, state).await {
            Err(Error(pli_core::Error::UserLocked | pli_core::Error::AccountExpired)) => {
                let token = access_token(parts)?.ok_or(pli_core::Error::MissingToken)?;
                Ok(Self(state.accounts.authenticate_even_locked(&token).await?))
            }
            other => other.map(|UserOrGuest(who)| Self(who)),
        }
    }
}

impl FromRequestParts<AppState> for User {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let UserOrGuest(who) = UserOrGuest::from_request_parts(parts, state).await?;
        if who.is_guest {
            let text = "Guests may not use this".to_owned();
            return Err(pli_core::Error::GuestAccessForbidden(text).into());
        }
        Ok(Self(who))
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let User(who) = User::from_request_parts(parts, state).await?;
        if !who.is_admin {
            return Err(pli_core::Error::forbidden("You are not an admin of this server").into());
        }
        Ok(Self(who))
    }
}
