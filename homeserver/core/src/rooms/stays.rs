//! Since when a member is in a room. A member who changes their display name has a new member event but
//! has been there all the time.

use pli_schema::{EventNumber, Position};

use super::{Rooms, members::membership_of};
use crate::{Result, records::Membership};

impl Rooms {
    /// The commit with which the stay began that this `join` is of: that of the first of the `join`
    /// events that replaced each other up to it.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn start_of_stay(&self, member: EventNumber) -> Result<Position> {
        if let Some(start) = self.caches.stays.get(&member) {
            return Ok(start);
        }
        let mut first = self.existing_event(member).await?;
        let start = loop {
            let before = match first.record.replaces {
                Some(before) => self.existing_event(before).await?,
                None => break None,
            };
            if membership_of(&*before.pdu()?) != Some(Membership::Join) {
                break None;
            }
            if let Some(start) = self.caches.stays.get(&before.number) {
                break Some(start);
            }
            first = before;
        };
        let start = match start {
            Some(start) => start,
            None => {
                let pointer = self.pointer(&first.record.event_id).await?;
                // Known only from the state of another server: it was before all that is here.
                pointer.map_or(Position::ZERO, |pointer| pointer.position)
            }
        };
        Ok(self.caches.stays.put_read(member, start, 1))
    }
}

#[cfg(test)]
mod tests {
    use ruma::RoomVersionId;
    use serde_json::json;

    use crate::rooms::testing::{public_room, rooms, set_membership, state, user};

    #[tokio::test]
    async fn a_stay_begins_with_the_join_and_not_with_a_new_name() {
        let rooms = rooms();
        let room_id = public_room(&rooms, RoomVersionId::V12).await;
        let room = rooms.room_number(&room_id).await.unwrap().unwrap();
        let start = async || {
            let member = rooms.member(room, &user("bob")).await.unwrap().unwrap();
            rooms.start_of_stay(member.event).await.unwrap()
        };
        set_membership(&rooms, &room_id, ("alice", "bob"), "invite").await.unwrap();
        let joined = set_membership(&rooms, &room_id, ("bob", "bob"), "join").await.unwrap();
        assert_eq!(start().await, joined.position);
        for n in 0..3 {
            let content = json!({ "membership": "join", "displayname": format!("Bob {n}") });
            let draft = state("bob", "m.room.member", user("bob").as_str(), &content);
            rooms.append(&room_id, draft, None).await.unwrap();
            if n != 1 {
                assert_eq!(start().await, joined.position);
            }
        }
        set_membership(&rooms, &room_id, ("bob", "bob"), "leave").await.unwrap();
        let again = set_membership(&rooms, &room_id, ("bob", "bob"), "join").await.unwrap();
        assert_eq!(start().await, again.position);
    }
}
