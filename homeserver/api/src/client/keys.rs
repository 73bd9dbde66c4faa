//! `POST /_matrix/client/v3/keys/upload`
//! `POST /_matrix/client/v3/keys/query`
//! `POST /_matrix/client/v3/keys/claim`
//! `GET /_matrix/client/v3/keys/changes`
//! `POST /_matrix/client/v3/keys/signatures/upload`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#key-management-api>

use std::collections::BTreeMap;

use axum::extract::State;
use pli_core::{
    encryption::{Encryption, KeyUpload, SignatureFailures},
    federation::{Devices, Unreachable},
    token::SyncToken,
};
use pli_schema::Position;
use ruma::api::client::keys::{
    claim_keys, get_key_changes, get_keys, upload_keys,
    upload_signatures::{self, v3::Failure},
};

use crate::{Result, Routes, Ruma, UserOrGuest};

/// Largest upload of keys and signatures.
const UPLOAD_LIMIT_BYTES: usize = 4 * 1024 * 1024;

async fn upload(
    State(encryption): State<Encryption>,
    user: UserOrGuest,
    Ruma(request): Ruma<upload_keys::v3::Request>,
) -> Result<Ruma<upload_keys::v3::Response>> {
    if user.device_id().as_str().is_empty() {
        let text = "Keys belong to a device: name it with `device_id`";
        return Err(pli_core::Error::missing_param(text).into());
    }
    let upload = KeyUpload {
        device_keys: request.device_keys,
        one_time_keys: request.one_time_keys,
        fallback_keys: request.fallback_keys,
    };
    let counts = encryption.upload_keys(user.user_id(), user.device_id(), &upload).await?;
    let counts = counts.into_iter().map(|(name, count)| (name, count.into())).collect();
    Ok(Ruma(upload_keys::v3::Response::new(counts)))
}

async fn query(
    State(devices): State<Devices>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_keys::v3::Request>,
) -> Result<Ruma<get_keys::v3::Response>> {
    let wanted = &request.device_keys;
    let all = devices.query(user.user_id(), wanted, request.timeout).await?;
    let found = all.keys;
    let mut response = get_keys::v3::Response::new();
    response.failures = failures(all.failures);
    response.device_keys = found.device_keys;
    response.master_keys = found.master_keys;
    response.self_signing_keys = found.self_signing_keys;
    response.user_signing_keys = found.user_signing_keys;
    Ok(Ruma(response))
}

/// The servers that could not be asked, as clients are told of them.
fn failures(unreachable: Unreachable) -> BTreeMap<String, serde_json::Value> {
    let told = |why: &str| serde_json::json!({ "errcode": "M_UNKNOWN", "error": why });
    unreachable.into_iter().map(|(server, why)| (server.to_string(), told(why))).collect()
}

async fn claim(
    State(devices): State<Devices>,
    _: UserOrGuest,
    Ruma(request): Ruma<claim_keys::v3::Request>,
) -> Result<Ruma<claim_keys::v3::Response>> {
    let (keys, unreachable) = devices.claim(&request.one_time_keys, request.timeout).await?;
    let mut response = claim_keys::v3::Response::new(keys);
    response.failures = failures(unreachable);
    Ok(Ruma(response))
}

/// `to` is a hint only: what changed after it is told too, for the stream keeps the newest change of
/// each user.
async fn changes(
    State(encryption): State<Encryption>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_key_changes::v3::Request>,
) -> Result<Ruma<get_key_changes::v3::Response>> {
    SyncToken::parse(&request.to)?;
    let from = SyncToken::parse(&request.from)?.position;
    let updates = encryption.device_list_updates(user.user_id(), from, Position::MAX).await?;
    Ok(Ruma(get_key_changes::v3::Response::new(updates.changed, updates.left)))
}

async fn signatures(
    State(encryption): State<Encryption>,
    user: UserOrGuest,
    Ruma(request): Ruma<upload_signatures::v3::Request>,
) -> Result<Ruma<upload_signatures::v3::Response>> {
    let mut signed = BTreeMap::new();
    for (owner, keys) in request.signed_keys {
        let keys = keys.iter().map(|(id, json)| (id.to_owned(), json.to_owned())).collect();
        signed.insert(owner, keys);
    }
    let failures = encryption.upload_signatures(user.user_id(), &signed).await?;
    let mut response = upload_signatures::v3::Response::new();
    response.failures = as_ruma(failures)?;
    Ok(Ruma(response))
}

/// The failures in ruma's type, which can be made from JSON only.
fn as_ruma(
    failures: SignatureFailures,
) -> Result<BTreeMap<ruma::OwnedUserId, BTreeMap<String, Failure>>> {
    let mut out = BTreeMap::new();
    for (owner, keys) in failures {
        let mut by_key = BTreeMap::new();
        for (key_id, failure) in keys {
            let json = serde_json::json!({ "errcode": failure.errcode, "error": failure.error });
            let failure = serde_json::from_value(json)
                .map_err(|error| pli_core::Error::bug(format!("failure: {error}")))?;
            by_key.insert(key_id, failure);
        }
        out.insert(owner, by_key);
    }
    Ok(out)
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .body_limit(UPLOAD_LIMIT_BYTES)
        .ruma(upload)
        .ruma(query)
        .ruma(claim)
        .ruma(changes)
        .body_limit(UPLOAD_LIMIT_BYTES)
        .ruma(signatures)
}
