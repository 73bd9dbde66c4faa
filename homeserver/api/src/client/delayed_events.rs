//! `PUT /_matrix/client/unstable/org.matrix.msc4140/rooms/{roomId}/delayed_event/{eventType}/{txnId}`
//! `GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events`
//! `GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}`
//! `POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}`
//! `POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}/{action}`
//!
//! Delayed events (MSC4140). Clients also schedule them with `org.matrix.msc4140.delay` on the two
//! ordinary endpoints that send events, as an earlier form of the proposal had it.
//!
//! What is done about an event needs no token: who knows its id may do it, so that the media server of a
//! call can end a membership of a client that vanished.

use axum::extract::{Path, Query, State};
use http::Method;
use pli_core::{
    DelayedEvents, Error,
    delayed_events::{Action, DelayedEvent, NewDelayedEvent},
};
use ruma::{api::client::delayed_events::send_delayed_event, serde::Raw};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{Anyone, Json, Result, Routes, Ruma, UserOrGuest, timestamps};

const PATH: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";

/// The delay that a client asks for on an ordinary endpoint.
#[derive(Debug, Deserialize)]
pub(crate) struct Delay {
    /// In milliseconds.
    #[serde(rename = "org.matrix.msc4140.delay")]
    pub(crate) delay_ms: Option<u64>,
}

/// The answer to a request that scheduled an event.
pub(crate) fn scheduled(delay_id: String) -> Json<Value> {
    Json(json!({ "delay_id": delay_id }))
}

async fn schedule(
    State(delayed): State<DelayedEvents>,
    user: UserOrGuest,
    ts: timestamps::Massaged,
    Ruma(request): Ruma<send_delayed_event::unstable::Request>,
) -> Result<Json<Value>> {
    let delay_id = delayed
        .schedule(NewDelayedEvent {
            user_id: user.user_id().to_owned(),
            room_id: request.room_id,
            event_type: request.event_type.to_string(),
            state_key: request.state_key,
            content: Raw::into_json(request.content),
            delay_ms: u64::try_from(request.delay.as_millis()).unwrap_or(u64::MAX),
            origin_server_ts: ts.for_user(&user),
            sticky_duration_ms: request.sticky_duration_ms.map(|duration| duration.get()),
            transaction: Some((user.device_id().to_owned(), request.txn_id)),
        })
        .await?;
    Ok(scheduled(delay_id))
}

/// Which events a client asks for, as an earlier form of the proposal had it.
#[derive(Debug, Deserialize)]
struct Wanted {
    status: Option<String>,
}

async fn list(
    State(delayed): State<DelayedEvents>,
    user: UserOrGuest,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>> {
    let wants = |status: &str| wanted.status.as_deref().is_none_or(|wanted| wanted == status);
    let mut body = Map::new();
    if wants("scheduled") {
        let waiting = delayed.of_user(user.user_id(), false).await?;
        let waiting = waiting.iter().map(as_json).collect::<Result<Vec<_>>>()?;
        body.insert("scheduled".into(), json!(waiting));
        body.insert("delayed_events".into(), json!(waiting));
    }
    if wants("finalised") {
        let ended = delayed.of_user(user.user_id(), true).await?;
        let ended = ended.iter().map(as_json).collect::<Result<Vec<_>>>()?;
        body.insert("finalised".into(), json!(ended));
    }
    Ok(Json(Value::Object(body)))
}

async fn one(
    State(delayed): State<DelayedEvents>,
    user: UserOrGuest,
    Path(delay_id): Path<String>,
) -> Result<Json<Value>> {
    Ok(Json(as_json(&delayed.get(user.user_id(), &delay_id).await?)?))
}

/// The event with the names of the proposal and those that clients read today.
fn as_json(event: &DelayedEvent) -> Result<Value> {
    let DelayedEvent { delay_id, record } = event;
    let content: &RawValue = serde_json::from_str(&record.content)
        .map_err(|error| Error::bug(format!("content of a delayed event: {error}")))?;
    let mut out = json!({
        "delay_id": delay_id, "room_id": record.room_id, "type": record.event_type,
        "content": content,
        "delay": record.delay_ms, "delay_ms": record.delay_ms,
        "running_since": record.scheduled_at_ms, "scheduled_at": record.scheduled_at_ms,
    });
    if let Some(state_key) = &record.state_key {
        out["state_key"] = json!(state_key);
    }
    if let Some(finalised) = &record.finalised {
        out["finalised_ts"] = json!(finalised.at_ms);
        if let Some(event_id) = &finalised.event_id {
            out["event_id"] = json!(event_id);
        }
        if let Some((errcode, text)) = &finalised.error {
            out["error"] = json!({ "errcode": errcode, "error": text });
        }
    }
    Ok(out)
}

fn action(name: &str) -> Option<Action> {
    match name {
        "restart" => Some(Action::Restart),
        "send" => Some(Action::Send),
        "cancel" => Some(Action::Cancel),
        _ => None,
    }
}

async fn update(
    State(delayed): State<DelayedEvents>,
    Anyone(who): Anyone,
    Path((delay_id, name)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let action = action(&name).ok_or(Error::Unrecognized)?;
    let caller = who.as_ref().map(|who| &*who.user_id);
    delayed.update(caller, &delay_id, action).await?;
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
struct Update {
    action: Option<String>,
}

async fn update_by_body(
    State(delayed): State<DelayedEvents>,
    Anyone(who): Anyone,
    Path(delay_id): Path<String>,
    Json(body): Json<Update>,
) -> Result<Json<Value>> {
    let name = body.action.ok_or_else(|| Error::missing_param("`action` is missing"))?;
    let action = action(&name).ok_or_else(|| Error::invalid_param("The action is not known"))?;
    let caller = who.as_ref().map(|who| &*who.user_id);
    delayed.update(caller, &delay_id, action).await?;
    Ok(Json(json!({})))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let one_event = format!("{PATH}/{{delay_id}}");
    routes
        .ruma(schedule)
        .path(&Method::GET, PATH, list)
        .path(&Method::GET, &one_event, one)
        .path(&Method::POST, &one_event, update_by_body)
        .path(&Method::POST, &format!("{one_event}/{{action}}"), update)
}
