//! What is told now or never: who types, what was read, who is there.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#edus>

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    num::NonZeroUsize,
    time::Duration,
};

use lru::LruCache;
use pli_schema::{Position, RoomNumber, records::sync::ReceiptHeadKey};
use pli_store::Scan;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde_json::json;

use super::{Run, Sender, SenderParts};
use crate::{MilliSeconds, Result, federation::Use, presence::Seen};

/// How often typing and presence are looked at.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// Who types on is told of again after this: other servers forget it after a while.
const TYPES_ON_MS: u64 = 30_000;
/// Who is there still is told of again after this: other servers forget it after a while.
const IS_THERE_STILL_MS: u64 = 20 * 60_000;
/// Users of whom that is told in one tick.
const THERE_STILL_PER_TICK: usize = 100;
/// Users of whom it is kept that they are there.
const THERE_MAX: usize = 100_000;
/// Rooms of which it is kept up to where their receipts were told.
const ROOMS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(49_999);
/// Receipts that wait for one server; of further ones it is not told.
const RECEIPTS_MAX: usize = 5_000;
/// Typing notices and users whose presence waits for one server.
const NOTICES_MAX: usize = 500;
/// Receipts in one transaction.
const RECEIPTS_PER_SEND: usize = 200;
/// Users whose presence is in one transaction.
const PRESENCE_PER_SEND: usize = 200;
/// Typing notices in one transaction.
const TYPING_PER_SEND: usize = 20;
/// In a room of more servers receipts wait for each other, this long for each server.
const FEW_SERVERS: usize = 20;
const PAUSE_PER_SERVER_MS: u64 = 20;

/// Whose receipt it is, in which room and thread.
type ReceiptPlace = (OwnedRoomId, OwnedUserId, String);
/// What was read and when, in milliseconds since 1970.
type ReceiptData = (OwnedEventId, u64);

/// What waits for one server.
#[derive(Debug, Default)]
pub(super) struct Edus {
    typing: BTreeMap<(OwnedRoomId, OwnedUserId), bool>,
    receipts: BTreeMap<ReceiptPlace, ReceiptData>,
    presence: BTreeMap<OwnedUserId, Seen>,
}

/// What was taken for a transaction.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) edus: Vec<String>,
    receipts: Vec<(ReceiptPlace, ReceiptData)>,
}

impl Edus {
    pub(super) fn is_empty(&self) -> bool {
        self.typing.is_empty() && self.receipts.is_empty() && self.presence.is_empty()
    }

    fn add_typing(&mut self, room_id: OwnedRoomId, user_id: OwnedUserId, typing: bool) {
        if self.typing.len() < NOTICES_MAX {
            self.typing.insert((room_id, user_id), typing);
        }
    }

    fn add_receipt(&mut self, place: ReceiptPlace, data: ReceiptData) {
        if self.receipts.len() < RECEIPTS_MAX || self.receipts.contains_key(&place) {
            self.receipts.insert(place, data);
        }
    }

    fn add_presence(&mut self, user_id: OwnedUserId, seen: Seen) {
        if self.presence.len() < NOTICES_MAX || self.presence.contains_key(&user_id) {
            self.presence.insert(user_id, seen);
        }
    }

    /// Takes what fits into so many EDUs.
    pub(super) fn take(&mut self, most: usize) -> Taken {
        let mut taken = Taken::default();
        if most == 0 {
            return taken;
        }
        if !self.presence.is_empty() {
            let push: Vec<_> = first(&mut self.presence, PRESENCE_PER_SEND)
                .into_iter()
                .map(|(user_id, seen)| presence_update(&user_id, &seen))
                .collect();
            taken.edus.push(edu("m.presence", &json!({ "push": push })));
        }
        while let Some(((room_id, user_id), typing)) = self.typing.pop_first() {
            let content = json!({ "room_id": room_id, "user_id": user_id, "typing": typing });
            taken.edus.push(edu("m.typing", &content));
            if taken.edus.len() >= most.min(TYPING_PER_SEND) {
                break;
            }
        }
        if taken.edus.len() < most {
            let receipts = first(&mut self.receipts, RECEIPTS_PER_SEND);
            let mut left = receipts;
            while !left.is_empty() && taken.edus.len() < most {
                let (content, told, rest) = receipts_content(left);
                taken.edus.push(edu("m.receipt", &content));
                taken.receipts.extend(told);
                left = rest;
            }
            self.receipts.extend(left);
        }
        taken
    }

    /// The server did not take it: receipts wait on, unless there are newer ones. What was true for the
    /// moment only is forgotten.
    pub(super) fn put_back(&mut self, taken: Taken) {
        for (place, data) in taken.receipts {
            self.receipts.entry(place).or_insert(data);
        }
    }
}

fn first<K: Ord, V>(map: &mut BTreeMap<K, V>, most: usize) -> Vec<(K, V)> {
    std::iter::from_fn(|| map.pop_first()).take(most).collect()
}

fn edu(edu_type: &str, content: &serde_json::Value) -> String {
    json!({ "edu_type": edu_type, "content": content }).to_string()
}

