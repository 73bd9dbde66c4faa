//! `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}`
//! `PUT /_matrix/federation/v1/3pid/onbind`
//!
//! Invitations of addresses that have got an owner.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#third-party-invites>

use axum::extract::State;
use pli_core::{
    Error,
    federation::{Bound, RemoteRooms},
};
use ruma::{
    api::federation::thirdparty::{bind_callback, exchange_invite},
    events::StateEventType,
};
use serde::Deserialize;
use serde_json::Value;

use super::FromServer;
use crate::{Result, Routes, Ruma};

/// The content of an invite that stands for that of an address.
#[derive(Deserialize)]
struct Content {
    third_party_invite: Exchanged,
}

#[derive(Deserialize)]
struct Exchanged {
    signed: Value,
}

async fn exchange(
    State(rooms): State<RemoteRooms>,
    FromServer { origin, request }: FromServer<exchange_invite::v1::Request>,
) -> Result<Ruma<exchange_invite::v1::Response>> {
    if request.kind != StateEventType::RoomMember {
        return Err(Error::invalid_param("The event must be of the type m.room.member").into());
    }
    let content: Content = serde_json::from_str(request.content.json().get())
        .map_err(|error| Error::BadJson(error.to_string()))?;
    let bound = Bound {
        room_id: request.room_id,
        sender: request.sender,
        target: request.state_key,
        signed: content.third_party_invite.signed,
    };
    rooms.exchange_for(&origin, bound).await?;
    Ok(Ruma(exchange_invite::v1::Response::new()))
}

/// Identity servers do not sign their requests: each invitation carries its proof, which the rules of its
/// room check.
async fn onbind(
    State(rooms): State<RemoteRooms>,
    Ruma(request): Ruma<bind_callback::v1::Request>,
) -> Result<Ruma<bind_callback::v1::Response>> {
    let mut invitations = Vec::with_capacity(request.invites.len());
    for invite in request.invites {
        let signed = serde_json::from_str(invite.signed.json().get())
            .map_err(|error| Error::BadJson(error.to_string()))?;
        let (room_id, sender, target) = (invite.room_id, invite.sender, invite.mxid);
        invitations.push(Bound { room_id, sender, target, signed });
    }
    rooms.bound(&request.mxid, invitations).await?;
    Ok(Ruma(bind_callback::v1::Response::new()))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(exchange).ruma(onbind)
}
