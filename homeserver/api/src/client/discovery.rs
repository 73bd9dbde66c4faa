//! `GET /_matrix/client/versions`
//! `GET /_matrix/client/v3/capabilities`
//! `GET /.well-known/matrix/client`
//! `GET /.well-known/matrix/policy_server`
//! `GET /.well-known/matrix/server`
//! `GET /.well-known/matrix/support`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-discovery>,
//! <https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation>,
//! <https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver>

mod unstable_features;

use axum::{Json, extract::State};
use http::Method;
use pli_core::{Error as Core, calls::Jitsi, rooms::room_versions};
use ruma::api::client::discovery::{
    discover_homeserver, discover_policy_server, discover_support, get_capabilities, get_supported_versions,
};
use serde_json::{Map, Value, json};

use self::unstable_features::unstable_features;
use crate::{Anyone, Result, Routes, Ruma, UserOrGuest, state::ServerInfo};

/// The versions of the specification that the server speaks, oldest first.
const VERSIONS: [&str; 22] = [
    "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8",
    "v1.9", "v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18",
    "v1.19",
];

async fn versions(
    State(server): State<ServerInfo>,
    _: Anyone,
    Ruma(_): Ruma<get_supported_versions::Request>,
) -> Result<Ruma<get_supported_versions::Response>> {
    let versions = VERSIONS.iter().map(|&version| version.to_owned()).collect();
    let mut response = get_supported_versions::Response::new(versions);
    response.unstable_features = unstable_features(&server.config).collect();
    Ok(Ruma(response))
}

async fn capabilities(
    State(server): State<ServerInfo>,
    user: UserOrGuest,
    Ruma(_): Ruma<get_capabilities::v3::Request>,
) -> Json<Value> {
    let config = &server.config;
    let available: Map<String, Value> =
        room_versions().map(|(version, stability)| (version, json!(stability))).collect();
    // Written out in full, because some clients take an absent capability for a missing one.
    let mut capabilities = json!({
        "m.change_password": { "enabled": config.passwords.enabled },
        "m.room_versions": {
            "default": config.rooms.default_version,
            "available": available,
        },
        "m.profile_fields": { "enabled": true },
        "m.set_displayname": { "enabled": !config.profiles.display_name_locked },
        "m.set_avatar_url": { "enabled": true },
        "m.3pid_changes": { "enabled": true },
        "m.get_login_token": { "enabled": config.passwords.enabled },
        "m.forget_forced_upon_leave": { "enabled": false },
        "org.matrix.msc4140.delayed_events": {
            "max_delay_ms": config.rooms.delayed_events.max_ms,
            "max_scheduled": config.rooms.delayed_events.per_user,
        },
    });
    if config.profiles.display_name_locked && !user.is_admin {
        capabilities["m.profile_fields"]["disallowed"] = json!(["displayname"]);
    }
    if user.is_admin {
        for name in ["m.account_moderation", "uk.timedout.msc4323"] {
            capabilities[name] = json!({ "suspend": true, "lock": true });
        }
    }
    Json(json!({ "capabilities": capabilities }))
}

async fn well_known_client(
    State(server): State<ServerInfo>,
    Ruma(_): Ruma<discover_homeserver::Request>,
) -> Result<Json<Value>> {
    let mut document = json!({ "m.homeserver": { "base_url": &*server.base_url } });
    if let Some(domain) = &server.config.calls.jitsi_domain {
        document["io.element.jitsi"] = json!(Jitsi::new(domain)?.well_known());
    }
    if let Some(address) = &server.config.well_known.identity_server {
        document["m.identity_server"] = json!({ "base_url": address });
    }
    let foci = super::rtc::foci(&server);
    if !foci.is_empty() {
        document["org.matrix.msc4143.rtc_foci"] = Value::Array(foci);
    }
    Ok(Json(document))
}

async fn well_known_server(State(server): State<ServerInfo>) -> Result<Json<Value>> {
    let Some(address) = &server.config.well_known.server else {
        return Err(Core::not_found("This server is reached under its own name").into());
    };
    Ok(Json(json!({ "m.server": address })))
}

async fn policy_server(
    State(server): State<ServerInfo>,
    Ruma(_): Ruma<discover_policy_server::Request>,
) -> Result<Json<Value>> {
    let Some(key) = &server.config.well_known.policy_server_key else {
        return Err(Core::not_found("This server has no policy server").into());
    };
    Ok(Json(json!({ "public_keys": { "ed25519": key } })))
}

async fn support(
    State(server): State<ServerInfo>,
    Ruma(_): Ruma<discover_support::Request>,
) -> Result<Json<Value>> {
    let support = &server.config.well_known.support;
    let mut document = Map::new();
    if support.email.is_some() || support.matrix_id.is_some() {
        let mut contact = Map::from_iter([("role".to_owned(), json!("m.role.admin"))]);
        contact.extend(support.email.iter().map(|it| ("email_address".to_owned(), json!(it))));
        contact.extend(support.matrix_id.iter().map(|it| ("matrix_id".to_owned(), json!(it))));
        document.insert("contacts".into(), json!([contact]));
    }
    document.extend(support.page.iter().map(|it| ("support_page".to_owned(), json!(it))));
    if document.is_empty() {
        return Err(Core::not_found("No contact is configured").into());
    }
    Ok(Json(Value::Object(document)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .ruma(versions)
        .ruma(capabilities)
        .ruma(well_known_client)
        .ruma(policy_server)
        .ruma(support)
        .path(&Method::GET, "/.well-known/matrix/server", well_known_server)
}
