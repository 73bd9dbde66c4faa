//! `GET /_matrix/client/v1/auth_metadata`
//! `GET /.well-known/openid-configuration`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-metadata-discovery>; the second path is
//! where clients looked before (MSC2965).

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, header};
use pli_core::{Error, Oauth, oauth::clients::GRANT_TYPES};
use serde_json::{Value, json};

use crate::{
    Result, Routes, oauth_api,
    pages::{account::{ACTIONS, OLD_ACTIONS}, authorize::AUTHORIZE, visitor::ACCOUNT},
    state::ServerInfo,
};

fn metadata(base_url: &str, may_register: bool) -> Value {
    let at = |path: &str| format!("{base_url}{path}");
    let mut document = json!({
        "issuer": at("/"),
        "authorization_endpoint": at(AUTHORIZE),
        "token_endpoint": at(oauth_api::TOKEN),
        "revocation_endpoint": at(oauth_api::REVOKE),
        "registration_endpoint": at(oauth_api::REGISTER),
        "device_authorization_endpoint": at(oauth_api::DEVICE),
        "account_management_uri": at(ACCOUNT),
        "account_management_actions_supported": ACTIONS,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": GRANT_TYPES,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "ui_locales_supported": ["fr", "en"],
        "scopes_supported": ["urn:matrix:client:api:*"],
    });
    if may_register {
        document["prompt_values_supported"] = json!(["create"]);
    }
    document
}

fn answer(oauth: &Oauth, server: &ServerInfo, old_actions: &[&str]) -> Result<Response> {
    if !oauth.is_enabled() {
        return Err(Error::Unrecognized.into());
    }
    let may_register = server.config.registration.enabled && server.config.passwords.enabled;
    let mut document = metadata(&server.base_url, may_register);
    if let Some(actions) = document["account_management_actions_supported"].as_array_mut() {
        actions.extend(old_actions.iter().map(|action| json!(action)));
    }
    let mut response = axum::Json(document).into_response();
    let hour = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, hour);
    Ok(response)
}

async fn auth_metadata(
    State(oauth): State<Oauth>,
    State(server): State<ServerInfo>,
) -> Result<Response> {
    answer(&oauth, &server, &[])
}

/// For clients from before the release, which know the actions by other names.
async fn unstable_metadata(
    State(oauth): State<Oauth>,
    State(server): State<ServerInfo>,
) -> Result<Response> {
    answer(&oauth, &server, &OLD_ACTIONS)
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const UNSTABLE: &str = "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata";
    routes
        .path(&Method::GET, "/_matrix/client/v1/auth_metadata", auth_metadata)
        .path(&Method::GET, UNSTABLE, unstable_metadata)
        .path(&Method::GET, "/.well-known/openid-configuration", unstable_metadata)
}
