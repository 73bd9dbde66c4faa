//! `GET /_matrix/identity/api/v1/info`
//! `GET /_matrix/identity/api/v1/internal-info`
//! `GET /_matrix/identity/v2`
//! `GET /_matrix/identity/v2/pubkey/isvalid`
//! `GET /_matrix/identity/v2/pubkey/ephemeral/isvalid`
//! `GET /_matrix/identity/v2/pubkey/{keyId}`
//!
//! With which server a person talks, by e-mail address: the answers that Tchap's clients and servers
//! expect. Nothing tells whether the address has an account. And the key with which this server vouches
//! for those who were invited by e-mail
//! (<https://spec.matrix.org/v1.19/identity-service-api/#key-management>).

use axum::extract::{Path, Query, State};
use http::Method;
use pli_core::{Error, Rooms, accounts::Accounts};
use pli_schema::EmailAddress;
use ruma::serde::{Base64, base64::Standard};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Json, Result, Routes};

#[derive(Deserialize)]
struct Asked {
    medium: Option<String>,
    address: Option<String>,
}

type AskedQuery = Result<Query<Asked>, axum::extract::rejection::QueryRejection>;

async fn homeserver(accounts: &Accounts, query: AskedQuery) -> Result<String> {
    let Query(asked) = query.map_err(|error| Error::InvalidParam(error.body_text()))?;
    let address = asked.address.ok_or_else(|| Error::missing_param("`address` is missing"))?;
    if asked.medium.as_deref() != Some("email") {
        return Err(Error::invalid_param("`medium` is `email`").into());
    }
    let no_server = || Error::not_found("No matching pattern found");
    let address = EmailAddress::parse(address.trim()).map_err(|_| no_server())?;
    Ok(accounts.policy().homeserver_for(&address).await?.ok_or_else(no_server)?)
}

async fn info(State(accounts): State<Accounts>, query: AskedQuery) -> Result<Json<Value>> {
    let hs = homeserver(&accounts, query).await?;
    Ok(Json(json!({ "hs": hs })))
}

async fn internal_info(State(accounts): State<Accounts>, query: AskedQuery) -> Result<Json<Value>> {
    let hs = homeserver(&accounts, query).await?;
    Ok(Json(json!({ "hs": hs, "invited": false, "requires_invite": false })))
}

#[derive(Deserialize)]
struct AskedKey {
    public_key: Option<String>,
}

type AskedKeyQuery = Result<Query<AskedKey>, axum::extract::rejection::QueryRejection>;

/// Whether a key is this server's: the one with which it signs the tokens of invitations by e-mail.
async fn is_valid(State(rooms): State<Rooms>, query: AskedKeyQuery) -> Result<Json<Value>> {
    let Query(asked) = query.map_err(|error| Error::InvalidParam(error.body_text()))?;
    let key = asked.public_key.ok_or_else(|| Error::missing_param("`public_key` is missing"))?;
    let own = rooms.signing_key().public_key();
    let valid = Base64::<Standard>::parse(key).is_ok_and(|key| key.as_bytes() == own.as_bytes());
    Ok(Json(json!({ "valid": valid })))
}

/// No key of this server is for one invitation only.
async fn is_valid_for_one(query: AskedKeyQuery) -> Result<Json<Value>> {
    let Query(asked) = query.map_err(|error| Error::InvalidParam(error.body_text()))?;
    asked.public_key.ok_or_else(|| Error::missing_param("`public_key` is missing"))?;
    Ok(Json(json!({ "valid": false })))
}

async fn public_key(State(rooms): State<Rooms>, Path(key_id): Path<String>) -> Result<Json<Value>> {
    let key = rooms.signing_key();
    if key.key_id().as_str() != key_id {
        return Err(Error::not_found("The public key was not found").into());
    }
    Ok(Json(json!({ "public_key": key.public_key().encode() })))
}

async fn ping() -> Json<Value> {
    Json(json!({}))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let get = &Method::GET;
    let mut routes = routes;
    for version in ["v2", "api/v1"] {
        let base = format!("/_matrix/identity/{version}");
        routes = routes
            .path(get, &base, ping)
            .path(get, &format!("{base}/pubkey/isvalid"), is_valid)
            .path(get, &format!("{base}/pubkey/ephemeral/isvalid"), is_valid_for_one)
            .path(get, &format!("{base}/pubkey/{{key_id}}"), public_key);
    }
    routes.path(&Method::GET, "/_matrix/identity/api/v1/info", info).path(
        &Method::GET,
        "/_matrix/identity/api/v1/internal-info",
        internal_info,
    )
}
