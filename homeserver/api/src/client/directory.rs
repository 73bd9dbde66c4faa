//! `GET /_matrix/client/v3/publicRooms`
//! `POST /_matrix/client/v3/publicRooms`
//! `GET /_matrix/client/v3/directory/list/room/{roomId}`
//! `PUT /_matrix/client/v3/directory/list/room/{roomId}`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>

use axum::extract::State;
use pli_core::{
    Error, Rooms,
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
    directory::RoomNetwork,
};

use crate::{Anyone, Result, Routes, Ruma, User};

/// The directory of another server would have to be asked for over federation.
fn require_own(rooms: &Rooms, server: Option<&ServerName>) -> Result<()> {
    match server {
        Some(server) if server != rooms.server_name() => {
            Err(Error::forbidden("This server does not show other servers' directories").into())
        }
        _ => Ok(()),
    }
}

fn limit(limit: Option<UInt>) -> Option<usize> {
    limit.map(|limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX))
}

fn total(page: &PublicRoomsPage) -> Option<UInt> {
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

fn network(wanted: RoomNetwork) -> Result<Network> {
    match wanted {
        RoomNetwork::Matrix => Ok(Network::Matrix),
        RoomNetwork::All => Ok(Network::All),
        RoomNetwork::ThirdParty(id) => Ok(Network::Instance(id)),
        _ => Err(Error::invalid_param("This kind of network is not known").into()),
    }
}

async fn public_rooms(
    State(rooms): State<Rooms>,
    Anyone(who): Anyone,
    Ruma(request): Ruma<get_public_rooms::v3::Request>,
) -> Result<Ruma<get_public_rooms::v3::Response>> {
    require_own(&rooms, request.server.as_deref())?;
    require_view(&rooms, who.as_ref().map(|who| &*who.user_id)).await?;
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
    user: User,
    Ruma(request): Ruma<get_public_rooms_filtered::v3::Request>,
) -> Result<Ruma<get_public_rooms_filtered::v3::Response>> {
    require_own(&rooms, request.server.as_deref())?;
    require_view(&rooms, Some(user.user_id())).await?;
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
