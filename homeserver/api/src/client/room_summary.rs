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
    federation::{Queries, RemoteRooms},
    rooms::{Elsewhere, HierarchyPage, HierarchyQuery, RoomSummary},
};
use ruma::OwnedRoomId;
use ruma::api::client::{room::get_summary, space::get_hierarchy};
use serde::Serialize;

use crate::{Anyone, Json, Result, Routes, Ruma, UserOrGuest};

/// Servers that are asked for a room at most.
const VIA_MAX: usize = 5;

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    summary: RoomSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'static str>,
}

async fn summary(
    State(rooms): State<Rooms>,
    State(remote_rooms): State<RemoteRooms>,
    State(queries): State<Queries>,
    Anyone(who): Anyone,
    Ruma(request): Ruma<get_summary::v1::Request>,
) -> Result<Json<Answer>> {
    let user_id = who.as_ref().map(|who| &*who.user_id);
    // Strangers do not make this server ask others.
    let (room_id, mut via) = match (user_id, OwnedRoomId::try_from(request.room_id_or_alias)) {
        (_, Ok(room_id)) => (room_id, request.via),
        (Some(_), Err(alias)) => {
            let found = remote_rooms.alias(&alias).await?;
            (found.room_id, found.servers)
        }
        (None, Err(alias)) => (rooms.resolve_alias(&alias).await?, Vec::new()),
    };
    if let Some(user_id) = user_id
        && rooms.resident_room(&room_id).await?.is_none()
    {
        via.truncate(VIA_MAX);
        if let Some(space) = queries.space(&room_id, &via, false).await
            && rooms.may_find_elsewhere(&space.room, Some(user_id)).await?
        {
            let membership = Some(rooms.membership_in(&room_id, user_id).await?.name());
            return Ok(Json(Answer { summary: space.room.clone(), membership }));
        }
    }
    let (summary, membership) = rooms.summary(&room_id, user_id).await?;
    let membership = membership.map(pli_core::records::Membership::name);
    Ok(Json(Answer { summary, membership }))
}

async fn hierarchy(
    State(rooms): State<Rooms>,
    State(queries): State<Queries>,
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
    Ok(Json(rooms.hierarchy(&query, &queries).await?))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(summary).ruma(hierarchy).path(
        &Method::GET,
        "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}",
        summary,
    )
}