fn presence_update(user_id: &OwnedUserId, seen: &Seen) -> serde_json::Value {
    let mut update = json!({
        "user_id": user_id,
        "presence": seen.state,
        "last_active_ago": seen.last_active_ago_ms.unwrap_or_default(),
        "currently_active": seen.currently_active,
    });
    if let (Some(text), Some(object)) = (&seen.status_msg, update.as_object_mut()) {
        object.insert("status_msg".to_owned(), json!(text));
    }
    update
}

type Receipts = Vec<(ReceiptPlace, ReceiptData)>;

/// The content of one `m.receipt` EDU; what is in it; and what has no place in it, because it has place
/// for one receipt of a user in a room.
fn receipts_content(receipts: Receipts) -> (serde_json::Value, Receipts, Receipts) {
    let mut rooms: BTreeMap<OwnedRoomId, BTreeMap<OwnedUserId, serde_json::Value>> =
        BTreeMap::new();
    let (mut told, mut rest) = (Vec::new(), Vec::new());
    for (place, data) in receipts {
        let users = rooms.entry(place.0.clone()).or_default();
        if users.contains_key(&place.1) {
            rest.push((place, data));
            continue;
        }
        let mut about = json!({ "ts": data.1 });
        if let (false, Some(object)) = (place.2.is_empty(), about.as_object_mut()) {
            object.insert("thread_id".to_owned(), json!(place.2));
        }
        users.insert(place.1.clone(), json!({ "data": about, "event_ids": [data.0] }));
        told.push((place, data));
    }
    let content =
        rooms.into_iter().map(|(room, users)| (room.to_string(), json!({ "m.read": users })));
    (content.collect::<serde_json::Map<_, _>>().into(), told, rest)
}

/// Up to where other servers were told what is in no queue.
pub(super) struct Told {
    begin: Position,
    receipts: LruCache<RoomNumber, Position>,
    rooms: HashSet<RoomNumber>,
    all_rooms: bool,
    typing: u64,
    /// Who types where, and when that was told.
    types: BTreeMap<(RoomNumber, OwnedUserId), MilliSeconds>,
    presence: u64,
    /// Who is there, and when that was told.
    there: BTreeMap<OwnedUserId, MilliSeconds>,
    ticked: bool,
}

impl Told {
    /// Everything up to a place in the log was told.
    pub(super) fn begin(at: Position, parts: &SenderParts) -> Self {
        Self {
            begin: at,
            receipts: LruCache::new(ROOMS_MAX),
            rooms: HashSet::new(),
            all_rooms: true,
            typing: parts.typing.serial(),
            types: BTreeMap::new(),
            presence: parts.presence.serial(),
            there: BTreeMap::new(),
            ticked: false,
        }
    }

    pub(super) fn may_have_receipts(&mut self, room: RoomNumber) {
        self.rooms.insert(room);
    }

    pub(super) fn may_all_have_receipts(&mut self) {
        self.all_rooms = true;
    }

    pub(super) fn tick(&mut self) {
        self.ticked = true;
    }
}

impl Sender {
    /// Tells the servers of what is in no queue.
    pub(super) async fn tell(&self, run: &mut Run) -> Result<()> {
        self.tell_receipts(run).await?;
        self.tell_typing(run).await?;
        if std::mem::take(&mut run.told.ticked) {
            self.tell_who_types_on(run).await?;
            self.tell_presence(run).await?;
        }
        Ok(())
    }

    /// The servers of a room but this one, as far as this one speaks with them.
    pub(super) async fn others(&self, room: RoomNumber) -> Result<Vec<OwnedServerName>> {
        let servers = self.rooms().residents(room).await?;
        let own = self.rooms().server_name();
        let mut others = Vec::new();
        for server in servers.servers().filter(|name| **name != own) {
            if self.parts.signed.partners().admit(server).await.is_ok() {
                others.push(server.clone());
            }
        }
        Ok(others)
    }

    async fn tell_receipts(&self, run: &mut Run) -> Result<()> {
        let to = run.at;
        if std::mem::take(&mut run.told.all_rooms) {
            for row in self.store().scan(&Scan::<ReceiptHeadKey>::prefix(())).await? {
                if row.position > run.told.begin {
                    run.told.rooms.insert(row.key.room);
                }
            }
        }
        for room in std::mem::take(&mut run.told.rooms) {
            let head = self.store().get_stored(&ReceiptHeadKey { room }).await?;
            let newest = head.map(|head| head.position).unwrap_or_default();
            let from = run.told.receipts.get(&room).copied().unwrap_or(run.told.begin);
            if newest > to {
                run.told.rooms.insert(room);
            }
            if newest <= from {
                continue;
            }
            run.told.receipts.put(room, to.max(from));
            let mut receipts = self.parts.receipts.changes(room, from, to).await?;
            receipts.retain(|receipt| self.rooms().is_local(&receipt.user_id));
            if receipts.is_empty() {
                continue;
            }
            let others = self.others(room).await?;
            let room_id = self.rooms().room(room).await?.id.clone();
            let pause = if others.len() <= FEW_SERVERS { 0 } else { others.len() };
            let pause_ms = u64::try_from(pause).unwrap_or(0).saturating_mul(PAUSE_PER_SERVER_MS);
            let at_ms = self.clock().now_ms().saturating_add(pause_ms);
            for server in others {
                let lane = run.peers.lane(&server).await?;
                for receipt in &receipts {
                    let user_id = receipt.user_id.clone();
                    let place = (room_id.clone(), user_id, receipt.thread.clone());
                    let data = (receipt.record.event_id.clone(), receipt.record.ts_ms);
                    lane.edus.lock().add_receipt(place, data);
                }
                run.peers.wake_at(&server, if pause == 0 { 0 } else { at_ms }).await?;
            }
        }
        Ok(())
    }

