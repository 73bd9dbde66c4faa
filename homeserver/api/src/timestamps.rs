//! The time that an application service gives an event.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#timestamp-massaging>

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use pli_core::accounts::Authenticated;
use ruma::{MilliSecondsSinceUnixEpoch, UInt};
use serde::Deserialize;

use crate::{AppState, Error};

/// The `ts` of a request's query, for endpoints whose request type has no place for it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Massaged {
    ts: Option<UInt>,
}

impl Massaged {
    /// The time, if the caller may set it.
    #[must_use]
    pub fn for_user(self, who: &Authenticated) -> Option<MilliSecondsSinceUnixEpoch> {
        allowed(self.ts.map(MilliSecondsSinceUnixEpoch), who)
    }
}

/// A time that a request gives, if the caller may set it: application services may, for others the
/// parameter means nothing.
#[must_use]
pub fn allowed(
    ts: Option<MilliSecondsSinceUnixEpoch>,
    who: &Authenticated,
) -> Option<MilliSecondsSinceUnixEpoch> {
    ts.filter(|_| who.appservice.is_some())
}

impl FromRequestParts<AppState> for Massaged {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        let malformed = |_| pli_core::Error::invalid_param("`ts` is not a time").into();
        Query::<Self>::try_from_uri(&parts.uri).map(|Query(this)| this).map_err(malformed)
    }
}
