//! The rooms of a space
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy>).

mod for_servers;
mod remote;

use std::{collections::HashSet, sync::Arc};

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use self::remote::Walk;
pub use self::{
    for_servers::ServerHierarchy,
    remote::{Elsewhere, RemoteChild, RemoteSpace},
};
use super::{Room, RoomSummary, Rooms, StoredEvent, draft::raw};
use crate::{Error, Result};

/// How deep a space is walked at most, and if the client does not say.
const DEPTH_MAX: u64 = 32;
/// Rooms of one walk at most.
const ROOMS_MAX: usize = 5_000;
/// Children of one space that are looked at.
const CHILDREN_MAX: usize = 1_000;
/// Rooms on a page at most, and if the client does not say.
const PAGE_MAX: usize = 50;
/// Characters of an `order` at most.
const ORDER_MAX: usize = 50;

/// What is asked of a space.
#[derive(Clone, Debug)]
pub struct HierarchyQuery {
    /// Who asks.
    pub user_id: OwnedUserId,
    /// The space.
    pub room_id: OwnedRoomId,
    /// Where to go on: `next_batch` of the page before.
    pub from: Option<String>,
    /// Rooms on the page.
    pub limit: Option<u64>,
    /// How deep to go: 0 is the space alone.
    pub max_depth: Option<u64>,
    /// Only rooms that the space suggests.
    pub suggested_only: bool,
}

/// A room of a space.
#[derive(Clone, Debug, Serialize)]
pub struct HierarchyRoom {
    /// The room.
    #[serde(flatten)]
    pub summary: RoomSummary,
    /// Its own children, in their order.
    pub children_state: Vec<Box<RawValue>>,
}

/// A page of the rooms of a space, depth first.
#[derive(Clone, Debug, Serialize)]
pub struct HierarchyPage {
    /// The rooms.
    pub rooms: Vec<HierarchyRoom>,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A child of a space, as its `m.space.child` event says. In the order of children.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Child {
    /// Children without a valid order come last.
    without_order: bool,
    order: Option<String>,
    sent: u64,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers that know it.
    pub via: Vec<OwnedServerName>,
}

/// Servers of one child that are looked at.
const VIA_MAX: usize = 10;

impl HierarchyQuery {
    fn depth(&self) -> u64 {
        self.max_depth.unwrap_or(DEPTH_MAX).min(DEPTH_MAX)
    }

    /// What must not change from page to page, as a short text.
    fn bound_to(&self) -> String {
        let parts = format!(
            "{}\0{}\0{:?}\0{}",
            self.user_id, self.room_id, self.max_depth, self.suggested_only
        );
        let hash = Sha256::digest(parts);
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// How many rooms earlier pages have shown.
    fn start(&self) -> Result<usize> {
        let Some(token) = &self.from else {
            return Ok(0);
        };
        let bound_to = self.bound_to();
        let read = || token.strip_prefix("h1_")?.strip_suffix(&*bound_to)?.strip_suffix('_');
        let number = read().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        number.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
            Error::invalid_param("`from` is not a token of this walk: was a parameter changed?")
        })
    }

    fn next(&self, shown: usize) -> String {
        format!("h1_{shown}_{}", self.bound_to())
    }
}

impl Rooms {
    /// A page of the rooms of a space that the user may find: depth first, each room once. Of rooms that
    /// this server does not take part in it is told by others.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the user may not find the space itself; [`Error::InvalidParam`] for a
    /// token of another walk or a limit of 0.
    pub async fn hierarchy(
        &self,
        query: &HierarchyQuery,
        elsewhere: &dyn Elsewhere,
    ) -> Result<HierarchyPage> {
        let start = query.start()?;
        if query.limit == Some(0) {
            return Err(Error::invalid_param("`limit` must be greater than zero"));
        }
        let limit = query.limit.map_or(PAGE_MAX, |n| usize::try_from(n).unwrap_or(PAGE_MAX));
        let end = start.saturating_add(limit.min(PAGE_MAX));
        let mut page = HierarchyPage { rooms: Vec::new(), next_batch: None };
        let mut walk = Walk::new(self, elsewhere, query);
        let mut seen = HashSet::new();
        let mut shown: usize = 0;
        while let Some(next) = walk.waiting.pop() {
            if seen.len() >= ROOMS_MAX || !seen.insert(next.room_id.clone()) {
                continue;
            }
            let Some((room, children)) = walk.look(&next).await? else {
                if next.depth == 0 {
                    return Err(Error::forbidden("You may not see this room"));
                }
                continue;
            };
            if shown >= end {
                page.next_batch = Some(query.next(shown));
                break;
            }
            if next.depth < query.depth() {
                walk.wait_for(children, next.depth).await?;
            }
            if shown >= start {
                page.rooms.push(room);
            }
            shown = shown.saturating_add(1);
        }
        Ok(page)
    }

