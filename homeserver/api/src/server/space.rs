//! `GET /_matrix/federation/v1/hierarchy/{roomId}`
//!
//! A space and its children, as far as users of the server that asks could find them; also the summary of
//! a room that is no space.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#spaces>

use axum::extract::State;
use pli_core::{
    Error, Rooms,
    federation::{Signed, Use, for_servers},
};
use ruma::{
    api::federation::space::{
        SpaceHierarchyParentSummary,
        get_hierarchy::v1::{Request, Response},
    },
    serde::Raw,
};

use super::FromServer;
use crate::{Result, Routes, Ruma};

async fn hierarchy(
    State(signed): State<Signed>,
    State(rooms): State<Rooms>,
    FromServer { origin, request }: FromServer<Request>,
) -> Result<Ruma<Response>> {
    signed.partners().require(&origin, Use::PublicRooms).await?;
    let found =
        rooms.hierarchy_for_server(&request.room_id, &origin, request.suggested_only).await?;
    let state = found.room.children_state.into_iter().map(Raw::from_json).collect();
    let room = SpaceHierarchyParentSummary::new(for_servers(&found.room.summary)?, state);
    let mut response = Response::new(room);
    let children = found.children.iter().map(for_servers);
    response.children = children.collect::<Result<_, Error>>()?;
    response.inaccessible_children = found.inaccessible;
    Ok(Ruma(response))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(hierarchy)
}
