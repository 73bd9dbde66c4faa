//! `pli room create|list|join|invite|leave|members`

use matrix_sdk::room::{RoomMember, RoomMemberRole};
use matrix_sdk::ruma::api::client::room::Visibility;
use matrix_sdk::ruma::api::client::room::create_room::v3::{Request, RoomPreset};
use matrix_sdk::ruma::events::InitialStateEvent;
use matrix_sdk::ruma::events::room::encryption::RoomEncryptionEventContent;
use matrix_sdk::ruma::events::room::member::MembershipState;
use matrix_sdk::ruma::{OwnedUserId, RoomOrAliasId};
use matrix_sdk::{Room, RoomMemberships, RoomState};
use serde_json::{Value, json};

use crate::args::{RoomCommand, RoomCreateArgs, RoomInviteArgs, RoomLeaveArgs};
use crate::commands::online;
use crate::context::{Context, line, printable};
use crate::error::{CliError, Result};
use crate::room_ref::{display_name, find, user_id};
use crate::sync;
use crate::text::messages::Msg;

/// Runs one of the room commands.
///
/// # Errors
/// No session, no such room, a refusal.
pub async fn run(context: &Context, command: RoomCommand) -> Result<()> {
    match command {
        RoomCommand::Create(args) => create(context, args).await,
        RoomCommand::List => list(context).await,
        RoomCommand::Join(args) => join(context, &args.room).await,
        RoomCommand::Invite(args) => invite(context, args).await,
        RoomCommand::Leave(args) => leave(context, args).await,
        RoomCommand::Members(args) => members(context, &args.room).await,
    }
}

async fn create(context: &Context, args: RoomCreateArgs) -> Result<()> {
    let request = creation(&args)?;
    let online = online(context).await?;
    let room = online.client.create_room(request).await?;
    if let Some(direct) = &args.direct {
        let account = online.client.account();
        account.mark_as_dm(room.room_id(), &[user_id(direct)?]).await?;
    }
    // The next command must know the room and its encryption.
    sync::refresh(&online.client).await?;
    let id = room.room_id().to_string();
    let encrypted = !args.unencrypted;
    online.finish().await;
    context.answer(
        &json!({"room_id": id, "encrypted": encrypted}),
        &context.text(Msg::RoomCreated, &[&id]),
    )
}

/// The request for a new room: private and encrypted unless asked otherwise.
fn creation(args: &RoomCreateArgs) -> Result<Request> {
    let mut request = Request::new();
    request.name.clone_from(&args.name);
    request.topic.clone_from(&args.topic);
    request.room_alias_name.clone_from(&args.alias);
    let mut invite: Vec<OwnedUserId> =
        args.invite.iter().map(|user| user_id(user)).collect::<Result<_>>()?;
    request.preset = Some(RoomPreset::PrivateChat);
    if let Some(direct) = &args.direct {
        invite.push(user_id(direct)?);
        request.is_direct = true;
        request.preset = Some(RoomPreset::TrustedPrivateChat);
    }
    if args.public {
        request.preset = Some(RoomPreset::PublicChat);
        request.visibility = Visibility::Public;
    }
    request.invite = invite;
    if !args.unencrypted {
        let content = RoomEncryptionEventContent::with_recommended_defaults();
        request.initial_state = vec![InitialStateEvent::with_empty_state_key(content).to_raw_any()];
    }
    Ok(request)
}

async fn list(context: &Context) -> Result<()> {
    let online = online(context).await?;
    let mut rooms = Vec::new();
    for room in online.client.rooms() {
        if matches!(room.state(), RoomState::Joined | RoomState::Invited) {
            let entry = describe(&room).await?;
            rooms.push(entry);
        }
    }
    online.finish().await;
    rooms.sort_by_key(|room| room["name"].as_str().unwrap_or_default().to_lowercase());
    if context.json {
        return line(&json!({"rooms": rooms}).to_string());
    }
    if rooms.is_empty() {
        return line(&context.text(Msg::RoomNone, &[]));
    }
    rooms.iter().try_for_each(|room| line(&human_room(context, room)))
}

async fn describe(room: &Room) -> Result<Value> {
    let state = if room.state() == RoomState::Invited { "invited" } else { "joined" };
    let inviter = match room.state() {
        RoomState::Invited => room.invite_details().await?.inviter,
        _ => None,
    };
    let encrypted = room.latest_encryption_state().await.is_ok_and(|state| state.is_encrypted());
    Ok(json!({
        "room_id": room.room_id(),
        "name": display_name(room).await,
        "alias": room.canonical_alias(),
        "topic": room.topic(),
        "state": state,
        "invited_by": inviter.map(|member| member.user_id().to_owned()),
        "encrypted": encrypted,
        "direct": room.is_direct().await.unwrap_or_default(),
        "members": room.joined_members_count(),
        "unread": room.unread_notification_counts().notification_count,
    }))
}

