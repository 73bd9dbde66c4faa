//! Filters: what a client wants to see of a sync or a page of messages
//! (<https://spec.matrix.org/v1.19/client-server-api/#filtering>).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pli_schema::records::sync::{FilterKey, FilterRecord};
use pli_store::{Scan, Store};
use ruma::{
    RoomId, UserId,
    api::client::filter::{Filter, FilterDefinition, RoomEventFilter, RoomFilter, UrlFilter},
};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Largest definition, in bytes.
const DEFINITION_BYTES_MAX: usize = 64 * 1024;
/// Filters that a user may have stored.
const FILTERS_MAX: usize = 1_000;
/// Bytes of the definition's hash that name it.
const ID_BYTES: usize = 12;

/// The stored filters of all users. Clones share the store.
#[derive(Clone, Debug)]
pub struct Filters {
    store: Store,
}

impl Filters {
    /// The filters of a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Stores a filter; the same definition gets the same id. Its JSON must be a filter already.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above the limits.
    pub async fn create(&self, user_id: &UserId, filter: &FilterDefinition) -> Result<String> {
        let definition =
            serde_json::to_string(filter).map_err(|error| Error::bug(error.to_string()))?;
        if definition.len() > DEFINITION_BYTES_MAX {
            return Err(Error::too_large("The filter is too large"));
        }
        let hash = Sha256::digest(definition.as_bytes());
        let filter_id = URL_SAFE_NO_PAD.encode(hash.get(..ID_BYTES).unwrap_or(&hash));
        let key = FilterKey { user_id: user_id.to_owned(), filter_id: filter_id.clone() };
        if self.store.get(&key).await?.is_some() {
            return Ok(filter_id);
        }
        let scan = Scan::<FilterKey>::prefix((key.user_id.clone(),)).limit(FILTERS_MAX);
        if self.store.scan(&scan).await?.len() >= FILTERS_MAX {
            return Err(Error::too_large("There are too many filters"));
        }
        let (key, record) = (&key, &FilterRecord { definition });
        self.store.write(|tx| async move { Ok::<_, Error>(tx.put(key, record)?) }).await?;
        Ok(filter_id)
    }

    /// A stored filter.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no filter of this id.
    pub async fn get(&self, user_id: &UserId, filter_id: &str) -> Result<FilterDefinition> {
        let key = FilterKey { user_id: user_id.to_owned(), filter_id: filter_id.to_owned() };
        let record = self.store.get(&key).await?;
        let record = record.ok_or_else(|| Error::not_found("No such filter"))?;
        serde_json::from_str(&record.definition).map_err(|error| Error::bug(error.to_string()))
    }
}

/// Whether a pattern, in which `*` stands for any characters, matches the whole text. Linear in the
/// length of the text for each star.
#[must_use]
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at.saturating_add(part.len())..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn type_allowed(types: Option<&[String]>, not_types: &[String], event_type: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|p| matches_pattern(p, event_type));
    types.is_none_or(any) && !any(not_types)
}

fn sender_allowed<T: AsRef<UserId>>(
    senders: Option<&[T]>,
    not_senders: &[T],
    sender: &UserId,
) -> bool {
    let any = |list: &[T]| list.iter().any(|one| one.as_ref() == sender);
    senders.is_none_or(any) && !any(not_senders)
}

fn room_allowed<T: AsRef<RoomId>>(rooms: Option<&[T]>, not_rooms: &[T], room_id: &RoomId) -> bool {
    let any = |list: &[T]| list.iter().any(|one| one.as_ref() == room_id);
    rooms.is_none_or(any) && !any(not_rooms)
}

/// Whether a filter for data outside rooms lets a type through; the sender of account data is the user.
#[must_use]
pub fn allows_data(filter: &Filter, data_type: &str, sender: &UserId) -> bool {
    type_allowed(filter.types.as_deref(), &filter.not_types, data_type)
        && sender_allowed(filter.senders.as_deref(), &filter.not_senders, sender)
}

/// Whether a filter of rooms lets a room through.
#[must_use]
pub fn allows_room(filter: &RoomFilter, room_id: &RoomId) -> bool {
    room_allowed(filter.rooms.as_deref(), &filter.not_rooms, room_id)
}

