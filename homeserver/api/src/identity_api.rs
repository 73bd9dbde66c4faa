//! `GET /_matrix/identity/api/v1/info`
//! `GET /_matrix/identity/api/v1/internal-info`
//!
//! With which server a person talks, by e-mail address: the answers that Tchap's clients and servers
//! expect. Nothing tells whether the address has an account.

use axum::extract::{Query, State};
use http::Method;
use pli_core::{Error, accounts::Accounts};
use pli_schema::EmailAddress;
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

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::GET, "/_matrix/identity/api/v1/info", info).path(
        &Method::GET,
        "/_matrix/identity/api/v1/internal-info",
        internal_info,
    )
}
