//! `GET /_pli/admin/v1/federation/partners`
//! `GET /_pli/admin/v1/federation/partners/{server}`
//! `PUT /_pli/admin/v1/federation/partners/{server}`
//! `DELETE /_pli/admin/v1/federation/partners/{server}`
//! `GET /_pli/admin/v1/federation/blocked`
//! `PUT /_pli/admin/v1/federation/blocked/{server}`
//! `DELETE /_pli/admin/v1/federation/blocked/{server}`
//! `GET /_pli/admin/v1/federation/bad_keys`
//! `PUT /_pli/admin/v1/federation/bad_keys/{key}`
//! `DELETE /_pli/admin/v1/federation/bad_keys/{key}`
//! `POST /_pli/admin/v1/federation/check/{server}`
//! `GET /_pli/admin/v1/federation/status`
//!
//! With whom this server federates (docs/admin-guide.md, "Federation"). Changes hold at once.

use axum::extract::{Path, State};
use http::Method;
use pli_core::{
    Error,
    federation::{Contact, NewPartner, Partners, Sender, Signed},
};
use pli_schema::records::partners::{Allowed, PartnerRecord, PinnedKey, RefusedRecord};
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Admin, Json, PreferredLanguage, Result, Routes};

/// Servers that are no partners and are shown in the status, at most.
const LATELY_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    pinned_keys: Vec<PinnedKey>,
    #[serde(default)]
    allowed: Allowed,
    #[serde(default)]
    room_rules_required: bool,
    #[serde(default)]
    organisations: Vec<String>,
    #[serde(default)]
    suspended: bool,
    note: Option<String>,
}

#[derive(Deserialize)]
struct Noted {
    note: Option<String>,
}

/// A server's name in a path.
pub(super) fn server_name(text: &str) -> Result<OwnedServerName, Error> {
    ServerName::parse(text.trim().to_ascii_lowercase())
        .map_err(|_| Error::invalid_param("This is not the name of a server"))
}

fn shown(server: &ServerName, partner: &PartnerRecord) -> Value {
    let mut shown = json!({
        "server": server,
        "pinned_keys": partner.pinned_keys,
        "allowed": partner.allowed,
        "room_rules_required": partner.room_rules_required,
        "organisations": partner.organizations,
        "suspended": partner.suspended,
        "changed_by": partner.changed_by,
        "changed_at_ms": partner.changed_at_ms,
    });
    if let (Some(note), Value::Object(shown)) = (&partner.note, &mut shown) {
        shown.insert("note".to_owned(), json!(note));
    }
    shown
}

fn refused((name, value): (&str, &str), record: &RefusedRecord) -> Value {
    let mut shown = json!({ name: value, "by": record.by, "at_ms": record.at_ms });
    if let (Some(note), Value::Object(shown)) = (&record.note, &mut shown) {
        shown.insert("note".to_owned(), json!(note));
    }
    shown
}

fn partners(signed: &Signed) -> &Partners {
    signed.partners()
}

async fn list(State(signed): State<Signed>, _: Admin) -> Result<Json<Value>> {
    let all = partners(&signed).all().await?;
    let all: Vec<Value> = all.iter().map(|(server, partner)| shown(server, partner)).collect();
    Ok(Json(json!({
        "enabled": partners(&signed).is_enabled(),
        "open": partners(&signed).is_open(),
        "partners": all,
    })))
}

async fn one(
    State(signed): State<Signed>,
    _: Admin,
    Path(server): Path<String>,
) -> Result<Json<Value>> {
    let server = server_name(&server)?;
    let partner = partners(&signed).partner(&server).await?;
    let partner = partner.ok_or_else(|| Error::not_found("This server is no partner"))?;
    Ok(Json(shown(&server, &partner)))
}

async fn put(
    State(signed): State<Signed>,
    admin: Admin,
    Path(server): Path<String>,
    Json(entry): Json<Entry>,
) -> Result<Json<Value>> {
    let server = server_name(&server)?;
    let new = NewPartner {
        pinned_keys: entry.pinned_keys,
        allowed: entry.allowed,
        room_rules_required: entry.room_rules_required,
        organizations: entry.organisations,
        suspended: entry.suspended,
        note: entry.note,
    };
    partners(&signed).put(admin.user_id(), &server, new).await?;
    Ok(Json(json!({})))
}

async fn remove(
    State(signed): State<Signed>,
    admin: Admin,
    Path(server): Path<String>,
) -> Result<Json<Value>> {
    partners(&signed).remove(admin.user_id(), &server_name(&server)?).await?;
    Ok(Json(json!({})))
}

async fn blocked(State(signed): State<Signed>, _: Admin) -> Result<Json<Value>> {
    let blocked = partners(&signed).blocked().await?;
    let blocked: Vec<Value> = blocked
        .iter()
        .map(|(server, record)| refused(("server", server.as_str()), record))
        .collect();
    Ok(Json(json!({ "blocked": blocked })))
}

async fn block(
    State(signed): State<Signed>,
    admin: Admin,
    Path(server): Path<String>,
    Json(noted): Json<Noted>,
) -> Result<Json<Value>> {
    let server = server_name(&server)?;
    partners(&signed).block(admin.user_id(), &server, noted.note).await?;
    Ok(Json(json!({})))
}

async fn unblock(
    State(signed): State<Signed>,
    admin: Admin,
    Path(server): Path<String>,
) -> Result<Json<Value>> {
    partners(&signed).unblock(admin.user_id(), &server_name(&server)?).await?;
    Ok(Json(json!({})))
}

