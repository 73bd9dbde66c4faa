//! One answer to one sync: which rooms, and everything beside them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use pli_schema::{
    Position, RoomNumber,
    records::{
        rooms::{Membership, RoomHeadKey, UserRoomRecord},
        sync::ReceiptHeadKey,
    },
};
use pli_store::Stored;
use ruma::{
    OwnedUserId, RoomId,
    api::client::filter::{EventFormat, FilterDefinition},
};

use super::{Sync, SyncRequest, classic::SyncParts, render::Renderer};
use crate::{
    Result, Typing, account_data::AccountDataEvent, filters, history::Reader, json::Object,
    notifier::UserRooms, receipts::Receipt, token::SyncToken,
};

/// What one answer is made from.
pub(super) struct Turn<'a> {
    pub(super) sync: &'a Sync,
    pub(super) request: &'a SyncRequest,
    pub(super) filter: &'a FilterDefinition,
    /// Users whose messages the user does not want to see.
    pub(super) ignored: Arc<HashSet<OwnedUserId>>,
    pub(super) since: Option<SyncToken>,
    /// Everything up to here is told.
    pub(super) now: Position,
    /// The newest change of typing that is told.
    pub(super) typing: u64,
    /// The newest change of presence that is told.
    pub(super) presence: u64,
    /// People who share a room with the user since the token.
    pub(super) newcomers: Mutex<BTreeSet<OwnedUserId>>,
    /// The rooms whose typing is told.
    pub(super) typing_rooms: BTreeSet<RoomNumber>,
    /// The user's rooms at `now`.
    pub(super) rooms: Arc<UserRooms>,
}

/// What a room has for this user alone.
#[derive(Debug, Default)]
pub(super) struct Private {
    pub(super) account_data: Vec<AccountDataEvent>,
    pub(super) receipts: Vec<Receipt>,
}

/// The sections of the answer under `rooms`.
#[derive(Debug, Default)]
struct Sections {
    join: Object,
    invite: Object,
    knock: Object,
    leave: Object,
}

