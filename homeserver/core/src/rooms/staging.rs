//! Events of one room on their way into one transaction.

mod accept;
mod apply;
mod follow;
mod graph;
mod import;
mod names;
mod past;
mod prepare;
mod remote;
mod resolve;

pub(super) use self::apply::{annotation, delete_words};

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pli_federation::event_format::Pdu;
use pli_schema::{
    EventNumber, RoomNumber, Stamp, StateKeyNumber, StateRoot, Topic,
    records::{
        federation::EventAuthRecord,
        rooms::{
            Membership, RoomActivityKey, RoomHeadKey, RoomHeadRecord, TransactionKey,
            TransactionRecord,
        },
    },
};
use pli_store::Tx;
use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId};
use sha2::{Digest, Sha256};

use super::{
    Draft, Origin, Room, Rooms, StoredEvent, draft::Expects, members, state_keys::Interned,
};
use crate::{Error, Result, numbers::NumberKind};

/// Bytes of a transaction id at most.
const TRANSACTION_ID_BYTES_MAX: usize = 255;
/// Bytes of a type or a state key at most, as a key of the store has it.
const KEY_TEXT_BYTES_MAX: usize = 400;

/// A room's head and new events in the making, within one transaction. Events are appended one after
/// the other, each on the state that the one before left; [`Self::close`] writes the head.
///
/// An event that is refused leaves nothing behind: everything that can be refused is looked at before
/// the first of its records is put.
pub(super) struct Staging<'a> {
    rooms: &'a Rooms,
    tx: &'a Tx,
    pub(super) room: Room,
    pub(super) head: RoomHeadRecord,
    /// The index of the next event among those of this commit.
    next_index: u32,
    fresh: HashMap<EventNumber, Arc<StoredEvent>>,
    interned: Vec<Interned>,
    /// A state event was redacted.
    redacted_state: bool,
    /// What authorizes the state events of this transaction.
    auth: HashMap<EventNumber, EventAuthRecord>,
    /// The room's create event, once it was needed.
    create: Option<Arc<Pdu>>,
    /// An event was written in part: the transaction must not be committed.
    broken: bool,
}

/// What a transaction has made, for the caches, once it is committed.
#[derive(Debug, Default)]
pub(super) struct Staged {
    events: Vec<Arc<StoredEvent>>,
    interned: Vec<Interned>,
    /// A state event was redacted.
    redacted_state: bool,
}

/// An event of a draft: made, or found to be there already.
#[derive(Clone, Debug)]
pub(super) struct StagedEvent {
    pub(super) event_id: OwnedEventId,
    pub(super) existed: bool,
}

impl<'a> Staging<'a> {
    /// A room that exists.
    pub(super) async fn open(rooms: &'a Rooms, tx: &'a Tx, room: RoomNumber) -> Result<Self> {
        let head = tx.get(&RoomHeadKey { room }).await?;
        let head = head.ok_or_else(|| Error::bug(format!("room {} has no head", room.0)))?;
        let room = Room::clone(&*rooms.room(room).await?);
        Ok(Self::with(rooms, tx, room, head))
    }

    /// A room whose first event comes now. From version 12 on its id is that of this event, until then
    /// the one given here.
    pub(super) async fn new_room(
        rooms: &'a Rooms,
        tx: &'a Tx,
        id: OwnedRoomId,
        version: RoomVersionId,
    ) -> Result<Self> {
        let number = RoomNumber(rooms.parts.numbers.next(NumberKind::Room).await?);
        let head = RoomHeadRecord {
            extremities: Vec::new(),
            depth: 0,
            state: StateRoot::EMPTY,
            joined_members: 0,
            invited_members: 0,
        };
        Ok(Self::with(rooms, tx, Room { number, id, version }, head))
    }

    fn with(rooms: &'a Rooms, tx: &'a Tx, room: Room, head: RoomHeadRecord) -> Self {
        Self {
            rooms,
            tx,
            room,
            head,
            next_index: 0,
            fresh: HashMap::new(),
            interned: Vec::new(),
            redacted_state: false,
            auth: HashMap::new(),
            create: None,
            broken: false,
        }
    }

    /// Makes the event of a draft, unless it is there already: the device has used the transaction id,
    /// or it is state that changes nothing.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the rules or the policy refuse it; [`Error::TooLarge`],
    /// [`Error::BadJson`] if no event can be made of it.
    pub(super) async fn append(
        &mut self,
        draft: &Draft,
        origin: Option<&Origin>,
    ) -> Result<StagedEvent> {
        check_lengths(draft, origin)?;
        let draft = &*self.with_given_name(draft).await?;
        let transaction = origin.map(|origin| self.transaction_key(draft, origin));
        if let Some(key) = &transaction
            && let Some(TransactionRecord { event_id: Some(event_id), .. }) =
                self.tx.get(key).await?
        {
            return Ok(StagedEvent { event_id, existed: true });
        }
        if let Some(event_id) = self.existing(draft).await? {
            return Ok(StagedEvent { event_id, existed: true });
        }
        let prepared = self.prepare(draft, origin).await?;
        let event_id = prepared.pdu.event_id.clone();
        if let Err(error) = self.apply(prepared).await {
            self.broken = true;
            return Err(error);
        }
        if let Some(key) = transaction {
            let at_ms = self.rooms.clock().now_ms();
            self.tx.put(&key, &TransactionRecord { event_id: Some(event_id.clone()), at_ms })?;
        }
        Ok(StagedEvent { event_id, existed: false })
    }

