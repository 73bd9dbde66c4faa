//! Events in the format of clients, with everything that `unsigned` may hold for one reader.

use std::collections::BTreeMap;

use pli_federation::event_format::{ClientUnsigned, client_event};
use pli_schema::records::rooms::{Membership, RelationKey, RelationRecord};
use pli_store::{Row, Scan};
use ruma::{DeviceId, UserId};
use serde_json::value::{RawValue, to_raw_value};

use super::{History, Reader};
use crate::{
    Error, Result,
    rooms::{Origin, StoredEvent, sticky::ttl_ms},
};

/// Relations of one event that are looked at for its aggregations.
const AGGREGATED_MAX: usize = 1_000;

/// Who looks at an event.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// The user.
    pub user_id: &'a UserId,
    /// The device: it is told the transaction ids of what it sent.
    pub device_id: Option<&'a DeviceId>,
}

/// What is written into the event.
#[derive(Clone, Copy, Debug, Default)]
pub struct RenderOptions {
    /// `room_id` (everywhere but in `/sync`).
    pub room_id: bool,
    /// Aggregated relations (`m.relations`).
    pub relations: bool,
}

impl RenderOptions {
    /// As in an event of `/sync`.
    pub const SYNC: Self = Self { room_id: false, relations: true };
    /// As in an event of every other response.
    pub const FULL: Self = Self { room_id: true, relations: true };
    /// As in a list of state events.
    pub const STATE: Self = Self { room_id: true, relations: false };
}

/// The parts of `unsigned`, owned.
#[derive(Default)]
struct Unsigned {
    age: Option<i64>,
    transaction_id: Option<String>,
    delay_id: Option<String>,
    sticky_ttl_ms: Option<u64>,
    replaced: Option<(ruma::OwnedEventId, Box<RawValue>)>,
    redacted_because: Option<Box<RawValue>>,
    membership: Option<&'static str>,
    relations: Option<Box<RawValue>>,
}

impl History {
    /// An event in the format of clients. `reader` adds the membership at the event; without it,
    /// nothing is said of it.
    ///
    /// # Errors
    /// Those of the store; [`Error::Bug`] if the stored text is not an event.
    pub async fn render(
        &self,
        event: &StoredEvent,
        viewer: Viewer<'_>,
        reader: Option<&Reader>,
        options: RenderOptions,
    ) -> Result<Box<RawValue>> {
        raw_text(event, self.render_text(event, viewer, reader, options).await?)
    }

