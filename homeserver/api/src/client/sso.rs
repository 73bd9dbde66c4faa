//! `GET /_matrix/client/v3/login/sso/redirect`
//! `GET /_matrix/client/v3/login/sso/redirect/{idpId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3loginssoredirect>

use axum::{
    extract::{RawPathParams, State},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, header};
use pli_core::{Error, Oauth};

use crate::{
    Result, Routes,
    pages::{
        single_sign_on::SSO,
        visitor::{Parameters, Visitor, encode},
    },
};

/// The way to the page where the person signs in and agrees. Nothing of the request is trusted here.
async fn redirect(
    State(oauth): State<Oauth>,
    params: RawPathParams,
    parameters: Parameters,
    visitor: Visitor,
) -> Result<Response> {
    if !oauth.is_enabled() {
        return Err(Error::Unrecognized.into());
    }
    let target = parameters.get("redirectUrl");
    if target.is_empty() {
        return Err(Error::missing_param("redirectUrl is missing").into());
    }
    let provider = params.iter().find(|(name, _)| *name == "idp_id").map(|(_, value)| value);
    if let Some(provider) = provider {
        let known = oauth.upstream().providers(visitor.language);
        if !known.iter().any(|known| known.id == provider) {
            return Ok(visitor.failed(&Error::not_found("No such provider")));
        }
    }
    let mut place = format!("{SSO}?redirectUrl={}", encode(target));
    for (name, value) in
        [("provider", provider.unwrap_or_default()), ("action", parameters.get("action"))]
    {
        if !value.is_empty() {
            place.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    // The specification names this status.
    Ok(visitor.respond((StatusCode::FOUND, [(header::LOCATION, place)]).into_response()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    ["/_matrix/client/v3", "/_matrix/client/r0"].iter().fold(routes, |routes, base| {
        let path = format!("{base}/login/sso/redirect");
        let of_provider = format!("{path}/{{idp_id}}");
        routes.path(&Method::GET, &path, redirect).path(&Method::GET, &of_provider, redirect)
    })
}
