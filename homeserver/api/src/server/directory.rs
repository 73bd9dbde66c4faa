//! `GET /_matrix/federation/v1/publicRooms`
//! `POST /_matrix/federation/v1/publicRooms`
//!
//! This server's directory of published rooms, for other servers.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#published-room-directory>

use axum::extract::State;
use pli_core::{
    Rooms,
    federation::{Signed, Use},
    rooms::PublicRoomsQuery,
};
use ruma::{
    ServerName,
    api::federation::directory::{
        get_public_rooms::v1 as all, get_public_rooms_filtered::v1 as filtered,
    },
};

use super::FromServer;
use crate::{
    Result, Routes, Ruma,
    client::directory::{limit, network, total},
};

async fn require(signed: &Signed, origin: &ServerName) -> Result<()> {
    Ok(signed.partners().require(origin, Use::PublicRooms).await?)
}

async fn public_rooms(
    State(signed): State<Signed>,
    State(rooms): State<Rooms>,
    FromServer { origin, request }: FromServer<all::Request>,
) -> Result<Ruma<all::Response>> {
    require(&signed, &origin).await?;
    let query = PublicRoomsQuery {
        limit: limit(request.limit),
        since: request.since,
        network: network(request.room_network)?,
        ..PublicRoomsQuery::default()
    };
    let page = rooms.public_rooms(&query).await?;
    let mut response = all::Response::new();
    response.total_room_count_estimate = total(&page);
    response.chunk = page.chunk;
    response.next_batch = page.next_batch;
    response.prev_batch = page.prev_batch;
    Ok(Ruma(response))
}

async fn public_rooms_filtered(
    State(signed): State<Signed>,
    State(rooms): State<Rooms>,
    FromServer { origin, request }: FromServer<filtered::Request>,
) -> Result<Ruma<filtered::Response>> {
    require(&signed, &origin).await?;
    let query = PublicRoomsQuery {
        limit: limit(request.limit),
        since: request.since,
        filter: request.filter,
        network: network(request.room_network)?,
    };
    let page = rooms.public_rooms(&query).await?;
    let mut response = filtered::Response::new();
    response.total_room_count_estimate = total(&page);
    response.chunk = page.chunk;
    response.next_batch = page.next_batch;
    response.prev_batch = page.prev_batch;
    Ok(Ruma(response))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(public_rooms).ruma(public_rooms_filtered)
}
