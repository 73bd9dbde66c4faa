//! What clients need to show a room's name: counts of members and heroes
//! (<https://spec.matrix.org/v1.19/client-server-api/#calculating-the-display-name-for-a-room>).

use pli_federation::canonical_json::quote;
use pli_schema::{
    EventNumber, RoomNumber,
    records::rooms::{MemberKey, MemberRecord, Membership, RoomHeadRecord},
};
use pli_store::Scan;
use ruma::OwnedUserId;

use super::{turn::Turn, view::StateView};
use crate::{
    Result,
    json::{self, Object},
};

/// Heroes of a room.
const HEROES_MAX: usize = 5;
/// Members looked at to find them.
const SCANNED_MAX: usize = 200;

/// The summary of a room.
#[derive(Debug)]
pub(super) struct Summary {
    /// As JSON.
    pub(super) json: String,
    /// The member events of the heroes.
    pub(super) heroes: Vec<EventNumber>,
}

impl Turn<'_> {
    /// The summary of a room; heroes only where the room has no name and no alias.
    pub(super) async fn summary(
        &self,
        room: RoomNumber,
        head: &RoomHeadRecord,
        view: &StateView,
    ) -> Result<Summary> {
        let mut out = Object::new();
        let mut heroes = Vec::new();
        if !self.is_named(view).await? {
            let found = self.heroes(room).await?;
            let names: Vec<String> = found.iter().map(|(user, _)| quote(user.as_str())).collect();
            out.raw("m.heroes", &json::array(&names));
            heroes.extend(found.into_iter().map(|(_, record)| record.event));
        }
        out.raw("m.joined_member_count", &head.joined_members.to_string())
            .raw("m.invited_member_count", &head.invited_members.to_string());
        Ok(Summary { json: out.finish(), heroes })
    }

    async fn is_named(&self, view: &StateView) -> Result<bool> {
        #[derive(serde::Deserialize)]
        struct Content {
            #[serde(alias = "alias")]
            name: Option<String>,
        }
        let rooms = &self.parts().rooms;
        for event_type in ["m.room.name", "m.room.canonical_alias"] {
            if let Some(number) = view.get(rooms, event_type, "").await? {
                let content: Option<Content> = rooms.existing_event(number).await?.content()?;
                if content.and_then(|content| content.name).is_some_and(|name| !name.is_empty()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The first members who are joined or invited; if there are none, those who were.
    pub(super) async fn heroes(
        &self,
        room: RoomNumber,
    ) -> Result<Vec<(OwnedUserId, MemberRecord)>> {
        let scan = Scan::<MemberKey>::prefix((room,)).limit(SCANNED_MAX);
        let rows = self.parts().rooms.store().scan(&scan).await?;
        let others = rows.into_iter().filter(|row| row.key.user_id != self.request.user_id);
        let (mut here, mut gone): (Vec<_>, Vec<_>) = others
            .map(|row| (row.key.user_id, row.record))
            .partition(|(_, r)| matches!(r.membership, Membership::Join | Membership::Invite));
        let chosen = if here.is_empty() { &mut gone } else { &mut here };
        chosen.sort_by_key(|(_, record)| record.event);
        chosen.truncate(HEROES_MAX);
        Ok(std::mem::take(chosen))
    }
}
