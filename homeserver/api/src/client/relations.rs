//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`
//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}`
//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#relationships-api>

use axum::extract::State;
use pli_core::{History, history::RelationsQuery};
use ruma::{
    EventId, RoomId, UInt,
    api::client::relations::{
        get_relating_events::v1 as any, get_relating_events_with_rel_type::v1 as of_rel_type,
        get_relating_events_with_rel_type_and_event_type::v1 as of_types,
    },
};

use super::messages::{boundary, direction, limit, raw, viewer};
use crate::{Result, Routes, Ruma, UserOrGuest};

/// Events of a page, and most of them.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

/// Translates the query that the three endpoints share.
macro_rules! query {
    ($request:ident, $rel_type:expr, $event_type:expr) => {
        RelationsQuery {
            rel_type: $rel_type,
            event_type: $event_type,
            from: boundary($request.from.as_ref())?,
            to: boundary($request.to.as_ref())?,
            direction: direction($request.dir),
            limit: $request.limit.map_or(PAGE, limit).min(PAGE_MAX),
            recurse: $request.recurse,
        }
    };
}

/// What the three responses share.
struct Answer {
    chunk: Vec<Box<serde_json::value::RawValue>>,
    next_batch: Option<String>,
    prev_batch: Option<String>,
    recursion_depth: Option<UInt>,
}

async fn related(
    history: &History,
    user: &UserOrGuest,
    (room_id, event_id): (&RoomId, &EventId),
    query: &RelationsQuery,
) -> Result<Answer> {
    let reader = history.open_timeline(room_id, user.user_id()).await?;
    let page = history.relations(&reader, viewer(user), event_id, query).await?;
    Ok(Answer {
        chunk: page.chunk,
        next_batch: page.next.map(|next| next.to_string()),
        prev_batch: query.from.map(|from| from.to_string()),
        recursion_depth: query.recurse.then(|| UInt::from(pli_core::history::RECURSION_DEPTH_MAX)),
    })
}

/// Writes the handlers, which differ in their types only.
macro_rules! handler {
    ($name:ident, $module:ident, |$request:ident| $rel_type:expr, $event_type:expr) => {
        async fn $name(
            State(history): State<History>,
            user: UserOrGuest,
            Ruma($request): Ruma<$module::Request>,
        ) -> Result<Ruma<$module::Response>> {
            let query = query!($request, $rel_type, $event_type);
            let event = (&*$request.room_id, &*$request.event_id);
            let answer = related(&history, &user, event, &query).await?;
            let mut response = $module::Response::new(raw(answer.chunk));
            response.next_batch = answer.next_batch;
            response.prev_batch = answer.prev_batch;
            response.recursion_depth = answer.recursion_depth;
            Ok(Ruma(response))
        }
    };
}

handler!(relations, any, |request| None, None);
handler!(
    relations_of_rel_type,
    of_rel_type,
    |request| Some(request.rel_type.to_string()),
    None
);
handler!(
    relations_of_types,
    of_types,
    |request| Some(request.rel_type.to_string()),
    Some(request.event_type.to_string())
);

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(relations).ruma(relations_of_rel_type).ruma(relations_of_types)
}
