//! `GET /_matrix/client/v3/rooms/{roomId}/messages`
//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing>

use axum::extract::{Query, State};
use http::Uri;
use pli_core::{
    Error, History,
    federation::Backfill,
    history::{Direction, MessagesQuery, RelTypes, Viewer},
    token::Boundary,
};
use ruma::{
    api::{
        self,
        client::{message::get_message_events::v3, room::get_event_by_timestamp::v1},
    },
    serde::Raw,
};
use serde_json::value::RawValue;

use crate::{Result, Routes, Ruma, UserOrGuest};

/// Pages that are made anew because a part of the past was fetched meanwhile.
const FILLS_MAX: usize = 3;

/// The core's direction of ruma's.
pub(crate) const fn direction(direction: api::Direction) -> Direction {
    match direction {
        api::Direction::Forward => Direction::Forward,
        api::Direction::Backward => Direction::Backward,
    }
}

/// A pagination token, if there is one. (Some clients send an empty one.)
pub(super) fn boundary(token: Option<&String>) -> Result<Option<Boundary>> {
    Ok(token.filter(|token| !token.is_empty()).map(|token| Boundary::parse(token)).transpose()?)
}

/// A number of events, bounded by the core.
pub(crate) fn limit(limit: ruma::UInt) -> usize {
    usize::try_from(u64::from(limit)).unwrap_or(usize::MAX)
}

/// Rendered events as a response type of ruma wants them.
pub(super) fn raw<T>(events: Vec<Box<RawValue>>) -> Vec<Raw<T>> {
    events.into_iter().map(Raw::from_json).collect()
}

/// Who looks.
pub(super) fn viewer(user: &UserOrGuest) -> Viewer<'_> {
    Viewer { user_id: user.user_id(), device_id: Some(user.device_id()) }
}

/// What the filter says of relations, under the names of MSC3874 and those that it is to have.
#[derive(Default, serde::Deserialize)]
struct RelTypesFilter {
    rel_types: Option<Vec<String>>,
    #[serde(default)]
    not_rel_types: Vec<String>,
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    unstable_rel_types: Option<Vec<String>>,
    #[serde(default, rename = "org.matrix.msc3874.not_rel_types")]
    unstable_not_rel_types: Vec<String>,
}

/// Reads the part of the filter that ruma's type leaves out.
fn rel_types(uri: &Uri) -> Result<RelTypes> {
    let fields = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let fields = fields.map_err(|error| Error::InvalidParam(error.body_text()))?.0;
    let filter = fields.into_iter().find(|(name, _)| name == "filter").map(|(_, filter)| filter);
    let Some(filter) = filter.filter(|filter| !filter.is_empty()) else {
        return Ok(RelTypes::default());
    };
    let filter: RelTypesFilter =
        serde_json::from_str(&filter).map_err(|error| Error::InvalidParam(error.to_string()))?;
    let mut unwanted = filter.not_rel_types;
    unwanted.extend(filter.unstable_not_rel_types);
    Ok(RelTypes { wanted: filter.rel_types.or(filter.unstable_rel_types), unwanted })
}

/// Just after the place of an event: it was on the page.
pub(super) const fn behind(end: Boundary) -> Boundary {
    Boundary::after(end.position, end.index)
}

async fn messages(
    State(history): State<History>,
    State(backfill): State<Backfill>,
    user: UserOrGuest,
    uri: Uri,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Ruma<v3::Response>> {
    let query = MessagesQuery {
        from: boundary(request.from.as_ref())?,
        to: boundary(request.to.as_ref())?,
        direction: direction(request.dir),
        limit: limit(request.limit),
        filter: request.filter,
    };
    let reader = history.open_timeline(&request.room_id, user.user_id()).await?;
    let rel_types = rel_types(&uri)?;
    let viewer = viewer(&user);
    let mut page = history.messages_related(&reader, viewer, &query, &rel_types).await?;
    if query.direction == Direction::Backward {
        let room = reader.room();
        for _ in 0..FILLS_MAX {
            let oldest = page.end.map_or(Boundary::START, behind).max(query.to.unwrap_or_default());
            if !backfill.fill(room, (oldest, page.start)).await? {
                break;
            }
            page = history.messages_related(&reader, viewer, &query, &rel_types).await?;
        }
        if page.end.is_none() && !page.chunk.is_empty() && query.to.is_none() {
            page.end = backfill.edge(room).await?;
        }
    }
    let mut response = v3::Response::new();
    response.start = page.start.to_string();
    response.end = page.end.map(|end| end.to_string());
    response.chunk = raw(page.chunk);
    response.state = raw(page.state);
    Ok(Ruma(response))
}

async fn timestamp_to_event(
    State(history): State<History>,
    State(backfill): State<Backfill>,
    user: UserOrGuest,
    Ruma(request): Ruma<v1::Request>,
) -> Result<Ruma<v1::Response>> {
    let reader = history.open_timeline(&request.room_id, user.user_id()).await?;
    let at_ms = u64::from(request.ts.0);
    let way = direction(request.dir);
    backfill.reach(reader.room(), at_ms, way).await?;
    let event = history.event_by_time(&reader, at_ms, way).await?;
    let sent = event.pdu()?.origin_server_ts;
    Ok(Ruma(v1::Response::new(event.record.event_id.clone(), sent)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(messages).ruma(timestamp_to_event)
}