    /// The children of a space in their order
    /// (<https://spec.matrix.org/v1.19/client-server-api/#ordering-of-children-within-a-space>).
    async fn children(
        &self,
        room: &Room,
        suggested_only: bool,
    ) -> Result<Vec<(Child, Arc<StoredEvent>)>> {
        let state = self.head(room.number).await?.state;
        let mut children = Vec::new();
        for event in self.state_events_of_type(state, "m.space.child").await? {
            if let Some(child) = child(&event, suggested_only)? {
                children.push((child, event));
            }
        }
        children.sort_by(|(a, _), (b, _)| a.cmp(b));
        children.truncate(CHILDREN_MAX);
        Ok(children)
    }
}

/// The child that an event names; `None` if it names none (any more), or it is not suggested where that
/// is asked for.
fn child(event: &StoredEvent, suggested_only: bool) -> Result<Option<Child>> {
    let pdu = event.pdu()?;
    let content: serde_json::Value = event.content()?.unwrap_or_default();
    let sent = u64::from(pdu.origin_server_ts.0);
    Ok(child_of(pdu.state_key.as_deref(), &content, sent)
        .filter(|child| child.1 || !suggested_only))
    .map(|child| child.map(|(child, _)| child))
}

/// The child that an event of this state key and content names, and whether it is suggested.
fn child_of(
    state_key: Option<&str>,
    content: &serde_json::Value,
    sent: u64,
) -> Option<(Child, bool)> {
    let room_id = RoomId::parse(state_key?).ok()?;
    let via = content.get("via")?.as_array()?.iter().take(VIA_MAX);
    let via = via.filter_map(|name| ServerName::parse(name.as_str()?).ok());
    let via = via.map(|name| name.to_owned()).collect();
    let suggested = content.get("suggested").and_then(serde_json::Value::as_bool) == Some(true);
    let order = content.get("order").and_then(serde_json::Value::as_str);
    let order = order.filter(|order| is_order(order)).map(str::to_owned);
    let room_id = room_id.to_owned();
    Some((Child { without_order: order.is_none(), order, sent, room_id, via }, suggested))
}

/// Whether a text may be an `order`: at most 50 characters from space to tilde.
fn is_order(text: &str) -> bool {
    text.len() <= ORDER_MAX && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// The events as stripped state with the time at which they were sent.
fn stripped(children: &[(Child, Arc<StoredEvent>)]) -> Result<Vec<Box<RawValue>>> {
    let one = |(_, event): &(Child, Arc<StoredEvent>)| {
        let pdu = event.pdu()?;
        raw(&serde_json::json!({
            "type": pdu.event_type.to_string(),
            "state_key": pdu.state_key,
            "content": pdu.content,
            "sender": pdu.sender,
            "origin_server_ts": pdu.origin_server_ts,
        }))
    };
    children.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_printable_and_short() {
        assert!(is_order("") && is_order(" ~") && is_order(&"a".repeat(50)));
        assert!(!is_order("é") && !is_order("\u{7f}") && !is_order("\n"));
        assert!(!is_order(&"a".repeat(51)));
    }

    #[test]
    fn children_stand_as_in_the_example_of_the_specification() {
        let child = |room: &str, order: Option<&str>, sent| Child {
            without_order: order.is_none(),
            order: order.map(str::to_owned),
            sent,
            room_id: RoomId::parse(format!("!{room}:example.org")).unwrap().to_owned(),
            via: Vec::new(),
        };
        let mut children = [
            child("d", None, 1_640_741_000_000),
            child("e", None, 1_640_641_000_000),
            child("c", Some("first"), 1_640_841_000_000),
            child("a", Some("aaaa"), 1_640_141_000_000),
            child("b", Some(" "), 1_640_341_000_000),
            child("f", Some(" "), 1_640_341_000_000),
        ];
        children.sort();
        let ids: Vec<&str> = children.iter().map(|child| child.room_id.as_str()).collect();
        let expected = ["b", "f", "a", "c", "e", "d"].map(|room| format!("!{room}:example.org"));
        assert_eq!(ids, expected);
    }
}
