//! What another server is given to join a room with.

use std::collections::BTreeSet;

use pli_schema::{EventNumber, records::rooms::Membership};
use ruma::UserId;

use crate::{
    Result,
    rooms::{Rooms, StoredEvent},
};

/// Members whose events go with a state without members, for a name of the room.
const HEROES_MAX: usize = 5;

/// The room before a join, as the server of whoever joins gets it.
#[derive(Clone, Debug, Default)]
pub struct HandOver {
    /// The state before the join: events as JSON.
    pub state: Vec<String>,
    /// What authorizes the state and the join.
    pub auth_chain: Vec<String>,
    /// The members are left out of the state.
    pub members_omitted: bool,
}

impl Rooms {
    /// The room before a join. With `omit_members` only those members are in it who give a room without
    /// a name one, and no event is in it twice
    /// (<https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid>).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn hand_over(&self, join: &StoredEvent, omit_members: bool) -> Result<HandOver> {
        let root = join.record.state_before;
        let entries = self.state_tree().entries(root).await?;
        let members = self.state_type_number("m.room.member").await?;
        let heroes = if omit_members { self.heroes(join).await? } else { Vec::new() };
        let state: Vec<EventNumber> = entries
            .into_iter()
            .filter(|(key, event)| {
                !omit_members || Some(key.type_number()) != members || heroes.contains(event)
            })
            .map(|(_, event)| event)
            .collect();
        let mut chain = self.auth_chain(state.iter().copied().chain([join.number])).await?;
        if omit_members {
            let told: BTreeSet<_> = state.iter().copied().collect();
            chain = chain.difference(&told).copied().collect();
        }
        Ok(HandOver {
            state: self.as_json(state).await?,
            auth_chain: self.as_json(chain).await?,
            members_omitted: omit_members,
        })
    }

    async fn as_json(&self, events: impl IntoIterator<Item = EventNumber>) -> Result<Vec<String>> {
        let mut json = Vec::new();
        for event in events {
            json.push(self.existing_event(event).await?.record.json.clone());
        }
        Ok(json)
    }

    /// The member events out of which a client makes the name of a room that has none.
    async fn heroes(&self, join: &StoredEvent) -> Result<Vec<EventNumber>> {
        let root = join.record.state_before;
        for named in ["m.room.name", "m.room.canonical_alias"] {
            if self.state_event_number(root, named, "").await?.is_some() {
                return Ok(Vec::new());
            }
        }
        let joins = join.pdu()?.sender.clone();
        let members = self.members(join.record.room, None).await?;
        let told = |membership| matches!(membership, Membership::Join | Membership::Invite);
        let (present, gone): (Vec<_>, Vec<_>) = members
            .into_iter()
            .filter(|(user_id, _)| *user_id != joins)
            .partition(|(_, member)| told(member.membership));
        let heroes = if present.is_empty() { gone } else { present };
        let mut events = Vec::new();
        for (user_id, _) in heroes.into_iter().take(HEROES_MAX) {
            events.extend(self.member_before(join, &user_id).await?);
        }
        Ok(events)
    }

    async fn member_before(
        &self,
        event: &StoredEvent,
        user_id: &UserId,
    ) -> Result<Option<EventNumber>> {
        let root = event.record.state_before;
        self.state_event_number(root, "m.room.member", user_id.as_str()).await
    }
}