    /// The same as text, for answers that are put together from texts.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub async fn render_text(
        &self,
        event: &StoredEvent,
        viewer: Viewer<'_>,
        reader: Option<&Reader>,
        options: RenderOptions,
    ) -> Result<String> {
        let unsigned = Unsigned {
            age: Some(self.age(event)?),
            transaction_id: transaction_id(event, viewer)?,
            delay_id: delay_id(event, viewer)?,
            sticky_ttl_ms: ttl_ms(event, self.rooms().clock().now_ms())?,
            replaced: self.replaced(event).await?,
            redacted_because: self.redacted_because(event).await?,
            membership: match reader {
                Some(reader) => reader.membership_at(event).await?.map(Membership::name),
                None => None,
            },
            relations: match options.relations && event.record.redacted_because.is_none() {
                true => self.aggregations(event, viewer, reader).await?,
                false => None,
            },
        };
        self.write(event, &unsigned, options).await
    }

    /// An event without aggregations, as it stands inside another.
    async fn render_inner(&self, event: &StoredEvent) -> Result<Box<RawValue>> {
        let unsigned =
            Unsigned { age: Some(self.age(event)?), redacted_because: None, ..Unsigned::default() };
        let options = RenderOptions { room_id: true, relations: false };
        raw_text(event, self.write(event, &unsigned, options).await?)
    }

    async fn write(
        &self,
        event: &StoredEvent,
        unsigned: &Unsigned,
        options: RenderOptions,
    ) -> Result<String> {
        let room = self.rooms().room(event.record.room).await?;
        let unsigned = ClientUnsigned {
            age: unsigned.age,
            transaction_id: unsigned.transaction_id.as_deref(),
            prev_content: unsigned.replaced.as_ref().map(|(_, content)| &**content),
            replaces_state: unsigned.replaced.as_ref().map(|(id, _)| &**id),
            redacted_because: unsigned.redacted_because.as_deref(),
            membership: unsigned.membership,
            relations: unsigned.relations.as_deref(),
            delay_id: unsigned.delay_id.as_deref(),
            sticky_ttl_ms: unsigned.sticky_ttl_ms,
        };
        let room_id = options.room_id.then_some(&*room.id);
        let json = &event.record.json;
        client_event(json, &event.record.event_id, room_id, &event.version, &unsigned)
            .map_err(|error| Error::bug(format!("stored event {}: {error}", event.record.event_id)))
    }

    fn age(&self, event: &StoredEvent) -> Result<i64> {
        let sent = event.origin_server_ts_ms()?;
        let now = i64::try_from(self.rooms().clock().now_ms()).unwrap_or(i64::MAX);
        Ok(now.saturating_sub(i64::try_from(sent).unwrap_or(i64::MAX)))
    }

    async fn replaced(
        &self,
        event: &StoredEvent,
    ) -> Result<Option<(ruma::OwnedEventId, Box<RawValue>)>> {
        let Some(replaces) = event.record.replaces else {
            return Ok(None);
        };
        let replaced = self.rooms().existing_event(replaces).await?;
        Ok(Some((replaced.record.event_id.clone(), replaced.pdu()?.content.clone())))
    }

    async fn redacted_because(&self, event: &StoredEvent) -> Result<Option<Box<RawValue>>> {
        let Some(redaction) = event.record.redacted_because else {
            return Ok(None);
        };
        // It may have expired: what it redacted stays redacted.
        match self.rooms().event(redaction).await? {
            Some(redaction) => self.render_inner(&redaction).await.map(Some),
            None => Ok(None),
        }
    }

    /// `m.relations`: the newest edit, the thread, the references
    /// (<https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events>).
    async fn aggregations(
        &self,
        event: &StoredEvent,
        viewer: Viewer<'_>,
        reader: Option<&Reader>,
    ) -> Result<Option<Box<RawValue>>> {
        let prefix = (event.record.event_id.clone(),);
        let scan = Scan::<RelationKey>::prefix(prefix).backward().limit(AGGREGATED_MAX);
        let mut rows = Vec::new();
        for row in self.rooms().store().scan(&scan).await? {
            // What came after the reader left, or what somebody hung onto the event from another
            // room, is not shown inside it either.
            let child = self.rooms().existing_event(row.record.event).await?;
            let shown = match reader {
                Some(reader) => reader.may_see(&child).await?,
                None => child.record.room == event.record.room,
            };
            if shown {
                rows.push(row);
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let mut out: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
        if event.record.state_key.is_none()
            && let Some(edit) = self.newest_edit(event, &rows).await?
        {
            out.insert("m.replace", edit);
        }
        if let Some(thread) = self.thread(event, &rows, viewer).await? {
            out.insert("m.thread", thread);
        }
        if let Some(references) = self.references(&rows).await? {
            out.insert("m.reference", references);
        }
        if out.is_empty() { Ok(None) } else { raw(&out).map(Some) }
    }

    /// The newest valid edit: of the same sender and type, not redacted.
    async fn newest_edit(
        &self,
        event: &StoredEvent,
        rows: &[Row<RelationKey>],
    ) -> Result<Option<Box<RawValue>>> {
        let original = event.pdu()?;
        let edits = of_type(rows, "m.replace").filter(|edit| {
            edit.sender == original.sender && edit.event_type == original.event_type.to_string()
        });
        // Of those of one time the one with the greatest id counts.
        let mut newest: Option<((ruma::MilliSecondsSinceUnixEpoch, ruma::OwnedEventId), _)> = None;
        for edit in edits {
            let edit = self.rooms().existing_event(edit.event).await?;
            let at = (edit.pdu()?.origin_server_ts, edit.record.event_id.clone());
            let valid = edit.record.redacted_because.is_none() && !edit.record.soft_failed;
            if valid && newest.as_ref().is_none_or(|(newest, _)| at > *newest) {
                newest = Some((at, edit));
            }
        }
        match newest {
            Some((_, edit)) => self.render_inner(&edit).await.map(Some),
            None => Ok(None),
        }
    }

    async fn thread(
        &self,
        root: &StoredEvent,
        rows: &[Row<RelationKey>],
        viewer: Viewer<'_>,
    ) -> Result<Option<Box<RawValue>>> {
        let mut latest = None;
        let mut count = 0_u64;
        let mut participated = root.pdu()?.sender == *viewer.user_id;
        for reply in of_type(rows, "m.thread") {
            let event = self.rooms().existing_event(reply.event).await?;
            if event.record.redacted_because.is_some() || event.record.soft_failed {
                continue;
            }
            count = count.saturating_add(1);
            participated |= reply.sender == viewer.user_id;
            latest.get_or_insert(event);
        }
        let Some(latest) = latest else {
            return Ok(None);
        };
        let latest = self.render_inner(&latest).await?;
        raw(&serde_json::json!({
            "latest_event": latest, "count": count, "current_user_participated": participated,
        }))
        .map(Some)
    }

    async fn references(&self, rows: &[Row<RelationKey>]) -> Result<Option<Box<RawValue>>> {
        let mut chunk = Vec::new();
        for reference in of_type(rows, "m.reference") {
            let event = self.rooms().existing_event(reference.event).await?;
            if event.record.redacted_because.is_none() && !event.record.soft_failed {
                chunk.push(serde_json::json!({ "event_id": event.record.event_id }));
            }
        }
        chunk.reverse();
        if chunk.is_empty() {
            return Ok(None);
        }
        raw(&serde_json::json!({ "chunk": chunk })).map(Some)
    }
}

fn raw_text(event: &StoredEvent, json: String) -> Result<Box<RawValue>> {
    RawValue::from_string(json)
        .map_err(|error| Error::bug(format!("stored event {}: {error}", event.record.event_id)))
}

fn of_type<'a>(
    rows: &'a [Row<RelationKey>],
    rel_type: &'a str,
) -> impl Iterator<Item = &'a RelationRecord> {
    rows.iter().map(|row| &row.record).filter(move |record| record.rel_type == rel_type)
}

fn transaction_id(event: &StoredEvent, viewer: Viewer<'_>) -> Result<Option<String>> {
    let Some((device_id, transaction_id)) = &event.record.transaction else {
        return Ok(None);
    };
    let own = viewer.device_id == Some(&**device_id) && event.pdu()?.sender == *viewer.user_id;
    Ok(own.then(|| transaction_id.to_string()))
}

/// The id under which the viewer had scheduled the event.
fn delay_id(event: &StoredEvent, viewer: Viewer<'_>) -> Result<Option<String>> {
    let Some(delay_id) = event.record.transaction.as_ref().and_then(Origin::delay_id) else {
        return Ok(None);
    };
    let own = event.pdu()?.sender == *viewer.user_id;
    Ok(own.then(|| delay_id.to_owned()))
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>> {
    to_raw_value(value).map_err(|error| Error::bug(error.to_string()))
}
