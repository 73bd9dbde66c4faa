//! `POST /_matrix/client/v3/createRoom`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#creation>

use axum::extract::State;
use pli_core::{
    Invitations,
    federation::RemoteRooms,
    invitations::ByAddress,
    rooms::{CREATE_INVITES_MAX, CreateRoom, InitialState, Preset},
};
use ruma::{
    api::client::room::{
        Visibility,
        create_room::v3::{Request, Response, RoomPreset},
    },
    events::AnyInitialStateEvent,
    serde::Raw,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Result, Routes, Ruma, User};

/// Creates a room with everything that the request implies.
async fn create_room(
    State(rooms): State<RemoteRooms>,
    State(invitations): State<Invitations>,
    user: User,
    Ruma(mut request): Ruma<Request>,
) -> Result<Ruma<Response>> {
    if let Some(name) = &request.room_alias_name {
        rooms.rooms().check_alias_name(name, user.appservice.as_deref())?;
    }
    let by_address = std::mem::take(&mut request.invite_3pid);
    if request.invite.len().saturating_add(by_address.len()) > CREATE_INVITES_MAX {
        return Err(pli_core::Error::invalid_param("Too many people are invited at once").into());
    }
    let sender = user.user_id().to_owned();
    // What cannot be invited is refused before there is a room.
    for invite in &by_address {
        invitations.check(&sender, invite.medium.as_str(), &invite.address).await?;
    }
    let wanted = wanted(user, request)?;
    let room_id = rooms.create(wanted).await?;
    for invite in &by_address {
        let (medium, address) = (invite.medium.as_str(), &*invite.address);
        let (sender, room_id) = (&*sender, &*room_id);
        invitations.invite(ByAddress { sender, room_id, medium, address }).await?;
    }
    Ok(Ruma(Response::new(room_id)))
}

fn wanted(user: User, request: Request) -> Result<CreateRoom> {
    let mut wanted = CreateRoom::by(user.into_user_id());
    wanted.version = request.room_version;
    wanted.preset = request.preset.map(preset).transpose()?;
    wanted.public = request.visibility == Visibility::Public;
    wanted.creation_content = request.creation_content.map(Raw::into_json);
    wanted.initial_state =
        request.initial_state.iter().map(initial_state).collect::<Result<_>>()?;
    wanted.invite = request.invite;
    wanted.is_direct = request.is_direct;
    wanted.alias_name = request.room_alias_name;
    wanted.name = request.name;
    wanted.topic = request.topic;
    wanted.power_levels = request.power_level_content_override.map(Raw::into_json);
    Ok(wanted)
}

fn preset(preset: RoomPreset) -> Result<Preset> {
    match preset {
        RoomPreset::PrivateChat => Ok(Preset::Private),
        RoomPreset::PublicChat => Ok(Preset::Public),
        RoomPreset::TrustedPrivateChat => Ok(Preset::TrustedPrivate),
        other => {
            Err(pli_core::Error::invalid_param(format!("Unknown preset {}", other.as_str())).into())
        }
    }
}

#[derive(Deserialize)]
struct Given {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: String,
    content: Box<RawValue>,
}

fn initial_state(event: &Raw<AnyInitialStateEvent>) -> Result<InitialState> {
    let given: Given = serde_json::from_str(event.json().get())
        .map_err(|error| pli_core::Error::bad_json(format!("initial_state: {error}")))?;
    let Given { event_type, state_key, content } = given;
    Ok(InitialState { event_type, state_key, content })
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(create_room)
}
