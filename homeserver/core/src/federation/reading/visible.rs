//! Which events a server may see: those that any of its users may.

use pli_schema::{EventNumber, StateRoot, records::rooms::Membership};
use ruma::{OwnedServerName, UserId, events::TimelineEventType};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{
    Result, Rooms,
    rooms::{StoredEvent, membership_of},
};

/// What counts at one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Users {
    joined: u64,
    invited: u64,
}

impl Users {
    fn count(&mut self, membership: Membership, more: bool) {
        let counter = match membership {
            Membership::Join => &mut self.joined,
            Membership::Invite => &mut self.invited,
            _ => return,
        };
        *counter = if more { counter.saturating_add(1) } else { counter.saturating_sub(1) };
    }
}

#[derive(Deserialize)]
struct VisibilityContent {
    history_visibility: String,
}

/// A server's sight of one room.
#[derive(Debug)]
pub(super) struct Visible {
    rooms: Rooms,
    server: OwnedServerName,
    /// The users of the server in the state that was looked at last: the next one differs little.
    last: Mutex<Option<(StateRoot, Users)>>,
}

impl Visible {
    pub(super) fn new(rooms: Rooms, server: OwnedServerName) -> Self {
        Self { rooms, server, last: Mutex::default() }
    }

    pub(super) const fn server(&self) -> &OwnedServerName {
        &self.server
    }

    /// Whether a user of the server may see an event. The server is in the room.
    pub(super) async fn may_see(&self, event: &StoredEvent) -> Result<bool> {
        let pdu = event.pdu()?;
        if pdu.sender.server_name() == self.server {
            return Ok(true);
        }
        let root = event.record.state_before;
        let setting = self.rooms.state_event(root, "m.room.history_visibility", "").await?;
        let before = match setting {
            Some(setting) => visibility(&setting)?,
            None => None,
        };
        let changes = pdu.event_type == TimelineEventType::RoomHistoryVisibility;
        let after = if changes && pdu.state_key.as_deref() == Some("") {
            visibility(event)?
        } else {
            before.clone()
        };
        let mut wanted = Vec::new();
        for name in [before, after] {
            match name.as_deref() {
                Some("joined") => wanted.push(false),
                Some("invited") => wanted.push(true),
                _ => return Ok(true),
            }
        }
        let users = self.users_at(root).await?;
        let own = self.own_membership(event)?;
        let allows = |invited: bool| {
            let is_in = users.joined > 0 || own == Some(Membership::Join);
            is_in || (invited && (users.invited > 0 || own == Some(Membership::Invite)))
        };
        Ok(wanted.into_iter().any(allows))
    }

    /// The membership of a user of the server that an event sets.
    fn own_membership(&self, event: &StoredEvent) -> Result<Option<Membership>> {
        let pdu = event.pdu()?;
        if pdu.event_type != TimelineEventType::RoomMember {
            return Ok(None);
        }
        let user_id = pdu.state_key.as_deref().and_then(|user_id| UserId::parse(user_id).ok());
        let own = user_id.is_some_and(|user_id| user_id.server_name() == self.server);
        Ok(if own { membership_of(&pdu) } else { None })
    }

    async fn users_at(&self, root: StateRoot) -> Result<Users> {
        let mut last = self.last.lock().await;
        let (base, mut users) = last.unwrap_or((StateRoot::EMPTY, Users::default()));
        for change in self.rooms.state_tree().diff(base, root).await? {
            for (event, more) in [(change.after, true), (change.before, false)] {
                if let Some(membership) = self.membership_set_by(event).await? {
                    users.count(membership, more);
                }
            }
        }
        *last = Some((root, users));
        Ok(users)
    }

    async fn membership_set_by(&self, event: Option<EventNumber>) -> Result<Option<Membership>> {
        match event {
            Some(event) => self.own_membership(&*self.rooms.existing_event(event).await?),
            None => Ok(None),
        }
    }
}

fn visibility(event: &StoredEvent) -> Result<Option<String>> {
    Ok(event.content::<VisibilityContent>()?.map(|content| content.history_visibility))
}