    /// Writes the head, if there are new events. What is returned goes to [`Rooms::keep_staged`] after
    /// the commit.
    ///
    /// # Errors
    /// [`Error::Bug`] if writing an event failed half-way: the transaction must fail as a whole.
    pub(super) fn close(self) -> Result<Staged> {
        if self.broken {
            return Err(Error::bug("an event could not be written"));
        }
        if self.next_index > 0 {
            let room = self.room.number;
            self.tx.put(&RoomHeadKey { room }, &self.head)?;
            self.tx.put(&RoomActivityKey { at: Stamp::Commit, room }, &())?;
            self.tx.wake(Topic::Room(room));
        }
        Ok(Staged {
            events: self.fresh.into_values().collect(),
            interned: self.interned,
            redacted_state: self.redacted_state,
        })
    }

    fn transaction_key(&self, draft: &Draft, origin: &Origin) -> TransactionKey {
        TransactionKey {
            user_id: draft.sender.clone(),
            device_id: origin.device_id.clone(),
            scope: short(format!("{}/{}", self.room.number.0, origin.endpoint)),
            transaction_id: short(origin.transaction_id.to_string()),
        }
    }

    /// The event that makes a draft unnecessary.
    async fn existing(&self, draft: &Draft) -> Result<Option<OwnedEventId>> {
        let Some(state_key) = &draft.state_key else {
            return Ok(None);
        };
        let event_type = draft.event_type.to_string();
        let current = self.state_pdu(&event_type, state_key).await?;
        let membership = match &current {
            Some(pdu) if event_type == "m.room.member" => members::membership_of(pdu),
            _ => None,
        };
        // What a membership is, is told only to those who may see it.
        let joined = self.membership(draft.sender.as_str()).await? == Some(Membership::Join);
        let own_membership = event_type == "m.room.member" && *state_key == draft.sender;
        match draft.expects {
            Expects::Anything | Expects::Not(_) if !(joined || own_membership) => return Ok(None),
            Expects::Anything => {}
            Expects::Not(unwanted) if membership == Some(unwanted) => {
                return Ok(current.map(|pdu| pdu.event_id.clone()));
            }
            Expects::Not(_) => {}
            Expects::OneOf(..) if !joined => {
                return Err(Error::forbidden("You are not in this room"));
            }
            Expects::OneOf(allowed, refusal) => {
                if !membership.is_some_and(|membership| allowed.contains(&membership)) {
                    return Err(refusal());
                }
            }
        }
        let Some(current) = current.filter(|pdu| pdu.sender == draft.sender) else {
            return Ok(None);
        };
        let same = prepare::same_content(&current.content, &draft.content)?;
        Ok(same.then(|| current.event_id.clone()))
    }

    /// The rooms that this is about.
    pub(super) const fn rooms(&self) -> &'a Rooms {
        self.rooms
    }

    /// The membership of a user as the next event of this transaction sees it.
    pub(super) async fn membership(&self, user_id: &str) -> Result<Option<Membership>> {
        let member = self.state_pdu("m.room.member", user_id).await?;
        Ok(member.as_deref().and_then(members::membership_of))
    }

    /// A state event as the next event of this transaction sees it.
    pub(super) async fn state_pdu(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<Pdu>>> {
        let Some(number) = self.key_number(event_type, state_key).await? else {
            return Ok(None);
        };
        match self.rooms.tree.within(self.tx).get(self.head.state, number).await? {
            Some(event) => Ok(Some(self.event(event).await?.pdu()?)),
            None => Ok(None),
        }
    }

    /// The number of a state key, also one of this transaction.
    async fn key_number(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StateKeyNumber>> {
        match self.interned.iter().find(|i| i.is(event_type, state_key)) {
            Some(interned) => Ok(Some(interned.number())),
            None => self.rooms.state_key_number(event_type, state_key).await,
        }
    }

    /// The number of a state key, given now if it has none.
    async fn intern(&mut self, event_type: &str, state_key: &str) -> Result<StateKeyNumber> {
        if let Some(number) = self.key_number(event_type, state_key).await? {
            return Ok(number);
        }
        let (number, interned) =
            self.rooms.intern_state_key(self.tx, event_type, state_key).await?;
        self.interned.extend(interned);
        Ok(number)
    }

    /// An event, also of this transaction.
    async fn event(&self, number: EventNumber) -> Result<Arc<StoredEvent>> {
        match self.fresh.get(&number) {
            Some(event) => Ok(Arc::clone(event)),
            None => self.rooms.existing_event(number).await,
        }
    }
}

/// Refuses what would make a key of the store too long. A transaction is refused as a whole for that,
/// and it may carry the events of others too.
fn check_lengths(draft: &Draft, origin: Option<&Origin>) -> Result<()> {
    if origin.is_some_and(|origin| origin.transaction_id.as_str().len() > TRANSACTION_ID_BYTES_MAX)
    {
        return Err(Error::invalid_param("The transaction id is too long"));
    }
    let event_type = draft.event_type.to_string();
    for text in [event_type.as_str(), draft.state_key.as_deref().unwrap_or_default()] {
        // Keys write a zero byte as two.
        let zeros = text.bytes().filter(|byte| *byte == 0).count();
        if text.len().saturating_add(zeros) > KEY_TEXT_BYTES_MAX {
            return Err(Error::too_large("The type or the state key is too long"));
        }
    }
    Ok(())
}

/// The text, or its SHA-256 where it would make a key too long.
fn short(text: String) -> String {
    if text.len() <= 64 { text } else { URL_SAFE_NO_PAD.encode(Sha256::digest(text)) }
}

impl Rooms {
    /// Takes what a committed transaction has made into the caches.
    pub(super) fn keep_staged(&self, staged: Staged) {
        self.keep(staged.events);
        self.keep_state_keys(staged.interned);
        if staged.redacted_state {
            // After the events: whoever reads the new count reads the redacted event.
            self.caches.redactions.fetch_add(1, Ordering::AcqRel);
        }
    }
}