async fn bad_keys(State(signed): State<Signed>, _: Admin) -> Result<Json<Value>> {
    let keys = partners(&signed).refused_keys().await?;
    let keys: Vec<Value> = keys.iter().map(|(key, record)| refused(("key", key), record)).collect();
    Ok(Json(json!({ "bad_keys": keys })))
}

async fn refuse_key(
    State(signed): State<Signed>,
    admin: Admin,
    Path(key): Path<String>,
    Json(noted): Json<Noted>,
) -> Result<Json<Value>> {
    partners(&signed).refuse_key(admin.user_id(), &key, noted.note).await?;
    Ok(Json(json!({})))
}

async fn accept_key(
    State(signed): State<Signed>,
    admin: Admin,
    Path(key): Path<String>,
) -> Result<Json<Value>> {
    partners(&signed).accept_key(admin.user_id(), &key).await?;
    Ok(Json(json!({})))
}

async fn check(
    State(signed): State<Signed>,
    _: Admin,
    PreferredLanguage(language): PreferredLanguage,
    Path(server): Path<String>,
) -> Result<Json<Value>> {
    let server = server_name(&server)?;
    let report = signed.check(&server).await?;
    let steps: Vec<Value> = report
        .steps
        .iter()
        .map(|step| {
            let (text, advice) = step.words(language);
            let mut shown = json!({ "step": step.name, "result": step.mark.word(), "text": text });
            if let (Some(advice), Value::Object(shown)) = (advice, &mut shown) {
                shown.insert("advice".to_owned(), json!(advice));
            }
            shown
        })
        .collect();
    let keys = report.keys().iter();
    let keys: Vec<Value> = keys.map(|(id, key)| json!({ "key_id": id, "key": key })).collect();
    let result = report.mark().word();
    Ok(Json(json!({ "server": server, "result": result, "steps": steps, "keys": keys })))
}

/// The contact with a server; what is not known is left out.
fn contact(server: &ServerName, contact: &Contact) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("server".to_owned(), json!(server));
    shown.insert("failing".to_owned(), json!(contact.is_failing()));
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    put("heard_ms", contact.heard_ms.map(Value::from));
    put("answered_ms", contact.answered_ms.map(Value::from));
    put("failed_ms", contact.failed.as_ref().map(|(at, _)| Value::from(*at)));
    put("error", contact.failed.as_ref().map(|(_, error)| Value::from(error.as_str())));
    shown
}

/// What waits for a server; nothing is told of one to which nothing was ever sent.
async fn queue(sender: &Sender, server: &ServerName, out: &mut Map<String, Value>) -> Result<()> {
    let status = sender.status(server).await?;
    let waiting =
        status.events.saturating_add(status.to_device).saturating_add(status.device_lists);
    out.insert("waiting".to_owned(), waiting.into());
    out.insert("rooms_behind".to_owned(), status.rooms_behind.into());
    if let Some(retry_at_ms) = status.retry_at_ms {
        out.insert("retry_at_ms".to_owned(), retry_at_ms.into());
    }
    if let Some(since_ms) = status.failing_since_ms {
        out.insert("failing_since_ms".to_owned(), since_ms.into());
        out.insert("failing".to_owned(), true.into());
    }
    if let Some(last_success_ms) = status.last_success_ms {
        out.insert("last_sent_ms".to_owned(), last_success_ms.into());
    }
    if let Some(error) = status.last_error.filter(|_| status.failures > 0) {
        out.insert("error".to_owned(), error.into());
    }
    Ok(())
}

async fn status(
    State(signed): State<Signed>,
    State(sender): State<Sender>,
    _: Admin,
) -> Result<Json<Value>> {
    let partners = partners(&signed);
    let mut servers = Vec::new();
    let all = partners.all().await?;
    for (server, partner) in &all {
        let mut shown = contact(server, &partners.contacts().of(server));
        queue(&sender, server, &mut shown).await?;
        shown.insert("partner".to_owned(), json!(true));
        shown.insert("suspended".to_owned(), json!(partner.suspended));
        servers.push(shown);
    }
    for (server, it) in partners.contacts().lately(LATELY_MAX) {
        if all.iter().any(|(partner, _)| *partner == server) {
            continue;
        }
        let mut shown = contact(&server, &it);
        queue(&sender, &server, &mut shown).await?;
        shown.insert("partner".to_owned(), json!(false));
        servers.push(shown);
    }
    Ok(Json(json!({ "servers": servers })))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const LIST: &str = "/_pli/admin/v1/federation/partners";
    const ONE: &str = "/_pli/admin/v1/federation/partners/{server}";
    const BLOCKED: &str = "/_pli/admin/v1/federation/blocked/{server}";
    const KEY: &str = "/_pli/admin/v1/federation/bad_keys/{key}";
    routes
        .path(&Method::GET, LIST, list)
        .path(&Method::GET, ONE, one)
        .path(&Method::PUT, ONE, put)
        .path(&Method::DELETE, ONE, remove)
        .path(&Method::GET, "/_pli/admin/v1/federation/blocked", blocked)
        .path(&Method::PUT, BLOCKED, block)
        .path(&Method::DELETE, BLOCKED, unblock)
        .path(&Method::GET, "/_pli/admin/v1/federation/bad_keys", bad_keys)
        .path(&Method::PUT, KEY, refuse_key)
        .path(&Method::DELETE, KEY, accept_key)
        .path(&Method::POST, "/_pli/admin/v1/federation/check/{server}", check)
        .path(&Method::GET, "/_pli/admin/v1/federation/status", status)
}
