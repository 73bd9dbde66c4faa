//! `GET /_matrix/key/v2/server`
//! `GET /_matrix/key/v2/query/{serverName}`
//! `POST /_matrix/key/v2/query`
//!
//! What this server signs with, and what it knows of the keys of others.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>

use axum::extract::State;
use pli_core::federation::Signed;
use ruma::{
    CanonicalJsonObject, MilliSecondsSinceUnixEpoch, OwnedServerName,
    api::federation::discovery::{
        ServerSigningKeys, get_remote_server_keys, get_remote_server_keys_batch, get_server_keys,
    },
    serde::Raw,
};

use crate::{Error, Result, Routes, Ruma};

/// Servers whose keys may be asked for in one request.
const SERVERS_MAX: usize = 100;

fn raw(object: &CanonicalJsonObject) -> Result<Raw<ServerSigningKeys>> {
    let json = serde_json::value::to_raw_value(object);
    let json = json.map_err(|error| pli_core::Error::bug(error.to_string()))?;
    Ok(Raw::from_json(json))
}

async fn get_server_keys(
    State(signed): State<Signed>,
    Ruma(_): Ruma<get_server_keys::v2::Request>,
) -> Result<Ruma<get_server_keys::v2::Response>> {
    let published = signed.remote().own().published()?;
    Ok(Ruma(get_server_keys::v2::Response::new(raw(&published)?)))
}

async fn vouch(
    signed: &Signed,
    servers: Vec<(OwnedServerName, MilliSecondsSinceUnixEpoch)>,
) -> Result<Vec<Raw<ServerSigningKeys>>> {
    if servers.len() > SERVERS_MAX {
        return Err(Error::from(pli_core::Error::invalid_param("Too many servers in one request")));
    }
    let mut answers = Vec::new();
    for (server, until) in servers {
        if let Some(object) = signed.keys().vouch(&server, until.0.into()).await? {
            answers.push(raw(&object)?);
        }
    }
    Ok(answers)
}

async fn get_remote_server_keys(
    State(signed): State<Signed>,
    Ruma(request): Ruma<get_remote_server_keys::v2::Request>,
) -> Result<Ruma<get_remote_server_keys::v2::Response>> {
    let asked = vec![(request.server_name, request.minimum_valid_until_ts)];
    let answers = vouch(&signed, asked).await?;
    Ok(Ruma(get_remote_server_keys::v2::Response::new(answers)))
}

async fn get_remote_server_keys_batch(
    State(signed): State<Signed>,
    Ruma(request): Ruma<get_remote_server_keys_batch::v2::Request>,
) -> Result<Ruma<get_remote_server_keys_batch::v2::Response>> {
    let asked = request.server_keys.into_iter().map(|(server, keys)| {
        let until = keys.values().filter_map(|criteria| criteria.minimum_valid_until_ts).max();
        (server, until.unwrap_or(MilliSecondsSinceUnixEpoch(ruma::UInt::MIN)))
    });
    let answers = vouch(&signed, asked.collect()).await?;
    Ok(Ruma(get_remote_server_keys_batch::v2::Response::new(answers)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(get_server_keys).ruma(get_remote_server_keys).ruma(get_remote_server_keys_batch)
}
