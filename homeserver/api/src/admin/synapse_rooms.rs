//! `GET /_synapse/admin/v1/rooms`
//! `GET /_synapse/admin/v1/rooms/{roomId}`
//! `GET /_synapse/admin/v1/rooms/{roomId}/members`
//! `DELETE /_synapse/admin/v1/rooms/{roomId}`
//! `GET /_synapse/admin/v1/event_reports`
//!
//! The part of Synapse's admin API about rooms that synapse-admin and Draupnir call
//! (<https://element-hq.github.io/synapse/latest/admin_api/rooms.html>). A closed room keeps its past:
//! `purge` is not done and `block` is refused.

use axum::extract::{Path, Query, State};
use http::Method;
use pli_core::{
    Error, Reports, Rooms, records::Membership, reports::ReportsQuery, rooms::RoomOverview,
};
use pli_schema::records::administration::ReportSubject;
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Admin, Json, Result, Routes};

/// Rooms on a page if the tool does not say, and at most.
const PAGE: (usize, usize) = (100, 1_000);

type QueryOf<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

#[derive(Deserialize)]
struct Page {
    from: Option<usize>,
    limit: Option<usize>,
    search_term: Option<String>,
}

#[derive(Deserialize)]
struct Closing {
    #[serde(default)]
    block: bool,
}

fn room_id(text: &str) -> Result<OwnedRoomId, Error> {
    RoomId::parse(text).map_err(|_| Error::invalid_param("This is not a room id"))
}

fn malformed<T>(query: QueryOf<T>) -> Result<T, Error> {
    query.map(|Query(page)| page).map_err(|_| Error::invalid_param("The query is not well-formed"))
}

fn told(room: RoomOverview) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        out.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("room_id", Some(json!(room.room.id)));
    put("version", Some(json!(room.room.version)));
    put("joined_members", Some(json!(room.joined_members)));
    put("public", Some(json!(room.published)));
    put("federatable", Some(json!(true)));
    put("creator", room.creator.map(|it| json!(it)));
    for (key, value) in [
        ("name", room.name),
        ("topic", room.topic),
        ("avatar", room.avatar_url),
        ("canonical_alias", room.canonical_alias),
        ("join_rules", room.join_rule),
        ("history_visibility", room.history_visibility),
        ("guest_access", room.guest_access),
        ("encryption", room.encryption),
        ("room_type", room.room_type),
    ] {
        put(key, value.map(Value::from));
    }
    Value::Object(out)
}

fn matches(room: &RoomOverview, term: Option<&str>) -> bool {
    let Some(term) = term.map(str::to_lowercase) else { return true };
    let has = |text: &Option<String>| {
        text.as_ref().is_some_and(|text| text.to_lowercase().contains(&term))
    };
    has(&room.name) || has(&room.canonical_alias) || room.room.id.as_str().contains(&term)
}

async fn list(State(rooms): State<Rooms>, _: Admin, query: QueryOf<Page>) -> Result<Json<Value>> {
    let page = malformed(query)?;
    let (from, term) = (page.from.unwrap_or(0), page.search_term.as_deref());
    let limit = page.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1);
    let all = rooms.all_rooms().await?;
    let mut total = all.len();
    let mut found = Vec::new();
    if term.is_some() {
        for room in all {
            let room = rooms.overview(room).await?;
            if matches(&room, term) {
                found.push(room);
            }
        }
        total = found.len();
        found = found.into_iter().skip(from).take(limit).collect();
    } else {
        for room in all.into_iter().skip(from).take(limit) {
            found.push(rooms.overview(room).await?);
        }
    }
    let next = from.saturating_add(found.len());
    let found: Vec<Value> = found.into_iter().map(told).collect();
    let mut body = json!({ "rooms": found, "offset": from, "total_rooms": total });
    if next < total {
        body["next_batch"] = json!(next);
    }
    Ok(Json(body))
}

async fn one(
    State(rooms): State<Rooms>,
    _: Admin,
    Path(room): Path<String>,
) -> Result<Json<Value>> {
    let room = rooms.room_or_forbidden(&room_id(&room)?).await.map_err(hidden)?;
    Ok(Json(told(rooms.overview(pli_core::rooms::Room::clone(&room)).await?)))
}

/// For an admin a room that is not known is not there.
fn hidden(error: Error) -> Error {
    match error {
        Error::Forbidden(_) => Error::not_found("Room not found"),
        other => other,
    }
}

async fn members(
    State(rooms): State<Rooms>,
    _: Admin,
    Path(room): Path<String>,
) -> Result<Json<Value>> {
    let room = rooms.room_or_forbidden(&room_id(&room)?).await.map_err(hidden)?;
    let members = rooms.members(room.number, Some(Membership::Join)).await?;
    let members: Vec<_> = members.into_iter().map(|(user_id, _)| user_id).collect();
    Ok(Json(json!({ "total": members.len(), "members": members })))
}

async fn close(
    State(rooms): State<Rooms>,
    admin: Admin,
    Path(room): Path<String>,
    Json(closing): Json<Closing>,
) -> Result<Json<Value>> {
    if closing.block {
        return Err(Error::invalid_param("Rooms cannot be blocked on this server").into());
    }
    let closed = rooms.close(admin.user_id(), &room_id(&room)?).await?;
    Ok(Json(json!({
        "kicked_users": closed.left,
        "failed_to_kick_users": closed.failed,
        "local_aliases": closed.aliases,
        "new_room_id": null,
    })))
}

/// The reports of events that are open, newest first.
async fn event_reports(
    State(reports): State<Reports>,
    _: Admin,
    query: QueryOf<Page>,
) -> Result<Json<Value>> {
    let page = malformed(query)?;
    let query = ReportsQuery { with_closed: false, before: None, limit: usize::MAX };
    let mut found = Vec::new();
    for report in reports.list(query).await? {
        if let ReportSubject::Event { room_id, event_id, sender } = report.record.subject {
            found.push(json!({
                "id": report.number,
                "received_ts": report.record.at_ms,
                "room_id": room_id,
                "event_id": event_id,
                "sender": sender,
                "user_id": report.record.reporter,
                "reason": report.record.reason,
                "score": null,
            }));
        }
    }
    let total = found.len();
    let (from, limit) = (page.from.unwrap_or(0), page.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1));
    let shown: Vec<Value> = found.into_iter().skip(from).take(limit).collect();
    let next = from.saturating_add(shown.len());
    let mut body = json!({ "event_reports": shown, "total": total });
    if next < total {
        body["next_token"] = json!(next);
    }
    Ok(Json(body))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    const ROOMS: &str = "/_synapse/admin/v1/rooms";
    const ROOM: &str = "/_synapse/admin/v1/rooms/{room_id}";
    let of_members = format!("{ROOM}/members");
    routes
        .path(&Method::GET, ROOMS, list)
        .path(&Method::GET, ROOM, one)
        .path(&Method::DELETE, ROOM, close)
        .path(&Method::GET, &of_members, members)
        .path(&Method::GET, "/_synapse/admin/v1/event_reports", event_reports)
}
