//! What happens in all rooms of a user at once.

use futures_util::{StreamExt, stream};
use pli_schema::{RoomNumber, records::rooms::Membership};
use ruma::UserId;

use super::{Draft, Rooms};
use crate::{Error, Result};

/// Rooms that are worked on at the same time.
const AT_ONCE: usize = 16;

impl Rooms {
    /// Leaves every room, rejects every invite, takes every knock back: for accounts that are closed. A
    /// room that refuses does not keep the others from being left.
    ///
    /// # Errors
    /// The last error of a room that could not be left.
    pub async fn leave_all(&self, user_id: &UserId) -> Result<()> {
        let rooms = self.rooms_of(user_id, None).await?;
        let inside = |membership| {
            matches!(membership, Membership::Join | Membership::Invite | Membership::Knock)
        };
        let rooms = rooms.into_iter().filter(|(_, stored)| inside(stored.record.membership));
        let leave =
            async |room: RoomNumber| self.leave_for_good(user_id, &*self.room(room).await?).await;
        let results = stream::iter(rooms.map(|(room, _)| leave(room))).buffer_unordered(AT_ONCE);
        last_error(results.collect().await)
    }

    /// Tells every room in which the user is joined of their display name and avatar as they are now.
    ///
    /// # Errors
    /// The last error of a room that could not be told.
    pub async fn profile_changed(&self, user_id: &UserId) -> Result<()> {
        let content = self.profile(user_id).await?.member_content("join");
        let tell = async |room: RoomNumber| {
            let (sender, event_type) = (user_id.to_owned(), "m.room.member".to_owned());
            let draft = Draft::state_of(sender, event_type, user_id.as_str(), &content)?;
            match self.append_if_joined(room, user_id, draft).await {
                // Left meanwhile.
                Err(Error::Forbidden(_)) => Ok(()),
                other => other,
            }
        };
        let rooms = self.joined_rooms(user_id).await?;
        let results = stream::iter(rooms.into_iter().map(tell)).buffer_unordered(AT_ONCE);
        last_error(results.collect().await)
    }

    async fn append_if_joined(
        &self,
        room: RoomNumber,
        user_id: &UserId,
        draft: Draft,
    ) -> Result<()> {
        use super::draft::Expects;
        self.require_joined(room, user_id).await?;
        let not_joined = || Error::forbidden("You are not in this room");
        let draft = draft.expecting(Expects::OneOf(&[Membership::Join], not_joined));
        self.through_lane(room, draft, None).await.map(|_| ())
    }
}

fn last_error(results: Vec<Result<()>>) -> Result<()> {
    results.into_iter().rfind(Result::is_err).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use pli_schema::records::accounts::{ProfileKey, ProfileRecord};
    use ruma::RoomVersionId;

    use super::*;
    use crate::rooms::testing::{public_room, rooms, set_membership, timeline, user};

    async fn set_name(rooms: &Rooms, name: &str) {
        let key = &ProfileKey { user_id: user("bob"), field: "displayname".to_owned() };
        let record = &ProfileRecord { json: format!("\"{name}\"") };
        let write = rooms.store().write(|tx| async move {
            tx.put(key, record)?;
            Ok::<_, Error>(())
        });
        write.await.unwrap();
    }

    #[tokio::test]
    async fn every_joined_room_learns_of_a_new_name_once() {
        let rooms = rooms();
        let mut ids = Vec::new();
        for _ in 0..20 {
            let room = public_room(&rooms, RoomVersionId::V12).await;
            rooms.join(&user("bob"), &room, None).await.unwrap();
            ids.push(room);
        }
        rooms.leave(&user("bob"), &ids[0], None).await.unwrap();
        set_name(&rooms, "Bob").await;
        for _ in 0..2 {
            rooms.profile_changed(&user("bob")).await.unwrap();
            for (n, id) in ids.iter().enumerate() {
                let number = rooms.room_number(id).await.unwrap().unwrap();
                let member = rooms.member(number, &user("bob")).await.unwrap().unwrap();
                let expected = (n > 0).then(|| "Bob".to_owned());
                assert_eq!(member.display_name, expected);
                assert_eq!(timeline(&rooms, id).await.len(), 8);
            }
        }
    }

    #[tokio::test]
    async fn leaving_all_leaves_joins_and_invites() {
        let rooms = rooms();
        let joined = public_room(&rooms, RoomVersionId::V12).await;
        let invited = public_room(&rooms, RoomVersionId::V12).await;
        let banned = public_room(&rooms, RoomVersionId::V12).await;
        rooms.join(&user("bob"), &joined, None).await.unwrap();
        set_membership(&rooms, &invited, ("alice", "bob"), "invite").await.unwrap();
        set_membership(&rooms, &banned, ("alice", "bob"), "ban").await.unwrap();
        rooms.leave_all(&user("bob")).await.unwrap();
        let all = rooms.rooms_of(&user("bob"), None).await.unwrap();
        let memberships: Vec<_> = all.iter().map(|(_, stored)| stored.record.membership).collect();
        assert_eq!(memberships, [Membership::Leave, Membership::Leave, Membership::Ban]);
    }
}