/// Whether a filter of events lets a room through at all.
#[must_use]
pub fn allows_room_events(filter: &RoomEventFilter, room_id: &RoomId) -> bool {
    room_allowed(filter.rooms.as_deref(), &filter.not_rooms, room_id)
        && filter.types.as_ref().is_none_or(|types| !types.is_empty())
}

/// Whether a filter of events lets a type through (ephemeral events and account data have no sender).
#[must_use]
pub fn allows_type(filter: &RoomEventFilter, event_type: &str) -> bool {
    type_allowed(filter.types.as_deref(), &filter.not_types, event_type)
}

/// Whether a filter of events lets every event through, except for its room.
#[must_use]
pub fn allows_all(filter: &RoomEventFilter) -> bool {
    filter.types.is_none()
        && filter.not_types.is_empty()
        && filter.senders.is_none()
        && filter.not_senders.is_empty()
        && filter.url_filter.is_none()
}

/// Whether a filter of events lets an event through. `has_url` says whether its content has the key
/// `url`, and is only asked where the filter wants to know.
#[must_use]
pub fn allows_event(
    filter: &RoomEventFilter,
    event_type: &str,
    sender: &UserId,
    has_url: impl FnOnce() -> bool,
) -> bool {
    allows_type(filter, event_type)
        && sender_allowed(filter.senders.as_deref(), &filter.not_senders, sender)
        && match &filter.url_filter {
            None => true,
            Some(UrlFilter::EventsWithUrl) => has_url(),
            Some(UrlFilter::EventsWithoutUrl) => !has_url(),
        }
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, user_id};
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.message", "m.room.messages", false),
            ("m.room.*", "m.room.message", true),
            ("*", "", true),
            ("*", "x", true),
            ("m.*.message", "m.room.message", true),
            ("m.*.message", "m.message", false),
            ("*.message", "m.room.message", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a**b", "ab", true),
            ("", "", true),
            ("", "x", false),
            ("*é*", "caféine", true),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        let pattern = "*a".repeat(200);
        assert!(!matches_pattern(&pattern, &"b".repeat(100_000)));
    }

    #[test]
    fn exclusion_wins() {
        let filter: RoomEventFilter = serde_json::from_value(json!({
            "types": ["m.*"], "not_types": ["m.room.member"],
            "not_senders": ["@bob:example.org"], "contains_url": true,
        }))
        .unwrap();
        let (alice, bob) = (user_id!("@alice:example.org"), user_id!("@bob:example.org"));
        assert!(allows_event(&filter, "m.image", alice, || true));
        assert!(!allows_event(&filter, "m.image", alice, || false));
        assert!(!allows_event(&filter, "m.image", bob, || true));
        assert!(!allows_event(&filter, "m.room.member", alice, || true));
        assert!(!allows_event(&filter, "org.x", alice, || true));
        let rooms: RoomFilter =
            serde_json::from_value(json!({"rooms": ["!a:x", "!b:x"], "not_rooms": ["!b:x"]}))
                .unwrap();
        assert!(allows_room(&rooms, room_id!("!a:x")));
        assert!(!allows_room(&rooms, room_id!("!b:x")));
        assert!(!allows_room(&rooms, room_id!("!c:x")));
    }

    #[tokio::test]
    async fn stored_filters_come_back_to_their_owner_only() {
        let filters = Filters::new(Store::in_memory());
        let alice = user_id!("@alice:example.org");
        let definition: FilterDefinition =
            serde_json::from_value(json!({"room": {"timeline": {"limit": 7}}})).unwrap();
        let id = filters.create(alice, &definition).await.unwrap();
        assert_eq!(filters.create(alice, &definition).await.unwrap(), id);
        let back = filters.get(alice, &id).await.unwrap();
        assert_eq!(back.room.timeline.limit, Some(ruma::uint!(7)));
        let bob = user_id!("@bob:example.org");
        assert!(matches!(filters.get(bob, &id).await, Err(Error::NotFound(_))));
    }
}
