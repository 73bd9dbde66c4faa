//! Writing an event that every rule allows.

use std::sync::Arc;

use pli_federation::event_format::{self, Pdu};
use pli_schema::{
    EventNumber, Position, RoomNumber, Stamp, StateKeyNumber, Topic,
    records::{
        delayed::{StickyEventKey, StickyEventRecord},
        encryption::SharingChangeKey,
        rooms::{
            AnnotationKey, EventByIdKey, EventKey, EventPointer, EventRecord, Extremity, MemberKey,
            MemberRecord, Membership, Place, RelationKey, RelationRecord, RoomByIdKey, RoomKey,
            RoomRecord, TimelineKey, TimelineRecord, UserRoomKey, UserRoomRecord,
        },
        search::SearchWordKey,
    },
};
use pli_store::Tx;
use ruma::{OwnedUserId, UserId, events::TimelineEventType};
use sha2::{Digest, Sha256};

use super::{Staging, StoredEvent, prepare::Prepared};
use crate::{
    Error, Result,
    rooms::{
        authorize::format_error,
        carry_over::carry_settings_over,
        members::{MemberContent, membership_of},
        relations::Relation,
    },
    words::{texts, words},
};

impl Staging<'_> {
    /// Puts every record of an event and makes it the room's head.
    pub(super) async fn apply(&mut self, prepared: Prepared) -> Result<()> {
        let Prepared { number, pdu, transaction, relation, sticky_until_ms, target } = prepared;
        let state_before = self.head.state;
        let state_key = self.set_state(number, &pdu).await?;
        if pdu.is_create() {
            self.put_room(&pdu)?;
        }
        let replaces = state_key.and_then(|(_, replaces)| replaces);
        if pdu.event_type == TimelineEventType::RoomMember {
            self.put_member(number, &pdu).await?;
        }
        if let Some(relation) = relation {
            let at = (Stamp::Commit, self.next_index);
            self.put_relation((number, &pdu), relation, at)?;
        }
        if let Some(expires_at_ms) = sticky_until_ms {
            let room = self.room.number;
            let key = StickyEventKey { room, at: Stamp::Commit, index: self.next_index };
            self.tx.put(&key, &StickyEventRecord { event: number, expires_at_ms })?;
        }
        self.put_auth(number, &pdu).await?;
        if let Some(target) = target {
            self.redact(number, &target).await?;
        }
        let record = EventRecord {
            room: self.room.number,
            event_id: pdu.event_id.clone(),
            json: pdu.json.to_string(),
            state_before,
            state_key: state_key.map(|(key, _)| key),
            replaces,
            transaction,
            redacted_because: None,
            rejected: false,
            soft_failed: false,
        };
        self.put_event(number, pdu, record)?;
        // With many extremities, the event does not follow all of them.
        if self.head.extremities.len() > 1 { self.follow_state().await } else { Ok(()) }
    }

    pub(super) fn put_event(
        &mut self,
        number: EventNumber,
        pdu: Arc<Pdu>,
        record: EventRecord,
    ) -> Result<()> {
        let (room, index) = (self.room.number, self.next_index);
        let event_id = pdu.event_id.clone();
        self.tx.put(&EventKey { event: number }, &record)?;
        self.tx.put(
            &EventByIdKey { event_id: event_id.clone() },
            &EventPointer { event: number, room, index, place: Place::Commit },
        )?;
        self.tx.put(
            &TimelineKey { room, at: Stamp::Commit, index },
            &TimelineRecord { event: number },
        )?;
        self.next_index = index.saturating_add(1);
        self.head.depth = pdu.depth;
        self.head.extremities.retain(|extremity| !pdu.prev_events.contains(&extremity.event_id));
        self.head.extremities.push(Extremity { event: number, event_id });
        let version = self.room.version.clone();
        let event = StoredEvent::parsed(number, version, record, pdu);
        self.fresh.insert(number, Arc::new(event));
        Ok(())
    }

    /// Makes a state event part of the state: its state key, and the event that it replaces.
    async fn set_state(
        &mut self,
        number: EventNumber,
        pdu: &Pdu,
    ) -> Result<Option<(StateKeyNumber, Option<EventNumber>)>> {
        let Some(state_key) = &pdu.state_key else {
            return Ok(None);
        };
        let event_type = pdu.event_type.to_string();
        let key = self.intern(&event_type, state_key).await?;
        let tree = self.rooms.tree.within(self.tx);
        let replaces = tree.get(self.head.state, key).await?;
        self.head.state = tree.insert(self.tx, self.head.state, &[(key, number)]).await?;
        Ok(Some((key, replaces)))
    }

    /// The room itself, with its first event.
    pub(super) fn put_room(&mut self, create: &Pdu) -> Result<()> {
        let room = self.room.number;
        self.room.id = create.room().to_owned();
        let room_id = self.room.id.clone();
        let version = self.room.version.to_string();
        let known_since_ms = self.rooms.clock().now_ms();
        self.tx.put(&RoomByIdKey { room_id: room_id.clone() }, &room)?;
        self.tx.put(&RoomKey { room }, &RoomRecord { room_id, version, known_since_ms })?;
        Ok(())
    }

    /// The indexes of members by room and of rooms by user.
    pub(super) async fn put_member(&mut self, number: EventNumber, pdu: &Pdu) -> Result<()> {
        let (Some(user_id), Some(membership)) = (target_user(pdu), membership_of(pdu)) else {
            return Ok(());
        };
        let content = MemberContent::of(pdu);
        let key = MemberKey { room: self.room.number, user_id: user_id.clone() };
        let before = self.tx.get(&key).await?.map(|record| record.membership);
        self.count(before, false);
        self.count(Some(membership), true);
        let record = MemberRecord {
            membership,
            event: number,
            display_name: content.displayname,
            avatar_url: content.avatar_url,
        };
        self.tx.put(&key, &record)?;
        self.tx.put(
            &UserRoomKey { user_id: user_id.clone(), room: self.room.number },
            &UserRoomRecord { membership, event: number, forgotten: false },
        )?;
        let (was, is) = (before == Some(Membership::Join), membership == Membership::Join);
        if was != is {
            let at = Stamp::Commit;
            let user_id = user_id.clone();
            self.tx.put(&SharingChangeKey { at, room: self.room.number, user_id }, &is)?;
        }
        if is && !was && self.rooms.is_local(&user_id) {
            let create = self.state_pdu("m.room.create", "").await?;
            if let Some(create) = create {
                carry_settings_over(self.tx, &user_id, (&self.room.id, &create)).await?;
            }
        }
        if self.rooms.is_local(&user_id) {
            self.tx.wake(Topic::Rooms(user_id.clone()));
            self.tx.wake(Topic::User(user_id));
        }
        Ok(())
    }

    pub(super) fn count(&mut self, membership: Option<Membership>, more: bool) {
        let counter = match membership {
            Some(Membership::Join) => &mut self.head.joined_members,
            Some(Membership::Invite) => &mut self.head.invited_members,
            _ => return,
        };
        *counter = if more { counter.saturating_add(1) } else { counter.saturating_sub(1) };
    }

    pub(super) fn put_relation(
        &self,
        (number, pdu): (EventNumber, &Pdu),
        relation: Relation,
        (at, index): (Stamp, u32),
    ) -> Result<()> {
        if let Some(key) = annotation(pdu, &relation) {
            self.tx.put(&key, &number)?;
        }
        let key = RelationKey { target: relation.target, at, index };
        let record = RelationRecord {
            event: number,
            sender: pdu.sender.clone(),
            rel_type: relation.rel_type,
            event_type: pdu.event_type.to_string(),
            annotation_key: relation.key,
        };
        self.tx.put(&key, &record)?;
        Ok(())
    }

    /// Nobody annotates an event twice with the same key, and a thread does not start from an event
    /// that relates to another itself.
    pub(super) async fn check_relation(&self, pdu: &Pdu, relation: &Relation) -> Result<()> {
        if let Some(key) = annotation(pdu, relation)
            && self.tx.get(&key).await?.is_some()
        {
            let text = "You have annotated this event with the same key before";
            return Err(Error::DuplicateAnnotation(text.to_owned()));
        }
        if relation.rel_type == "m.thread"
            && let Some(root) = self.rooms.event_of_room(self.room.number, &relation.target).await?
            && Relation::of(&*root.pdu()?).is_some()
        {
            let text = "A thread cannot start from an event that relates to another";
            return Err(Error::invalid_param(text));
        }
        Ok(())
    }

    /// Takes the content of an event away, and what was derived from it.
    pub(super) async fn redact(
        &mut self,
        because: EventNumber,
        target: &StoredEvent,
    ) -> Result<()> {
        let key = EventKey { event: target.number };
        let Some(mut record) = self.tx.get(&key).await? else {
            return Err(Error::bug("an event vanished while it was redacted"));
        };
        if record.redacted_because.is_some() {
            return Ok(());
        }
        let pdu = target.pdu()?;
        self.forget_relation(&pdu).await?;
        self.forget_profile(target.number, &pdu).await?;
        self.forget_words(&pdu).await?;
        record.json =
            event_format::redact(&record.json, &self.room.version, None).map_err(format_error)?;
        record.redacted_because = Some(because);
        self.tx.put(&key, &record)?;
        self.redacted_state |= record.state_key.is_some();
        let event = StoredEvent::new(target.number, self.room.version.clone(), record);
        self.fresh.insert(target.number, Arc::new(event));
        Ok(())
    }

    async fn forget_relation(&self, pdu: &Pdu) -> Result<()> {
        let Some(relation) = Relation::of(pdu) else {
            return Ok(());
        };
        let pointer = self.tx.get_stored(&EventByIdKey { event_id: pdu.event_id.clone() }).await?;
        if let Some(pointer) = pointer.filter(|pointer| pointer.position != Position::MAX) {
            let at = match pointer.record.place {
                Place::At(position) => position,
                Place::Commit | Place::Nowhere => pointer.position,
            };
            let (at, index) = (Stamp::At(at), pointer.record.index);
            self.tx.delete(&RelationKey { target: relation.target.clone(), at, index });
        }
        if let Some(key) = annotation(pdu, &relation) {
            self.tx.delete(&key);
        }
        Ok(())
    }

    /// The words under which a redacted event is found.
    async fn forget_words(&self, pdu: &Pdu) -> Result<()> {
        let texts = texts(&pdu.event_type.to_string(), pdu.content.get());
        if texts.is_empty() {
            return Ok(());
        }
        let pointer = self.tx.get_stored(&EventByIdKey { event_id: pdu.event_id.clone() }).await?;
        let Some(pointer) = pointer.filter(|pointer| pointer.position != Position::MAX) else {
            return Ok(());
        };
        let place = (pointer.position, pointer.record.index);
        delete_words(self.tx, self.room.number, pdu, place);
        Ok(())
    }

    /// The display name and avatar that a redacted `m.room.member` event had set.
    async fn forget_profile(&self, number: EventNumber, pdu: &Pdu) -> Result<()> {
        if pdu.event_type != TimelineEventType::RoomMember {
            return Ok(());
        }
        let Some(user_id) = target_user(pdu) else {
            return Ok(());
        };
        let key = MemberKey { room: self.room.number, user_id };
        if let Some(mut member) = self.tx.get(&key).await?.filter(|member| member.event == number) {
            member.display_name = None;
            member.avatar_url = None;
            self.tx.put(&key, &member)?;
        }
        Ok(())
    }
}

/// Takes away the words under which an event at a place is found.
pub(in crate::rooms) fn delete_words(
    tx: &Tx,
    room: RoomNumber,
    pdu: &Pdu,
    (at, index): (Position, u32),
) {
    let texts = texts(&pdu.event_type.to_string(), pdu.content.get());
    for word in texts.iter().flat_map(|(_, text)| words(text)) {
        tx.delete(&SearchWordKey { room, word: word.folded, at, index });
    }
}

fn target_user(pdu: &Pdu) -> Option<OwnedUserId> {
    UserId::parse(pdu.state_key.as_deref()?).ok()
}

/// The key of an annotation that a user makes at most once.
pub(in crate::rooms) fn annotation(pdu: &Pdu, relation: &Relation) -> Option<AnnotationKey> {
    let key = relation.annotation_key()?;
    let event_type = pdu.event_type.to_string();
    let mut hash = Sha256::new();
    for part in [pdu.sender.as_str(), &event_type, key] {
        // With their lengths, so that no two lists of parts give the same bytes.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    Some(AnnotationKey { target: relation.target.clone(), what: hash.finalize().into() })
}
