//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`
//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-previews> and
//! <https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces>; the unstable
//! paths are those of MSC3266 and MSC2946.

use axum::extract::State;
use http::Method;
use pli_core::{
    Rooms,
    rooms::{HierarchyPage, HierarchyQuery, RoomSummary},
};
use ruma::api::client::{room::get_summary, space::get_hierarchy};
use serde::Serialize;

use crate::{Anyone, Json, Result, Routes, Ruma, UserOrGuest};

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    summary: RoomSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'static str>,
}

async fn summary(
    State(rooms): State<Rooms>,
    Anyone(who): Anyone,
    Ruma(request): Ruma<get_summary::v1::Request>,
) -> Result<Json<Answer>> {
    let room_id = rooms.resolve(&request.room_id_or_alias).await?;
    let user_id = who.as_ref().map(|who| &*who.user_id);
    let (summary, membership) = rooms.summary(&room_id, user_id).await?;
    let membership = membership.map(pli_core::records::Membership::name);
    Ok(Json(Answer { summary, membership }))
}

async fn hierarchy(
    State(rooms): State<Rooms>,
    user: UserOrGuest,
    Ruma(request): Ruma<get_hierarchy::v1::Request>,
) -> Result<Json<HierarchyPage>> {
    let query = HierarchyQuery {
        user_id: user.user_id().to_owned(),
        room_id: request.room_id,
        from: request.from.filter(|from| !from.is_empty()),
        limit: request.limit.map(u64::from),
        max_depth: request.max_depth.map(u64::from),
        suggested_only: request.suggested_only,
    };
    Ok(Json(rooms.hierarchy(&query).await?))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(summary).ruma(hierarchy).path(
        &Method::GET,
        "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}",
        summary,
    )
}