impl Turn<'_> {
    pub(super) fn parts(&self) -> &SyncParts {
        &self.sync.parts
    }

    /// The position of the token; everything after it is new.
    pub(super) fn since(&self) -> Position {
        self.since.map(|since| since.position).unwrap_or_default()
    }

    /// All rooms are told whole.
    pub(super) fn is_whole(&self) -> bool {
        self.since.is_none() || self.request.full_state
    }

    /// What writes the events of a room.
    pub(super) fn renderer<'r>(&'r self, reader: &'r Reader) -> Renderer<'r> {
        Renderer {
            history: &self.parts().history,
            reader,
            request: self.request,
            federation: self.filter.event_format == EventFormat::Federation,
        }
    }

    /// The body, and whether there is nothing in it.
    pub(super) async fn answer(&self) -> Result<(String, bool)> {
        let account_data = self.account_data().await?;
        let (global, mut private) = self.by_room(account_data).await?;
        let mut sections = Sections::default();
        for number in self.candidates(&private).await? {
            if let Some(stored) = self.rooms.get(number) {
                let private = private.remove(&number).unwrap_or_default();
                self.room(number, stored, private, &mut sections).await?;
            }
        }
        let mut body = Object::new();
        let inbox = self.to_device(&mut body).await?;
        self.device_lists(&mut body).await?;
        let mut global = self.global_events(&global);
        global.extend(self.push_rules().await?);
        body.events("account_data", &global);
        sections.write(&mut body);
        body.events("presence", &self.presence_events().await?);
        let empty = body.is_empty();
        self.key_counts(&mut body).await?;
        let next = SyncToken {
            position: self.now,
            inbox,
            typing: self.next_typing(),
            presence: self.presence,
        };
        body.string("next_batch", &next.to_string());
        Ok((body.finish(), empty))
    }

    async fn account_data(&self) -> Result<Vec<AccountDataEvent>> {
        let (data, user_id) = (&self.parts().account_data, &self.request.user_id);
        match self.since {
            None => data.all(user_id).await,
            Some(since) => data.changes(user_id, since.position, self.now).await,
        }
    }

    /// Global account data, and what is for the user alone by room.
    pub(super) async fn by_room(
        &self,
        account_data: Vec<AccountDataEvent>,
    ) -> Result<(Vec<AccountDataEvent>, BTreeMap<RoomNumber, Private>)> {
        let (global, of_rooms): (Vec<_>, Vec<_>) =
            account_data.into_iter().partition(|event| event.room_id.is_empty());
        let mut private: BTreeMap<RoomNumber, Private> = BTreeMap::new();
        for event in of_rooms {
            let Ok(room_id) = <&RoomId>::try_from(event.room_id.as_str()) else {
                continue;
            };
            if let Some(number) = self.parts().rooms.room_number(room_id).await? {
                private.entry(number).or_default().account_data.push(event);
            }
        }
        if let Some(since) = self.since {
            let (receipts, user_id) = (&self.parts().receipts, &self.request.user_id);
            let changes = receipts.private_changes(user_id, since.position, self.now).await?;
            for (number, receipt) in changes {
                private.entry(number).or_default().receipts.push(receipt);
            }
        }
        Ok((global, private))
    }

    /// The rooms in which something may be to tell.
    async fn candidates(
        &self,
        private: &BTreeMap<RoomNumber, Private>,
    ) -> Result<BTreeSet<RoomNumber>> {
        if self.is_whole() {
            return Ok(self.rooms.iter().map(|(number, _)| number).collect());
        }
        let since = self.since();
        let mut rooms: BTreeSet<RoomNumber> = self
            .rooms
            .iter()
            .filter(|(_, stored)| stored.position > since)
            .map(|(number, _)| number)
            .collect();
        rooms.extend(private.keys().copied());
        rooms.extend(self.typing_rooms.iter().filter(|room| self.rooms.is_joined(**room)));
        rooms.extend(self.changed_joined_rooms().await?);
        Ok(rooms)
    }

    /// The rooms in which the user is joined and in which something may have changed since the token.
    pub(super) async fn changed_joined_rooms(&self) -> Result<Vec<RoomNumber>> {
        let joined: Vec<RoomNumber> = self.rooms.joined().collect();
        if let Some(mut changed) = self.parts().notifier.changed_rooms(self.since(), joined.len()) {
            changed.retain(|number| self.rooms.is_joined(*number));
            return Ok(changed);
        }
        let mut rooms = Vec::new();
        for number in joined {
            if self.changed(number).await? {
                rooms.push(number);
            }
        }
        Ok(rooms)
    }

    /// Whether a room has changed since the token, from the store where the notifier does not know.
    async fn changed(&self, room: RoomNumber) -> Result<bool> {
        let since = self.since();
        if !self.parts().notifier.may_have_changed(room, since) {
            return Ok(false);
        }
        let store = self.parts().rooms.store();
        let head = store.get_stored(&RoomHeadKey { room }).await?.map(|head| head.position);
        let receipts = store.get_stored(&ReceiptHeadKey { room }).await?.map(|head| head.position);
        Ok(head.max(receipts).is_some_and(|newest| newest > since))
    }

    /// The part of the token for typing: the newest change, and in the lowest bit whether the client
    /// sees someone type now.
    fn next_typing(&self) -> u64 {
        let busy = self.parts().typing.busy_rooms();
        let shown = busy.into_iter().any(|room| self.rooms.is_joined(room));
        (self.typing << 1) | u64::from(shown)
    }

    async fn room(
        &self,
        number: RoomNumber,
        stored: &Stored<UserRoomRecord>,
        private: Private,
        sections: &mut Sections,
    ) -> Result<()> {
        let room = self.parts().rooms.room(number).await?;
        if stored.record.forgotten || !filters::allows_room(&self.filter.room, &room.id) {
            return Ok(());
        }
        let is_new = self.is_whole() || stored.position > self.since();
        let (section, json) = match stored.record.membership {
            Membership::Join => {
                (&mut sections.join, self.joined(room.clone(), stored, private).await?)
            }
            Membership::Invite if is_new => {
                (&mut sections.invite, self.invited(stored, "invite_state").await?)
            }
            Membership::Knock if is_new => {
                (&mut sections.knock, self.invited(stored, "knock_state").await?)
            }
            Membership::Leave | Membership::Ban if is_new => {
                (&mut sections.leave, self.left(room.clone(), stored, private).await?)
            }
            _ => return Ok(()),
        };
        if let Some(json) = json {
            section.raw(room.id.as_str(), &json);
        }
        Ok(())
    }

    /// `m.presence` of those whose presence changed, and of those who are new to the user.
    async fn presence_events(&self) -> Result<Vec<String>> {
        let filter = &self.filter.presence;
        let presence = &self.parts().presence;
        let since = self.since.map(|since| since.presence);
        let newcomers = std::mem::take(&mut *self.newcomers.lock());
        let observer = (&*self.request.user_id, &*self.rooms);
        let mut told = Vec::new();
        for event in presence.events(observer, (since, self.presence), &newcomers).await? {
            if filters::allows_data(filter, "m.presence", &event.sender)
                && !self.ignored.contains(&event.sender)
            {
                told.push(event.json);
            }
        }
        Ok(told)
    }

    /// `m.push_rules`, if it changed.
    async fn push_rules(&self) -> Result<Option<String>> {
        const TYPE: &str = "m.push_rules";
        if !filters::allows_data(&self.filter.account_data, TYPE, &self.request.user_id) {
            return Ok(None);
        }
        self.push_rules_since(self.since).await
    }

    /// `m.push_rules`, if it changed after a token.
    pub(super) async fn push_rules_since(
        &self,
        since: Option<SyncToken>,
    ) -> Result<Option<String>> {
        let (push, user_id) = (&self.parts().push, &self.request.user_id);
        let changed_at = push.rules_changed_at(user_id).await?;
        if since.is_some_and(|since| changed_at <= since.position) {
            return Ok(None);
        }
        Ok(Some(push.rules_event(user_id).await?.json().get().to_owned()))
    }

    fn global_events(&self, events: &[AccountDataEvent]) -> Vec<String> {
        let filter = &self.filter.account_data;
        let allowed = |event: &&AccountDataEvent| {
            filters::allows_data(filter, &event.data_type, &self.request.user_id)
        };
        events.iter().filter(allowed).map(AccountDataEvent::to_json).collect()
    }
}