fn human_room(context: &Context, room: &Value) -> String {
    let text = |key: &str| room.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| room.get(key).and_then(Value::as_u64).unwrap_or_default();
    let mut notes = Vec::new();
    if text("state") == "invited" {
        let by = text("invited_by");
        notes.push(format!("{} {by}", context.text(Msg::RoomInvitation, &[])));
    } else {
        let encrypted = room.get("encrypted").and_then(Value::as_bool).unwrap_or_default();
        let msg = if encrypted { Msg::RoomEncrypted } else { Msg::RoomNotEncrypted };
        notes.push(context.text(msg, &[]));
        notes.push(context.text(Msg::RoomMembers, &[&number("members").to_string()]));
        if number("unread") > 0 {
            notes.push(context.text(Msg::RoomUnread, &[&number("unread").to_string()]));
        }
    }
    format!("{}  {}  ({})", text("room_id"), printable(text("name")), notes.join(", "))
}

async fn join(context: &Context, room: &str) -> Result<()> {
    let online = online(context).await?;
    let known = match find(&online.client, room).await {
        Ok(room) => Some(room),
        // An address that this account does not know yet may still be joined.
        Err(_) if room.starts_with(['!', '#']) => None,
        Err(error) => return Err(error),
    };
    let joined = match known {
        Some(room) => {
            room.join().await?;
            room
        }
        None => {
            let id = RoomOrAliasId::parse(room)
                .map_err(|_| CliError::NotFound(Msg::ErrNoRoom, room.to_owned()))?;
            online.client.join_room_by_id_or_alias(&id, &[]).await?
        }
    };
    sync::refresh(&online.client).await?;
    let id = joined.room_id().to_string();
    online.finish().await;
    context.answer(&json!({"room_id": id}), &context.text(Msg::RoomJoined, &[&id]))
}

async fn invite(context: &Context, args: RoomInviteArgs) -> Result<()> {
    let users: Vec<OwnedUserId> =
        args.users.iter().map(|user| user_id(user)).collect::<Result<_>>()?;
    let online = online(context).await?;
    let room = find(&online.client, &args.room).await?;
    for user in &users {
        room.invite_user_by_id(user).await?;
    }
    sync::refresh(&online.client).await?;
    let id = room.room_id().to_string();
    online.finish().await;
    context.answer(
        &json!({"room_id": id, "invited": users}),
        &context.text(Msg::RoomInvitedUser, &[&args.users.join(", ")]),
    )
}

async fn leave(context: &Context, args: RoomLeaveArgs) -> Result<()> {
    let online = online(context).await?;
    let room = find(&online.client, &args.room).await?;
    room.leave().await?;
    if args.forget {
        room.forget().await?;
    }
    sync::refresh(&online.client).await?;
    let id = room.room_id().to_string();
    online.finish().await;
    context.answer(
        &json!({"room_id": id, "forgotten": args.forget}),
        &context.text(Msg::RoomLeft, &[&id]),
    )
}

async fn members(context: &Context, room: &str) -> Result<()> {
    let online = online(context).await?;
    let room = find(&online.client, room).await?;
    let mut members = room.members(RoomMemberships::JOIN | RoomMemberships::INVITE).await?;
    let id = room.room_id().to_string();
    online.finish().await;
    members.sort_by(|a, b| a.user_id().cmp(b.user_id()));
    if context.json {
        let members: Vec<Value> = members.iter().map(member_json).collect();
        return line(&json!({"room_id": id, "members": members}).to_string());
    }
    members.iter().try_for_each(|member| line(&human_member(context, member)))
}

fn role(member: &RoomMember) -> &'static str {
    match member.suggested_role_for_power_level() {
        RoomMemberRole::Creator | RoomMemberRole::Administrator => "admin",
        RoomMemberRole::Moderator => "moderator",
        RoomMemberRole::User => "user",
    }
}

fn member_json(member: &RoomMember) -> Value {
    json!({
        "user_id": member.user_id(),
        "display_name": member.display_name(),
        "membership": member.membership().as_str(),
        "role": role(member),
    })
}

fn human_member(context: &Context, member: &RoomMember) -> String {
    let mut notes = Vec::new();
    if *member.membership() == MembershipState::Invite {
        notes.push(context.text(Msg::MemberInvited, &[]));
    }
    match role(member) {
        "admin" => notes.push(context.text(Msg::MemberAdmin, &[])),
        "moderator" => notes.push(context.text(Msg::MemberModerator, &[])),
        _ => {}
    }
    let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
    format!("{}  {}{notes}", member.user_id(), printable(member.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> RoomCreateArgs {
        RoomCreateArgs {
            name: Some("R".to_owned()),
            topic: None,
            alias: None,
            public: false,
            direct: None,
            invite: vec![],
            unencrypted: false,
        }
    }

    #[test]
    fn rooms_are_private_and_encrypted_unless_asked() {
        let request = creation(&args()).unwrap();
        assert_eq!(request.initial_state.len(), 1);
        assert_eq!(request.preset, Some(RoomPreset::PrivateChat));
        let request =
            creation(&RoomCreateArgs { unencrypted: true, public: true, ..args() }).unwrap();
        assert!(request.initial_state.is_empty());
        assert_eq!(request.preset, Some(RoomPreset::PublicChat));
    }

    #[test]
    fn a_conversation_invites_its_person() {
        let direct = Some("@b:x".to_owned());
        let request = creation(&RoomCreateArgs { direct, ..args() }).unwrap();
        assert!(request.is_direct);
        assert_eq!(request.invite, ["@b:x"]);
        let bad = RoomCreateArgs { invite: vec!["bob".to_owned()], ..args() };
        assert_eq!(creation(&bad).unwrap_err().exit().code(), 2);
    }
}
