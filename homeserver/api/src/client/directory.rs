//! `GET /_matrix/client/v3/publicRooms`
//! `POST /_matrix/client/v3/publicRooms`
//! `GET /_matrix/client/v3/directory/list/room/{roomId}`
//! `PUT /_matrix/client/v3/directory/list/room/{roomId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>

use axum::extract::State;
use pli_core::{
    Error, Rooms,
    federation::Queries,
    policy::externals::Action,
    rooms::{Network, PublicRoomsPage, PublicRoomsQuery},
};
use ruma::{
    ServerName, UInt, UserId,
    api::client::{
        directory::{
            get_public_rooms, get_public_rooms_filtered, get_room_visibility, set_room_visibility,
        },
        room::Visibility,
    },
    api::federation::directory::get_public_rooms_filtered::v1 as remote,
    directory::RoomNetwork,
};

use crate::{Anyone, Result, Routes, Ruma, User};

/// The server whose directory is asked for, if it is another one.
fn other<'a>(rooms: &Rooms, server: Option<&'a ServerName>) -> Option<&'a ServerName> {
    server.filter(|server| *server != rooms.server_name())
}

pub(crate) fn limit(limit: Option<UInt>) -> Option<usize> {
    limit.map(|limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX))
}

pub(crate) fn total(page: &PublicRoomsPage) -> Option<UInt> {
    u32::try_from(page.total).ok().map(UInt::from)
}

/// External people do not see the directory, where that is a rule; nor do strangers then.
async fn require_view(rooms: &Rooms, who: Option<&UserId>) -> Result<()> {
    match who {
        Some(user_id) => Ok(rooms.require_allowed(user_id, Action::SeeDirectory).await?),
        None if rooms.settings().external_rules => Err(Error::MissingToken.into()),
        None => Ok(()),
    }
}

pub(crate) fn network(wanted: RoomNetwork) -> Result<Network> {
    match wanted {
        RoomNetwork::Matrix => Ok(Network::Matrix),
        RoomNetwork::All => Ok(Network::All),
        RoomNetwork::ThirdParty(id) => Ok(Network::Instance(id)),
        _ => Err(Error::invalid_param("This kind of network is not known").into()),
    }
}

async fn public_rooms(
    State(rooms): State<Rooms>,
    State(queries): State<Queries>,
    Anyone(who): Anyone,
    Ruma(request): Ruma<get_public_rooms::v3::Request>,
) -> Result<Ruma<get_public_rooms::v3::Response>> {
    require_view(&rooms, who.as_ref().map(|who| &*who.user_id)).await?;
    if let Some(server) = other(&rooms, request.server.as_deref()) {
        // Strangers do not make this server ask others.
        if who.is_none() {
            return Err(Error::MissingToken.into());
        }
        let mut wanted = remote::Request::new();
        (wanted.limit, wanted.since) = (request.limit, request.since);
        let page = queries.public_rooms(server, wanted).await?;
        let mut response = get_public_rooms::v3::Response::new(page.chunk);
        response.total_room_count_estimate = page.total_room_count_estimate;
        (response.next_batch, response.prev_batch) = (page.next_batch, page.prev_batch);
        return Ok(Ruma(response));
    }
    let query = PublicRoomsQuery {
        limit: limit(request.limit),
        since: request.since,
        ..PublicRoomsQuery::default()
    };
    let page = rooms.public_rooms(&query).await?;
    let total = total(&page);
    let mut response = get_public_rooms::v3::Response::new(page.chunk);
    response.total_room_count_estimate = total;
    response.next_batch = page.next_batch;
    response.prev_batch = page.prev_batch;
    Ok(Ruma(response))
}

async fn public_rooms_filtered(
    State(rooms): State<Rooms>,
    State(queries): State<Queries>,
    user: User,
    Ruma(request): Ruma<get_public_rooms_filtered::v3::Request>,
) -> Result<Ruma<get_public_rooms_filtered::v3::Response>> {
    require_view(&rooms, Some(user.user_id())).await?;
    if let Some(server) = other(&rooms, request.server.as_deref()) {
        let mut wanted = remote::Request::new();
        (wanted.limit, wanted.since) = (request.limit, request.since);
        (wanted.filter, wanted.room_network) = (request.filter, request.room_network);
        let page = queries.public_rooms(server, wanted).await?;
        let mut response = get_public_rooms_filtered::v3::Response::new();
        response.total_room_count_estimate = page.total_room_count_estimate;
        response.chunk = page.chunk;
        (response.next_batch, response.prev_batch) = (page.next_batch, page.prev_batch);
        return Ok(Ruma(response));
    }
    let query = PublicRoomsQuery {
        limit: limit(request.limit),
        since: request.since,
        filter: request.filter,
        network: network(request.room_network)?,
    };
    let page = rooms.public_rooms(&query).await?;
    let mut response = get_public_rooms_filtered::v3::Response::new();
    response.total_room_count_estimate = total(&page);
    response.chunk = page.chunk;
    response.next_batch = page.next_batch;
    response.prev_batch = page.prev_batch;
    Ok(Ruma(response))
}

async fn visibility(
    State(rooms): State<Rooms>,
    Ruma(request): Ruma<get_room_visibility::v3::Request>,
) -> Result<Ruma<get_room_visibility::v3::Response>> {
    let published = rooms.is_published(&request.room_id).await?;
    let visibility = if published { Visibility::Public } else { Visibility::Private };
    Ok(Ruma(get_room_visibility::v3::Response::new(visibility)))
}

async fn set_visibility(
    State(rooms): State<Rooms>,
    user: User,
    Ruma(request): Ruma<set_room_visibility::v3::Request>,
) -> Result<Ruma<set_room_visibility::v3::Response>> {
    let public = match request.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(Error::invalid_param("`visibility` must be public or private").into()),
    };
    rooms.publish(user.user_id(), &request.room_id, public, user.is_admin).await?;
    Ok(Ruma(set_room_visibility::v3::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(public_rooms).ruma(public_rooms_filtered).ruma(visibility).ruma(set_visibility)
}