    async fn tell_typing(&self, run: &mut Run) -> Result<()> {
        let until = self.parts.typing.serial();
        for room in self.parts.typing.changed_rooms(run.told.typing, until) {
            let now: BTreeSet<OwnedUserId> = self.local_typing(room).into_iter().collect();
            let range = run.told.types.keys().filter(|(typed_in, _)| *typed_in == room);
            let before: BTreeSet<OwnedUserId> = range.map(|(_, user_id)| user_id.clone()).collect();
            for user_id in before.symmetric_difference(&now) {
                self.tell_of_typing(run, (room, user_id), now.contains(user_id)).await?;
            }
        }
        run.told.typing = until;
        Ok(())
    }

    fn local_typing(&self, room: RoomNumber) -> Vec<OwnedUserId> {
        let users = self.parts.typing.users(room).into_iter();
        users.filter(|user_id| self.rooms().is_local(user_id)).collect()
    }

    async fn tell_of_typing(
        &self,
        run: &mut Run,
        (room, user_id): (RoomNumber, &OwnedUserId),
        typing: bool,
    ) -> Result<()> {
        if typing {
            run.told.types.insert((room, user_id.clone()), self.clock().now_ms());
        } else {
            run.told.types.remove(&(room, user_id.clone()));
        }
        let room_id = self.rooms().room(room).await?.id.clone();
        for server in self.others(room).await? {
            let lane = run.peers.lane(&server).await?;
            if !run.peers.is_failing(&server) {
                lane.edus.lock().add_typing(room_id.clone(), user_id.clone(), typing);
                run.peers.wake(&server).await?;
            }
        }
        Ok(())
    }

    async fn tell_who_types_on(&self, run: &mut Run) -> Result<()> {
        let old_ms = self.clock().now_ms().saturating_sub(TYPES_ON_MS);
        let old: Vec<(RoomNumber, OwnedUserId)> = run
            .told
            .types
            .iter()
            .filter(|(_, told_ms)| **told_ms <= old_ms)
            .map(|(key, _)| key.clone())
            .collect();
        for (room, user_id) in old {
            let typing = self.local_typing(room).contains(&user_id);
            self.tell_of_typing(run, (room, &user_id), typing).await?;
        }
        Ok(())
    }

    async fn tell_presence(&self, run: &mut Run) -> Result<()> {
        let presence = &self.parts.presence;
        if !presence.is_enabled() {
            return Ok(());
        }
        let until = presence.serial();
        let mut changed = presence.changes(run.told.presence, until);
        run.told.presence = until;
        let old_ms = self.clock().now_ms().saturating_sub(IS_THERE_STILL_MS);
        let old = run.told.there.iter().filter(|(_, told_ms)| **told_ms <= old_ms);
        let old = old.map(|(user_id, _)| user_id.clone()).take(THERE_STILL_PER_TICK);
        for user_id in old.collect::<Vec<_>>() {
            match presence.seen(&user_id) {
                Some(seen) => changed.push((user_id, seen)),
                None => drop(run.told.there.remove(&user_id)),
            }
        }
        for (user_id, seen) in changed {
            if self.rooms().is_local(&user_id) {
                self.tell_of_presence(run, user_id, &seen).await?;
            }
        }
        Ok(())
    }

    async fn tell_of_presence(
        &self,
        run: &mut Run,
        user_id: OwnedUserId,
        seen: &Seen,
    ) -> Result<()> {
        let mut others = BTreeSet::new();
        for room in self.parts.presence.audience(&user_id).await? {
            others.extend(self.others(room).await?);
        }
        if seen.state == "offline" || others.is_empty() {
            run.told.there.remove(&user_id);
        } else if run.told.there.len() < THERE_MAX || run.told.there.contains_key(&user_id) {
            run.told.there.insert(user_id.clone(), self.clock().now_ms());
        }
        for server in others {
            let partners = self.parts.signed.partners();
            if partners.require(&server, Use::Presence).await.is_err() {
                continue;
            }
            let lane = run.peers.lane(&server).await?;
            if !run.peers.is_failing(&server) {
                lane.edus.lock().add_presence(user_id.clone(), seen.clone());
                run.peers.wake(&server).await?;
            }
        }
        Ok(())
    }
}
