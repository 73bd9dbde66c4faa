//! Replacing a room by one of another version
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-upgrades>).

mod levels;
#[cfg(test)]
mod tests;

use pli_federation::room_version;
use pli_schema::records::rooms::{AliasKey, AliasRecord, Membership, PublicRoomKey, RoomAliasKey};
use pli_store::Tx;
use ruma::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId};
use serde_json::{Map, Value, json};

use super::{
    Draft, Room, Rooms, StoredEvent,
    authorize::format_error,
    draft::raw,
    staging::{Staged, Staging},
};
use crate::{Error, Result};

/// State that moves to the new room: what the specification recommends, and what Pli and Tchap keep in
/// rooms. The power levels come apart from it.
const CARRIED: [&str; 10] = [
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.server_acl",
    "m.room.retention",
    "im.vector.room.access_rules",
];
/// State of which every state key moves: the rooms of a space, the spaces of a room.
const CARRIED_WITH_KEYS: [&str; 2] = ["m.space.child", "m.space.parent"];
/// Bans that move at most: all of an upgrade is one transaction.
const BANS_MAX: usize = 1_000;

/// An upgrade that a user asks for.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// Who.
    pub user_id: OwnedUserId,
    /// The room to replace.
    pub room_id: OwnedRoomId,
    /// The version of its replacement.
    pub version: RoomVersionId,
    /// Its creators besides the user, where the version has such.
    pub additional_creators: Vec<OwnedUserId>,
}

/// What the old room hands over.
struct Old {
    room: Room,
    create: Map<String, Value>,
    levels: Map<String, Value>,
    carried: Vec<Draft>,
    aliases: Vec<OwnedRoomAliasId>,
    published: bool,
}

impl Rooms {
    /// Replaces a room: a new one with the state, aliases and bans of the old, and a tombstone in the
    /// old that points to it. All of it or nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this server does not know the room; [`Error::Forbidden`] if the user may
    /// not close it; [`Error::UnsupportedRoomVersion`]; [`Error::InvalidRoomState`] if the rules refuse
    /// the new room's state.
    pub async fn upgrade(&self, upgrade: Upgrade) -> Result<OwnedRoomId> {
        self.version_or_default(Some(upgrade.version.clone()))?;
        let room = self.room_by_id(&upgrade.room_id).await?;
        let room = &*room.ok_or_else(|| Error::not_found("This server does not know the room"))?;
        if !self.may_send_state(room, &upgrade.user_id, "m.room.tombstone").await? {
            return Err(Error::forbidden("You may not upgrade this room"));
        }
        let upgrade = &upgrade;
        let (id, staged) = self
            .store()
            .write(|tx| async move { self.stage_upgrade(&tx, room, upgrade).await })
            .await?;
        staged.into_iter().for_each(|staged| self.keep_staged(staged));
        Ok(id)
    }

    async fn stage_upgrade(
        &self,
        tx: &Tx,
        room: &Room,
        upgrade: &Upgrade,
    ) -> Result<(OwnedRoomId, [Staged; 2])> {
        let mut old_room = Staging::open(self, tx, room.number).await?;
        let old = self.old(&old_room, upgrade).await?;
        let rules = room_version::rules(&upgrade.version).map_err(format_error)?.authorization;
        let id = self.new_room_id()?;
        let mut new_room = Staging::new_room(self, tx, id, upgrade.version.clone()).await?;
        // Which of the two rooms can name the other's first depends on what makes the room's id.
        if rules.room_create_event_id_as_room_id {
            self.stage_creation(&mut new_room, upgrade, &old, None).await?;
            let replacement = new_room.room.id.clone();
            self.stage_tombstone(&mut old_room, upgrade, &replacement).await?;
        } else {
            let replacement = new_room.room.id.clone();
            let tombstone = self.stage_tombstone(&mut old_room, upgrade, &replacement).await?;
            self.stage_creation(&mut new_room, upgrade, &old, Some(tombstone)).await?;
        }
        self.stage_replacement(&mut new_room, upgrade, &old).await?;
        self.close_old_room(&mut old_room, upgrade, &old).await?;
        let new = new_room.room.clone();
        move_names(tx, &old, &new).await?;
        Ok((new.id, [old_room.close()?, new_room.close()?]))
    }

    /// Reads what the old room hands over, from the head that the transaction has read.
    async fn old(&self, old_room: &Staging<'_>, upgrade: &Upgrade) -> Result<Old> {
        let room = old_room.room.clone();
        let root = old_room.head.state;
        let content = async |event_type: &str| -> Result<Option<Map<String, Value>>> {
            match self.state_event(root, event_type, "").await? {
                Some(event) => event.content(),
                None => Ok(None),
            }
        };
        let mut carried = Vec::new();
        for event_type in CARRIED {
            if let Some(event) = self.state_event(root, event_type, "").await? {
                carried.extend(again(&event, upgrade)?);
            }
        }
        for event_type in CARRIED_WITH_KEYS {
            for event in self.state_events_of_type(root, event_type).await? {
                carried.extend(again(&event, upgrade)?);
            }
        }
        let bans = self.members(room.number, Some(Membership::Ban)).await?;
        for (_, member) in bans.into_iter().take(BANS_MAX) {
            carried.extend(again(&*self.existing_event(member.event).await?, upgrade)?);
        }
        let published = self.store().get(&PublicRoomKey { room: room.number }).await?.is_some();
        Ok(Old {
            create: content("m.room.create").await?.unwrap_or_default(),
            levels: content("m.room.power_levels").await?.unwrap_or_default(),
            carried,
            aliases: self.aliases_of(&room).await?,
            published,
            room,
        })
    }

