//! `GET /_synapse/admin/v1/register`
//! `POST /_synapse/admin/v1/register`
//!
//! Registration with a secret that the server and a tool share, as Synapse has it
//! (<https://element-hq.github.io/synapse/latest/admin_api/register_api.html>): for test suites and
//! set-up scripts. Off unless `registration.shared_secret` is set.
//!
//! The nonce holds its own end and the server's mark, so that none has to be remembered.

use axum::extract::State;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use http::Method;
use pli_core::{
    Error,
    accounts::{Accounts, DeviceWish, Secret},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use crate::{Json, Result, Routes};

/// How long a nonce is good, in milliseconds.
const NONCE_LIFETIME_MS: u64 = 60_000;

#[derive(Deserialize)]
struct Register {
    nonce: String,
    username: String,
    password: String,
    #[serde(default)]
    admin: bool,
    displayname: Option<String>,
    user_type: Option<String>,
    mac: String,
}

fn secret(accounts: &Accounts) -> Result<&str, Error> {
    accounts.settings().registration.shared_secret.as_deref().ok_or(Error::Unrecognized)
}

fn mark(secret: &str, end: &str) -> Result<String, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|_| Error::bug("the shared secret is no key"))?;
    mac.update(b"nonce");
    mac.update(end.as_bytes());
    Ok(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

async fn nonce(State(accounts): State<Accounts>) -> Result<Json<Value>> {
    let secret = secret(&accounts)?;
    let end = accounts.now_ms().saturating_add(NONCE_LIFETIME_MS);
    let end = format!("{end}.{}", accounts.random_letters(12));
    let mark = mark(secret, &end)?;
    Ok(Json(json!({ "nonce": format!("{end}.{mark}") })))
}

fn check_nonce(secret: &str, nonce: &str, now_ms: u64) -> Result<(), Error> {
    let refused = || Error::invalid_param("Unrecognised nonce");
    let (end, given) = nonce.rsplit_once('.').ok_or_else(refused)?;
    let alive = end
        .split_once('.')
        .and_then(|(ms, _)| ms.parse::<u64>().ok())
        .is_some_and(|ms| ms > now_ms);
    if alive && mark(secret, end)? == given { Ok(()) } else { Err(refused()) }
}

fn check_mac(secret: &str, request: &Register) -> Result<(), Error> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
        .map_err(|_| Error::bug("the shared secret is no key"))?;
    let admin = if request.admin { "admin" } else { "notadmin" };
    let parts = [&*request.nonce, &*request.username, &*request.password, admin];
    mac.update(parts.join("\0").as_bytes());
    if let Some(user_type) = &request.user_type {
        mac.update(b"\0");
        mac.update(user_type.as_bytes());
    }
    let given: Option<Vec<u8>> = (0..request.mac.len() / 2)
        .map(|at| request.mac.get(at * 2..at * 2 + 2))
        .map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    mac.verify_slice(&given.unwrap_or_default()).map_err(|_| Error::forbidden("HMAC incorrect"))
}

async fn register(
    State(accounts): State<Accounts>,
    Json(request): Json<Register>,
) -> Result<Json<Value>> {
    let secret = secret(&accounts)?;
    check_nonce(secret, &request.nonce, accounts.now_ms())?;
    check_mac(secret, &request)?;
    let password = Secret::from(request.password);
    let user_id =
        accounts.create_account(&request.username, Some(&password), request.admin).await?;
    if let Some(name) = request.displayname {
        accounts.set_profile_field(&user_id, "displayname", Some(Value::from(name))).await?;
    }
    let session = accounts.login_as(&user_id, &DeviceWish::default()).await?;
    Ok(Json(json!({
        "access_token": session.access_token.reveal(),
        "user_id": session.user_id,
        "home_server": accounts.server_name(),
        "device_id": session.device_id,
    })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const PATH: &str = "/_synapse/admin/v1/register";
    routes.path(&Method::GET, PATH, nonce).path(&Method::POST, PATH, register)
}
