//! `GET /_matrix/client/unstable/org.matrix.msc4143/rtc/transports`
//!
//! Where clients find the servers for calls (MSC4143). `/.well-known/matrix/client` tells the same to
//! clients that look there.

use axum::extract::State;
use ruma::api::client::rtc::transports;
use serde_json::{Value, json};

use crate::{Json, Result, Routes, UserOrGuest, state::ServerInfo};

/// The LiveKit servers of the configuration.
pub(crate) fn foci(server: &ServerInfo) -> Vec<Value> {
    let urls = server.config.calls.livekit_service_urls.iter();
    urls.map(|url| json!({ "type": "livekit", "livekit_service_url": url })).collect()
}

async fn rtc_transports(
    State(server): State<ServerInfo>,
    _: UserOrGuest,
) -> Result<Json<Value>> {
    Ok(Json(json!({ "rtc_transports": foci(&server) })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.at::<transports::v1::Request, _, _>(rtc_transports)
}
