//! Which servers are in a room: those of its joined members.

use std::{collections::BTreeMap, sync::Arc};

use pli_schema::{EventNumber, RoomNumber, StateRoot, records::rooms::Membership};
use ruma::{OwnedServerName, ServerName, UserId};

use super::{Rooms, members::membership_of};
use crate::Result;

/// How often the members are read anew because the state changed meanwhile.
const READS_MAX: usize = 5;

/// The servers in a room.
#[derive(Clone, Debug, Default)]
pub struct Residents {
    /// Their joined members.
    members: BTreeMap<OwnedServerName, u64>,
}

impl Residents {
    /// Whether a user of the server is joined.
    #[must_use]
    pub fn contains(&self, server: &ServerName) -> bool {
        self.members.contains_key(server)
    }

    /// The servers, by name.
    pub fn servers(&self) -> impl Iterator<Item = &OwnedServerName> {
        self.members.keys()
    }

    /// The servers and how many joined members each has, by name.
    pub fn with_members(&self) -> impl Iterator<Item = (&OwnedServerName, u64)> {
        self.members.iter().map(|(server, members)| (server, *members))
    }

    fn count(&mut self, server: &ServerName, more: bool) {
        let members = self.members.entry(server.to_owned()).or_default();
        *members = if more { members.saturating_add(1) } else { members.saturating_sub(1) };
        if *members == 0 {
            self.members.remove(server);
        }
    }
}

impl Rooms {
    /// The servers that are in a room now. Kept in memory; after a change of the state the cost is that of
    /// what changed.
    ///
    /// # Errors
    /// Those of the store; [`crate::Error::Bug`] for a number that no room has.
    pub async fn residents(&self, room: RoomNumber) -> Result<Arc<Residents>> {
        let root = self.head(room).await?.state;
        self.residents_at(room, root).await
    }

    /// The servers that are in a room in one of its states. What that costs is how it differs from the
    /// state that was asked for last.
    ///
    /// # Errors
    /// As [`Self::residents`].
    pub async fn residents_at(&self, room: RoomNumber, root: StateRoot) -> Result<Arc<Residents>> {
        let residents = match self.caches.residents.get(&room) {
            Some((of, residents)) if of == root => return Ok(residents),
            Some((of, residents)) => self.residents_after(&residents, of, root).await?,
            None => match self.read_residents(room).await? {
                (residents, Some(of)) if of == root => residents,
                (residents, Some(of)) => self.residents_after(&residents, of, root).await?,
                // A room that changes all the time: from its beginning.
                (_, None) => {
                    let nobody = Residents::default();
                    self.residents_after(&nobody, StateRoot::EMPTY, root).await?
                }
            },
        };
        Ok(self.keep_residents(room, root, residents))
    }

    /// Whether a user of this server is joined: only then does this server know the room as it is now.
    ///
    /// # Errors
    /// As [`Self::residents`].
    pub async fn is_resident(&self, room: RoomNumber) -> Result<bool> {
        Ok(self.residents(room).await?.contains(self.server_name()))
    }

    fn keep_residents(
        &self,
        room: RoomNumber,
        root: StateRoot,
        residents: Residents,
    ) -> Arc<Residents> {
        let weight = residents.members.len().saturating_add(1);
        let residents = Arc::new(residents);
        self.caches.residents.put(room, (root, Arc::clone(&residents)), weight);
        residents
    }

    /// From the index of members; with the state of which they are, unless it changes all the time.
    async fn read_residents(&self, room: RoomNumber) -> Result<(Residents, Option<StateRoot>)> {
        let mut residents = Residents::default();
        let mut before = self.head(room).await?.state;
        for _ in 0..READS_MAX {
            residents = Residents::default();
            for (user_id, _) in self.members(room, Some(Membership::Join)).await? {
                residents.count(user_id.server_name(), true);
            }
            let after = self.head(room).await?.state;
            if before == after {
                return Ok((residents, Some(after)));
            }
            before = after;
        }
        Ok((residents, None))
    }

    async fn residents_after(
        &self,
        residents: &Residents,
        before: StateRoot,
        after: StateRoot,
    ) -> Result<Residents> {
        let mut residents = residents.clone();
        for change in self.state_tree().diff(before, after).await? {
            for (event, more) in [(change.after, true), (change.before, false)] {
                if let Some(event) = event
                    && let Some(server) = self.server_of_joined(event).await?
                {
                    residents.count(&server, more);
                }
            }
        }
        Ok(residents)
    }

    /// The server whose user a `join` event is about.
    async fn server_of_joined(&self, event: EventNumber) -> Result<Option<OwnedServerName>> {
        let pdu = self.existing_event(event).await?.pdu()?;
        if pdu.event_type != ruma::events::TimelineEventType::RoomMember
            || membership_of(&pdu) != Some(Membership::Join)
        {
            return Ok(None);
        }
        let user_id = pdu.state_key.as_deref().and_then(|user_id| UserId::parse(user_id).ok());
        Ok(user_id.map(|user_id| user_id.server_name().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use ruma::{RoomVersionId, server_name};

    use crate::rooms::testing::{public_room, rooms, set_membership};

    #[tokio::test]
    async fn servers_come_and_go_with_their_members() {
        let rooms = rooms();
        let room_id = public_room(&rooms, RoomVersionId::V12).await;
        let room = rooms.room_number(&room_id).await.unwrap().unwrap();
        let members = async || {
            let residents = rooms.residents(room).await.unwrap();
            residents.with_members().map(|(_, members)| members).sum::<u64>()
        };
        assert_eq!(members().await, 1);
        set_membership(&rooms, &room_id, ("bob", "bob"), "join").await.unwrap();
        set_membership(&rooms, &room_id, ("alice", "carol"), "invite").await.unwrap();
        assert_eq!(members().await, 2);
        let residents = rooms.residents(room).await.unwrap();
        assert!(residents.contains(server_name!("agents.example")));
        assert!(!residents.contains(server_name!("other.example")));
        for name in ["alice", "bob"] {
            set_membership(&rooms, &room_id, (name, name), "leave").await.unwrap();
        }
        assert!(!rooms.is_resident(room).await.unwrap());
        assert_eq!(rooms.residents(room).await.unwrap().servers().count(), 0);
    }
}
