//! Events that stick: shown to members whatever the limit of the timeline, until their time is over
//! (MSC4354).

use std::sync::Arc;

use pli_schema::{Position, RoomNumber, records::delayed::StickyEventKey};
use pli_store::Scan;

use super::{Rooms, StoredEvent};
use crate::{Error, Result};

/// Longest time for which an event sticks.
pub const STICKY_MAX_MS: u32 = 3_600_000;
/// Sticky events of one room that are looked at for one answer.
const LOOKED_AT_MAX: usize = 10_000;
/// Rows that one step of the clean-up looks at.
const SWEPT_AT_ONCE: usize = 1_000;

/// An event that sticks.
#[derive(Clone, Debug)]
pub struct StickyEvent {
    /// The event.
    pub event: Arc<StoredEvent>,
    /// For how long it still sticks, in milliseconds.
    pub ttl_ms: u64,
}

impl Rooms {
    /// The events of a room that came after `since` up to `until` and still stick, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sticky_events(
        &self,
        room: RoomNumber,
        since: Position,
        until: Position,
    ) -> Result<Vec<StickyEvent>> {
        let scan = Scan::<StickyEventKey>::prefix((room,))
            .after((room, since))
            .up_to((room, until))
            .limit(LOOKED_AT_MAX);
        let now_ms = self.clock().now_ms();
        let mut sticky = Vec::new();
        for row in self.store().scan(&scan).await? {
            let ttl_ms = row.record.expires_at_ms.saturating_sub(now_ms);
            let event = self.existing_event(row.record.event).await?;
            if ttl_ms > 0 && event.record.redacted_because.is_none() && !event.record.soft_failed {
                sticky.push(StickyEvent { event, ttl_ms });
            }
        }
        Ok(sticky)
    }

    /// Forgets that events stick whose time is over. The events stay.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_expired_sticky_events(&self) -> Result<()> {
        let mut scan = Scan::<StickyEventKey>::prefix(()).limit(SWEPT_AT_ONCE);
        loop {
            let rows = self.store().scan(&scan).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            let StickyEventKey { room, at, index } = last.key;
            scan = scan.after((room, at.position().unwrap_or_default(), index));
            let now_ms = self.clock().now_ms();
            let over: Vec<_> = rows
                .iter()
                .filter(|row| row.record.expires_at_ms <= now_ms)
                .map(|row| &row.key)
                .collect();
            if over.is_empty() {
                continue;
            }
            let over = &over;
            self.store()
                .write(|tx| async move {
                    for key in over {
                        tx.delete(*key);
                    }
                    Ok::<_, Error>(())
                })
                .await?;
        }
    }
}

/// For how long an event still sticks, in milliseconds, by what it says itself; `None` if it does not.
pub(crate) fn ttl_ms(event: &StoredEvent, now_ms: u64) -> Result<Option<u64>> {
    #[derive(serde::Deserialize)]
    struct Content {
        duration_ms: u32,
    }
    #[derive(serde::Deserialize)]
    struct Wire {
        msc4354_sticky: Option<Content>,
    }
    // Few events stick: most are not parsed for it.
    if !event.record.json.contains("\"msc4354_sticky\"") {
        return Ok(None);
    }
    let wire: Option<Wire> = serde_json::from_str(&event.record.json).ok();
    let Some(Content { duration_ms }) = wire.and_then(|wire| wire.msc4354_sticky) else {
        return Ok(None);
    };
    let start_ms = now_ms.min(event.pdu()?.origin_server_ts.0.into());
    let end_ms = start_ms.saturating_add(duration_ms.min(STICKY_MAX_MS).into());
    Ok(Some(end_ms.saturating_sub(now_ms)).filter(|ttl| *ttl > 0))
}