    async fn stage_creation(
        &self,
        new_room: &mut Staging<'_>,
        upgrade: &Upgrade,
        old: &Old,
        tombstone: Option<OwnedEventId>,
    ) -> Result<()> {
        let rules = room_version::rules(&upgrade.version).map_err(format_error)?.authorization;
        let mut content = old.create.clone();
        for key in ["creator", "room_version", "predecessor", "additional_creators"] {
            content.remove(key);
        }
        content.insert("room_version".to_owned(), Value::from(upgrade.version.as_str()));
        let mut predecessor = json!({ "room_id": old.room.id });
        if let (Some(predecessor), Some(tombstone)) = (predecessor.as_object_mut(), tombstone) {
            predecessor.insert("event_id".to_owned(), Value::from(tombstone.as_str()));
        }
        content.insert("predecessor".to_owned(), predecessor);
        if !rules.use_room_create_sender {
            content.insert("creator".to_owned(), Value::from(upgrade.user_id.as_str()));
        }
        if rules.additional_room_creators && !upgrade.additional_creators.is_empty() {
            let creators = json!(upgrade.additional_creators);
            content.insert("additional_creators".to_owned(), creators);
        }
        self.stage_state(new_room, upgrade, ("m.room.create", ""), &content).await.map(|_| ())
    }

    async fn stage_tombstone(
        &self,
        old_room: &mut Staging<'_>,
        upgrade: &Upgrade,
        replacement: &RoomId,
    ) -> Result<OwnedEventId> {
        let body = "This room has been replaced · Ce salon a été remplacé";
        let content = json!({ "body": body, "replacement_room": replacement });
        let draft =
            Draft::state_of(upgrade.user_id.clone(), "m.room.tombstone".to_owned(), "", &content)?;
        Ok(old_room.append(&draft, None).await?.event_id)
    }

    /// Everything of the new room after its creation.
    async fn stage_replacement(
        &self,
        new_room: &mut Staging<'_>,
        upgrade: &Upgrade,
        old: &Old,
    ) -> Result<()> {
        let profile = self.profile(&upgrade.user_id).await?;
        let member = ("m.room.member", upgrade.user_id.as_str());
        self.stage_state(new_room, upgrade, member, &profile.member_content("join")).await?;
        let levels = levels::of_new_room(upgrade, &old.create, &old.levels)?;
        let key = ("m.room.power_levels", "");
        self.stage_state(new_room, upgrade, key, &levels.while_creating).await?;
        for draft in &old.carried {
            new_room.append(draft, None).await.map_err(super::creation::invalid_state)?;
        }
        let canonical = self.state_event_content(&old.room, "m.room.canonical_alias").await?;
        if let Some(canonical) = canonical {
            self.stage_state(new_room, upgrade, ("m.room.canonical_alias", ""), &canonical).await?;
        }
        self.stage_state(new_room, upgrade, key, &levels.afterwards).await.map(|_| ())
    }

    /// Takes what makes no sense any more from the old room, as far as the user may.
    async fn close_old_room(
        &self,
        old_room: &mut Staging<'_>,
        upgrade: &Upgrade,
        old: &Old,
    ) -> Result<()> {
        let mut changes = vec![("m.room.power_levels", levels::of_old_room(&old.levels))];
        if self.state_event_content(&old.room, "m.room.canonical_alias").await?.is_some() {
            changes.push(("m.room.canonical_alias", Map::new()));
        }
        for (event_type, content) in changes {
            let sender = upgrade.user_id.clone();
            let draft = Draft::state_of(sender, event_type.to_owned(), "", &content)?;
            match old_room.append(&draft, None).await {
                Ok(_) | Err(Error::Forbidden(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn state_event_content(
        &self,
        room: &Room,
        event_type: &str,
    ) -> Result<Option<Map<String, Value>>> {
        self.current_content(room.number, event_type).await
    }

    async fn stage_state(
        &self,
        new_room: &mut Staging<'_>,
        upgrade: &Upgrade,
        (event_type, state_key): (&str, &str),
        content: &Map<String, Value>,
    ) -> Result<OwnedEventId> {
        let (sender, event_type) = (upgrade.user_id.clone(), event_type.to_owned());
        let draft = Draft::state_of(sender, event_type, state_key, content)?;
        let made = new_room.append(&draft, None).await.map_err(super::creation::invalid_state)?;
        Ok(made.event_id)
    }
}

/// The same state event, by the user who upgrades; `None` if it is empty.
fn again(event: &StoredEvent, upgrade: &Upgrade) -> Result<Option<Draft>> {
    let pdu = event.pdu()?;
    let (Some(state_key), Some(content)) =
        (&pdu.state_key, event.content::<Map<String, Value>>()?.filter(|c| !c.is_empty()))
    else {
        return Ok(None);
    };
    let event_type = pdu.event_type.clone();
    Draft::state(upgrade.user_id.clone(), event_type, state_key, raw(&content)?).map(Some)
}

/// Aliases and the place in the directory go to the new room.
async fn move_names(tx: &Tx, old: &Old, new: &Room) -> Result<()> {
    for alias in &old.aliases {
        let key = AliasKey { alias: alias.clone() };
        let Some(record) = tx.get(&key).await? else { continue };
        tx.put(&key, &AliasRecord { room_id: new.id.clone(), creator: record.creator })?;
        tx.delete(&RoomAliasKey { room: old.room.number, alias: alias.clone() });
        tx.put(&RoomAliasKey { room: new.number, alias: alias.clone() }, &())?;
    }
    if old.published {
        tx.delete(&PublicRoomKey { room: old.room.number });
        tx.put(&PublicRoomKey { room: new.number }, &())?;
    }
    Ok(())
}
