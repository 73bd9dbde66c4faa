//! `PUT /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`
//! `GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`
//! `DELETE /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`
//! `GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{deviceId}/events`
//! `POST /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{deviceId}/events`
//!
//! Spec: [MSC3814](https://github.com/matrix-org/matrix-spec-proposals/pull/3814). Older clients ask for
//! the events with `POST`.

use axum::extract::{Path, Query, State};
use http::Method;
use pli_core::{
    Encryption, Error,
    accounts::{Accounts, dehydrated::DehydratedUpload},
    encryption::{Inbox, KeyUpload},
};
use pli_schema::Position;
use ruma::{
    DeviceId, OwnedDeviceId, UserId,
    api::client::dehydrated_device::{
        delete_dehydrated_device::unstable as delete, get_events::unstable as events,
        put_dehydrated_device::unstable as put,
    },
};
use serde_json::{Value, json, value::RawValue};

use crate::{Json, Result, Routes, Ruma, User};

const EVENTS: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{device_id}/events";
/// Messages in one answer.
const EVENTS_MAX: usize = 100;

async fn put_dehydrated_device(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(request): Ruma<put::Request>,
) -> Result<Ruma<put::Response>> {
    let upload = DehydratedUpload {
        device_id: request.device_id.clone(),
        display_name: request.initial_device_display_name,
        data: request.device_data.json().get().to_owned(),
        keys: KeyUpload {
            device_keys: Some(request.device_keys),
            one_time_keys: request.one_time_keys,
            fallback_keys: request.fallback_keys,
        },
    };
    accounts.put_dehydrated_device(user.user_id(), &upload).await?;
    Ok(Ruma(put::Response::new(request.device_id)))
}

async fn get_dehydrated_device(
    State(accounts): State<Accounts>,
    user: User,
) -> Result<Json<Value>> {
    let device = accounts.dehydrated_device(user.user_id()).await?;
    let data = RawValue::from_string(device.data)
        .map_err(|error| Error::bug(format!("stored dehydrated device: {error}")))?;
    Ok(Json(json!({ "device_id": device.device_id, "device_data": data })))
}

async fn delete_dehydrated_device(
    State(accounts): State<Accounts>,
    user: User,
    Ruma(_): Ruma<delete::Request>,
) -> Result<Ruma<delete::Response>> {
    let device_id = accounts.delete_dehydrated_device(user.user_id()).await?;
    Ok(Ruma(delete::Response::new(device_id)))
}

/// What waits for the device after a token. It stays there: another client may have to begin anew.
async fn waiting(
    (accounts, encryption): (&Accounts, &Encryption),
    user_id: &UserId,
    device_id: &DeviceId,
    from: Option<&str>,
) -> Result<Inbox> {
    let own = accounts.dehydrated_device(user_id).await;
    if !own.is_ok_and(|own| own.device_id == device_id) {
        return Err(Error::forbidden("This is not your dehydrated device").into());
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let from = match from {
        Some(text) if digits(text) => text.parse().ok().map(Position),
        Some(_) => None,
        None => Some(Position::ZERO),
    };
    let from = from.ok_or_else(|| Error::invalid_param("Malformed token"))?;
    Ok(encryption.inbox((user_id, device_id), from, Position::MAX, EVENTS_MAX).await?)
}

#[derive(Debug, serde::Deserialize)]
struct From {
    from: Option<String>,
}

async fn get_events(
    State(accounts): State<Accounts>,
    State(encryption): State<Encryption>,
    user: User,
    Path(device_id): Path<OwnedDeviceId>,
    Query(query): Query<From>,
) -> Result<Json<Value>> {
    let from = query.from.as_deref();
    let inbox = waiting((&accounts, &encryption), user.user_id(), &device_id, from).await?;
    let mut body = json!({ "events": inbox.events });
    if inbox.more {
        body["next_batch"] = json!(inbox.next.to_string());
    }
    Ok(Json(body))
}

async fn post_events(
    State(accounts): State<Accounts>,
    State(encryption): State<Encryption>,
    user: User,
    Ruma(request): Ruma<events::Request>,
) -> Result<Ruma<events::Response>> {
    let from = request.next_batch;
    let device_id = &request.device_id;
    let of = (&accounts, &encryption);
    let inbox = waiting(of, user.user_id(), device_id, from.as_deref()).await?;
    let mut response = events::Response::new(inbox.events);
    // These clients ask until an answer has no events, each time with the token of the last one.
    let end = if inbox.more { Some(inbox.next.to_string()) } else { None };
    let last = response.events.last().map(|_| Position(u64::MAX >> 1).to_string());
    response.next_batch = end.or(last).or(from);
    Ok(Ruma(response))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let path = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
    routes
        .ruma(put_dehydrated_device)
        .path(&Method::GET, path, get_dehydrated_device)
        .ruma(delete_dehydrated_device)
        .path(&Method::GET, EVENTS, get_events)
        .ruma(post_events)
}
