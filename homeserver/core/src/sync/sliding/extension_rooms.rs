//! The extensions that are about rooms: account data, receipts, typing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use pli_schema::RoomNumber;

use super::{answer::Answer, request::RoomScope};
use crate::{
    Result,
    account_data::AccountDataEvent,
    json::{self, Object},
    receipts::{Receipt, receipt_events},
    sync::turn::Private,
};

/// Receipts of others for a room whose timeline is not in the answer.
const RECEIPTS_MAX: usize = 100;

/// The rooms that an extension tells of.
struct Scope {
    /// Whether the client had asked for the extension with its last token.
    goes_on: bool,
    /// These get everything: the client has nothing of them.
    entering: BTreeSet<RoomNumber>,
    /// `None`: all rooms that were ever told on the connection.
    named: Option<BTreeSet<RoomNumber>>,
}

impl Answer<'_> {
    /// The rooms of an extension, noted for the next answer.
    fn scope(&mut self, name: &'static str, config: &RoomScope) -> Scope {
        let before = self.connection.mark.scopes.get(name);
        let all = |names: &Option<Vec<String>>| {
            names.as_ref().is_none_or(|names| names.iter().any(|name| name == "*"))
        };
        let told: BTreeSet<RoomNumber> = self.whole.keys().copied().collect();
        let scope = if all(&config.lists) && all(&config.rooms) {
            let entering = match before {
                Some(_) => told,
                // The extension is new: everything of the rooms that the client has.
                None => self.connection.rooms.keys().copied().chain(told).collect(),
            };
            Scope { goes_on: before.is_some(), entering, named: None }
        } else {
            let named = self.named(config);
            let is_new = |room: &&RoomNumber| {
                told.contains(*room) || before.is_none_or(|before| !before.contains(*room))
            };
            let entering = named.iter().filter(is_new).copied().collect();
            Scope { goes_on: before.is_some(), entering, named: Some(named) }
        };
        self.mark.scopes.insert(name, scope.named.clone().unwrap_or_default());
        scope
    }

    /// The rooms in the windows of the lists and among the subscriptions that are named.
    fn named(&self, config: &RoomScope) -> BTreeSet<RoomNumber> {
        let is = |names: &Option<Vec<String>>, name: &str| {
            let any = |names: &Vec<String>| names.iter().any(|one| one == "*" || one == name);
            names.as_ref().is_none_or(any)
        };
        let lists = self.windows.by_list.iter().filter(|(name, _)| is(&config.lists, name));
        let subscribed = self.windows.subscribed.iter();
        let subscribed = subscribed.filter(|(id, _)| is(&config.rooms, id.as_str()));
        let rooms = lists.flat_map(|(_, rooms)| rooms).chain(subscribed.map(|(_, room)| room));
        rooms.copied().collect()
    }

    /// Whether an extension tells changes of a room: one that the client has, and in which the user is.
    fn covers(&self, scope: &Scope, room: RoomNumber) -> bool {
        let known = self.connection.rooms.contains_key(&room) || self.told.contains_key(&room);
        self.turn.rooms.is_joined(room)
            && scope.named.as_ref().map_or(known, |named| named.contains(&room))
    }

    /// Global account data, and that of rooms.
    pub(super) async fn account_data(&mut self, out: &mut Object) -> Result<bool> {
        let scope = self.scope("account_data", &self.request.body.extensions.account_data);
        let data = &self.turn.parts().account_data;
        let user_id = &self.request.user_id;
        let changed = match self.turn.since.filter(|_| scope.goes_on) {
            Some(since) => data.changes(user_id, since.position, self.turn.now).await?,
            None => data.all(user_id).await?,
        };
        let (global, private) = self.turn.by_room(changed).await?;
        let mut global: Vec<String> = global.iter().map(AccountDataEvent::to_json).collect();
        global.extend(self.turn.push_rules_since(self.turn.since.filter(|_| scope.goes_on)).await?);
        let mut rooms = Object::new();
        for room in &scope.entering {
            let id = &self.turn.parts().rooms.room(*room).await?.id;
            let events = data.of_room(user_id, id).await?;
            write_events(&mut rooms, id.as_str(), &events);
        }
        for (room, Private { account_data, .. }) in &private {
            if !scope.entering.contains(room) && self.covers(&scope, *room) {
                let id = &self.turn.parts().rooms.room(*room).await?.id;
                write_events(&mut rooms, id.as_str(), account_data);
            }
        }
        let news = !global.is_empty() || !rooms.is_empty();
        let mut section = Object::new();
        section.raw("global", &json::array(&global)).raw("rooms", &rooms.finish());
        if news {
            out.raw("account_data", &section.finish());
        }
        Ok(news)
    }

    /// Receipts: of a room that is told from the start those at the events of its timeline, and the
    /// user's own.
    pub(super) async fn receipts(&mut self, out: &mut Object) -> Result<bool> {
        let scope = self.scope("receipts", &self.request.body.extensions.receipts);
        let mut rooms = Object::new();
        for room in &scope.entering {
            if self.covers(&scope, *room) {
                let receipts = self.receipts_of(*room).await?;
                self.write_receipts(&mut rooms, *room, receipts).await?;
            }
        }
        if scope.goes_on {
            for (room, receipts) in self.changed_receipts().await? {
                if !scope.entering.contains(&room) && self.covers(&scope, room) {
                    self.write_receipts(&mut rooms, room, receipts).await?;
                }
            }
        }
        Ok(write_rooms(out, "receipts", rooms))
    }

    async fn receipts_of(&self, room: RoomNumber) -> Result<Vec<Receipt>> {
        let (receipts, user_id) = (&self.turn.parts().receipts, &self.request.user_id);
        let mut all = receipts.of_room(room, user_id, self.turn.now).await?;
        let mut others = 0;
        all.retain(|receipt| {
            let wanted = match self.whole.get(&room) {
                Some(events) => events.contains(&receipt.record.event_id),
                None => others < RECEIPTS_MAX,
            };
            others += 1;
            wanted || receipt.user_id == *user_id
        });
        Ok(all)
    }

    /// The receipts that came since the token, by room.
    async fn changed_receipts(&self) -> Result<BTreeMap<RoomNumber, Vec<Receipt>>> {
        let Some(since) = self.turn.since else {
            return Ok(BTreeMap::new());
        };
        let (receipts, user_id) = (&self.turn.parts().receipts, &self.request.user_id);
        let mut by_room: BTreeMap<RoomNumber, Vec<Receipt>> = BTreeMap::new();
        for room in self.turn.changed_joined_rooms().await? {
            let changes = receipts.changes(room, since.position, self.turn.now).await?;
            if !changes.is_empty() {
                by_room.insert(room, changes);
            }
        }
        let own = receipts.private_changes(user_id, since.position, self.turn.now).await?;
        for (room, receipt) in own {
            by_room.entry(room).or_default().push(receipt);
        }
        Ok(by_room)
    }

    async fn write_receipts(
        &self,
        out: &mut Object,
        room: RoomNumber,
        mut receipts: Vec<Receipt>,
    ) -> Result<()> {
        receipts.retain(|receipt| !self.turn.ignored.contains(&receipt.user_id));
        // There is place for one event per room, and in it for one receipt of a user at an event: that
        // of no thread or of the main timeline goes before one of a thread.
        receipts.sort_by_key(|receipt| match receipt.thread.as_str() {
            "" => 0,
            "main" => 1,
            _ => 2,
        });
        if let Some(event) = receipt_events(&receipts).into_iter().next() {
            let id = &self.turn.parts().rooms.room(room).await?.id;
            out.raw(id.as_str(), &event);
        }
        Ok(())
    }

    /// Who types: where that changed, and where someone does in rooms that are new to the client.
    pub(super) async fn typing_rooms(&mut self) -> Result<Object> {
        let scope = self.scope("typing", &self.request.body.extensions.typing);
        let typing = &self.turn.parts().typing;
        let seen = self.connection.mark.typing;
        let changed: HashSet<RoomNumber> = match scope.goes_on {
            true if typing.is_foreign(seen) => self.connection.rooms.keys().copied().collect(),
            true => typing.changed_rooms(seen, self.turn.typing).into_iter().collect(),
            false => HashSet::new(),
        };
        let busy = scope.entering.iter().filter(|room| !typing.users(**room).is_empty());
        let all: BTreeSet<RoomNumber> = changed.into_iter().chain(busy.copied()).collect();
        let mut rooms = Object::new();
        for room in all {
            if self.covers(&scope, room) {
                let id = &self.turn.parts().rooms.room(room).await?.id;
                rooms.raw(id.as_str(), &self.turn.typing_json(room));
            }
        }
        Ok(rooms)
    }

    pub(super) async fn typing(&mut self, out: &mut Object) -> Result<bool> {
        let rooms = self.typing_rooms().await?;
        Ok(write_rooms(out, "typing", rooms))
    }
}

/// Writes `{"rooms":{…}}`, if there is something; whether there is.
fn write_rooms(out: &mut Object, name: &str, rooms: Object) -> bool {
    let news = !rooms.is_empty();
    if news {
        let mut section = Object::new();
        section.raw("rooms", &rooms.finish());
        out.raw(name, &section.finish());
    }
    news
}

fn write_events(out: &mut Object, room_id: &str, events: &[AccountDataEvent]) {
    if !events.is_empty() {
        let events: Vec<String> = events.iter().map(AccountDataEvent::to_json).collect();
        out.raw(room_id, &json::array(&events));
    }
}