/// The rooms whose typing changed after a token up to a serial. After a restart, and if the client saw
/// someone type then, all joined ones: nobody types any more.
pub(super) fn typing_rooms(
    typing: &Typing,
    since: Option<SyncToken>,
    until: u64,
    rooms: &UserRooms,
) -> BTreeSet<RoomNumber> {
    let seen = since.map(|since| since.typing).unwrap_or_default();
    if !typing.is_foreign(seen >> 1) {
        return typing.changed_rooms(seen >> 1, until).into_iter().collect();
    }
    let mut told: BTreeSet<RoomNumber> = typing.busy_rooms().into_iter().collect();
    if seen & 1 == 1 {
        told.extend(rooms.joined());
    }
    told
}

impl Sections {
    fn write(self, body: &mut Object) {
        let mut rooms = Object::new();
        let sections = [
            ("join", self.join),
            ("invite", self.invite),
            ("knock", self.knock),
            ("leave", self.leave),
        ];
        for (name, section) in sections {
            if !section.is_empty() {
                rooms.raw(name, &section.finish());
            }
        }
        if !rooms.is_empty() {
            body.raw("rooms", &rooms.finish());
        }
    }
}

impl AccountDataEvent {
    /// The event, as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut event = Object::new();
        event.string("type", &self.data_type).raw("content", &self.content);
        event.finish()
    }
}
