//! The language in which a person wants to be answered.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use pli_schema::Language;

/// The language that `Accept-Language` prefers, of those that Pli speaks.
#[derive(Clone, Copy, Debug)]
pub struct PreferredLanguage(pub Language);

impl<S: Sync> FromRequestParts<S> for PreferredLanguage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = parts.headers.get(header::ACCEPT_LANGUAGE);
        let header = header.and_then(|value| value.to_str().ok());
        Ok(Self(Language::from_accept_language(header, Language::default())))
    }
}
