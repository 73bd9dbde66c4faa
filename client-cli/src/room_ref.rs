//! From what a person types to a room: ID, alias, name, or another person.

use matrix_sdk::ruma::{OwnedUserId, RoomAliasId, RoomId, UserId};
use matrix_sdk::{Client, Room, RoomState};

use crate::error::{CliError, Result};
use crate::text::messages::Msg;

/// Finds a room of this account.
///
/// `!id`, `#alias:server`, `@user:server` (the conversation with that person), or the name of a
/// joined or invited room, in any case.
///
/// # Errors
/// `NotFound` when there is none or when a name means several.
pub async fn find(client: &Client, text: &str) -> Result<Room> {
    let missing = || CliError::NotFound(Msg::ErrNoRoom, text.to_owned());
    if text.starts_with('!') {
        let id = RoomId::parse(text).map_err(|_| missing())?;
        return client.get_room(&id).ok_or_else(missing);
    }
    if text.starts_with('#') {
        let alias = RoomAliasId::parse(text).map_err(|_| missing())?;
        let answer = client.resolve_room_alias(&alias).await?;
        return client.get_room(&answer.room_id).ok_or_else(missing);
    }
    if text.starts_with('@') {
        return client.get_dm_room(&user_id(text)?).ok_or_else(missing);
    }
    by_name(client, text).await
}

async fn by_name(client: &Client, name: &str) -> Result<Room> {
    let wanted = name.to_lowercase();
    let mut found = Vec::new();
    for room in client.rooms() {
        let here = matches!(room.state(), RoomState::Joined | RoomState::Invited);
        if here && display_name(&room).await.to_lowercase() == wanted {
            found.push(room);
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(room), true) => Ok(room),
        (Some(_), false) => Err(CliError::NotFound(Msg::ErrAmbiguousRoom, name.to_owned())),
        (None, _) => Err(CliError::NotFound(Msg::ErrNoRoom, name.to_owned())),
    }
}

/// The name of a room as people see it; its ID when it has none.
pub async fn display_name(room: &Room) -> String {
    match room.display_name().await {
        Ok(name) => name.to_string(),
        Err(_) => room.room_id().to_string(),
    }
}

/// Reads a user ID.
///
/// # Errors
/// `Usage` when it is none.
pub fn user_id(text: &str) -> Result<OwnedUserId> {
    UserId::parse(text).map_err(|_| CliError::Usage(Msg::UsageBadUser, vec![text.to_owned()]))
}
