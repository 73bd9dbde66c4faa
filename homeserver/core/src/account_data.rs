//! Account data: what a user's clients keep on the server, globally or per room
//! (<https://spec.matrix.org/v1.19/client-server-api/#client-config>). Tags and the read marker are
//! account data of a room too.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use pli_schema::{
    Position, Stamp, Topic,
    records::sync::{AccountDataKey, AccountDataRecord, AccountDataStreamKey},
};
use pli_store::{Scan, Store, Tx};
use ruma::{OwnedUserId, RoomId, UserId};
use serde_json::{Value, value::RawValue};

use crate::{Error, Result};

/// Largest content of one piece of account data, in bytes.
pub const CONTENT_BYTES_MAX: usize = 256 * 1024;
/// Pieces of account data that a user may have, global and of all rooms together.
const ENTRIES_MAX: usize = 50_000;
/// Longest name of a tag, in bytes (specification, "Room Tagging").
const TAG_BYTES_MAX: usize = 255;
/// Tags that a room may have.
const TAGS_MAX: usize = 100;
/// Longest type of account data, in bytes.
const TYPE_BYTES_MAX: usize = 255;

/// The types that only the server writes.
const SERVER_MANAGED: [&str; 2] = ["m.fully_read", "m.push_rules"];

/// One piece of account data that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDataEvent {
    /// The room's id; empty for global data.
    pub room_id: String,
    /// The type.
    pub data_type: String,
    /// The content, a JSON object.
    pub content: String,
}

/// The account data of all users. Clones share the store.
#[derive(Clone, Debug)]
pub struct AccountData {
    store: Store,
}

impl AccountData {
    /// The account data of a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Sets account data as a client asks.
    ///
    /// # Errors
    /// [`Error::ServerManaged`] for the types that only the server writes; [`Error::BadJson`] if the
    /// content is no object; [`Error::TooLarge`], [`Error::InvalidParam`] above the limits.
    pub async fn set(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        data_type: &str,
        content: &RawValue,
    ) -> Result<()> {
        if SERVER_MANAGED.contains(&data_type) {
            let text = format!("Cannot set {data_type} through this API");
            return Err(Error::ServerManaged(text));
        }
        if data_type.is_empty() || data_type.len() > TYPE_BYTES_MAX {
            return Err(Error::invalid_param("The type has a wrong length"));
        }
        if !content.get().trim_start().starts_with('{') {
            return Err(Error::bad_json("Content must be a JSON object"));
        }
        if content.get().len() > CONTENT_BYTES_MAX {
            return Err(Error::too_large("The account data is too large"));
        }
        let key = key(user_id, room_id, data_type);
        if self.store.get(&key).await?.is_none() {
            self.require_space(user_id).await?;
        }
        let content = if is_deleted(content.get()) { DELETED } else { content.get() };
        self.store
            .write(|tx| async move { put(&tx, user_id, room_id, data_type, content).await })
            .await
    }

    /// Deletes account data, which is the same as setting it to `{}`
    /// ([MSC3391](https://github.com/matrix-org/matrix-spec-proposals/pull/3391)): clients learn of it by
    /// that content. Nothing happens if it is not there.
    ///
    /// # Errors
    /// [`Error::ServerManaged`] for the types that only the server writes.
    pub async fn delete(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        data_type: &str,
    ) -> Result<()> {
        if SERVER_MANAGED.contains(&data_type) {
            let text = format!("Cannot delete {data_type} through this API");
            return Err(Error::ServerManaged(text));
        }
        self.store.write(|tx| async move { delete(&tx, user_id, room_id, data_type).await }).await
    }

    async fn require_space(&self, user_id: &UserId) -> Result<()> {
        let scan = Scan::<AccountDataStreamKey>::prefix((user_id.to_owned(),)).limit(ENTRIES_MAX);
        if self.store.scan(&scan).await?.len() >= ENTRIES_MAX {
            return Err(Error::too_large("There is too much account data"));
        }
        Ok(())
    }

    /// The content of a piece of account data, a JSON object.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn get(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        data_type: &str,
    ) -> Result<String> {
        let found = self.store.get(&key(user_id, room_id, data_type)).await?;
        let found = found.map(|record| record.content).filter(|content| !is_deleted(content));
        found.ok_or_else(|| Error::not_found("Account data not found"))
    }

    /// All account data of a user as of the newest commit, in the order of the types, global first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn all(&self, user_id: &UserId) -> Result<Vec<AccountDataEvent>> {
        let scan = Scan::<AccountDataKey>::prefix((user_id.to_owned(),));
        let rows = self.store.scan(&scan).await?;
        let rows = rows.into_iter().filter(|row| !is_deleted(&row.record.content));
        Ok(rows.map(|row| event(row.key, row.record)).collect())
    }

    /// All account data of a user for one room.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_room(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
    ) -> Result<Vec<AccountDataEvent>> {
        let prefix = (user_id.to_owned(), room_id.to_string());
        let rows = self.store.scan(&Scan::<AccountDataKey>::prefix(prefix)).await?;
        let rows = rows.into_iter().filter(|row| !is_deleted(&row.record.content));
        Ok(rows.map(|row| event(row.key, row.record)).collect())
    }

    /// What changed after `since` up to `until`, in the order of the changes. What changed again after
    /// `until` is left out: it comes with the next read of the stream.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn changes(
        &self,
        user_id: &UserId,
        since: Position,
        until: Position,
    ) -> Result<Vec<AccountDataEvent>> {
        let user_id = user_id.to_owned();
        let scan = Scan::<AccountDataStreamKey>::prefix((user_id.clone(),))
            .after((user_id.clone(), since))
            .up_to((user_id, until));
        let mut events = Vec::new();
        for row in self.store.scan(&scan).await? {
            let AccountDataStreamKey { user_id, room_id, data_type, .. } = row.key;
            let key = AccountDataKey { user_id, room_id, data_type };
            if let Some(record) = self.store.get(&key).await? {
                events.push(event(key, record));
            }
        }
        Ok(events)
    }

    /// The users whom a user ignores (<https://spec.matrix.org/v1.19/client-server-api/#ignoring-users>).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn ignored_users(&self, user_id: &UserId) -> Result<Arc<HashSet<OwnedUserId>>> {
        #[derive(serde::Deserialize)]
        struct Content {
            ignored_users: BTreeMap<String, Value>,
        }
        let found = self.store.get(&key(user_id, None, "m.ignored_user_list")).await?;
        let list = found.and_then(|record| serde_json::from_str::<Content>(&record.content).ok());
        let Some(list) = list else {
            return Ok(Arc::default());
        };
        let ids = list.ignored_users.into_keys().filter_map(|id| OwnedUserId::try_from(id).ok());
        // Nobody can ignore themselves.
        Ok(Arc::new(ids.filter(|id| id != user_id).collect()))
    }

    /// The tags of a room: name → content.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn tags(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
    ) -> Result<BTreeMap<String, Value>> {
        let found = self.store.get(&key(user_id, Some(room_id), "m.tag")).await?;
        Ok(found.map(|record| tags_of(&record.content)).unwrap_or_default())
    }

    /// Adds or changes a tag of a room.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a name that is too long, an order outside 0 to 1 or too many tags.
    pub async fn set_tag(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        tag: &str,
        content: &Value,
    ) -> Result<()> {
        if tag.is_empty() || tag.len() > TAG_BYTES_MAX {
            return Err(Error::invalid_param("The name of the tag has a wrong length"));
        }
        if let Some(order) = content.get("order")
            && !order.as_f64().is_some_and(|order| (0.0..=1.0).contains(&order))
        {
            return Err(Error::invalid_param("`order` must be a number from 0 to 1"));
        }
        self.change_tags(user_id, room_id, |tags| {
            tags.insert(tag.to_owned(), content.clone());
        })
        .await
    }

    /// Removes a tag of a room; nothing happens if it is not there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delete_tag(&self, user_id: &UserId, room_id: &RoomId, tag: &str) -> Result<()> {
        self.change_tags(user_id, room_id, |tags| {
            tags.remove(tag);
        })
        .await
    }

    async fn change_tags(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        change: impl Fn(&mut BTreeMap<String, Value>) + Send + Sync,
    ) -> Result<()> {
        let change = &change;
        self.store
            .write(|tx| async move {
                let found = tx.get(&key(user_id, Some(room_id), "m.tag")).await?;
                let before = found.map(|record| tags_of(&record.content)).unwrap_or_default();
                let mut tags = before.clone();
                change(&mut tags);
                if tags.len() > TAGS_MAX {
                    return Err(Error::invalid_param("The room has too many tags"));
                }
                if tags == before {
                    return Ok(());
                }
                let content = serde_json::json!({ "tags": tags }).to_string();
                put(&tx, user_id, Some(room_id), "m.tag", &content).await
            })
            .await
    }
}

/// The content that stands for nothing (MSC3391).
const DELETED: &str = "{}";

/// Whether a content stands for nothing.
fn is_deleted(content: &str) -> bool {
    content.bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(DELETED.bytes())
}

/// Deletes account data within a transaction, if it is there, and wakes the user's clients.
///
/// # Errors
/// Those of the store.
pub async fn delete(
    tx: &Tx,
    user_id: &UserId,
    room_id: Option<&RoomId>,
    data_type: &str,
) -> Result<()> {
    match tx.get(&key(user_id, room_id, data_type)).await? {
        Some(record) if !is_deleted(&record.content) => {
            put(tx, user_id, room_id, data_type, DELETED).await
        }
        _ => Ok(()),
    }
}

/// Sets account data within a transaction, also of the types that only the server writes, and wakes
/// the user's clients.
///
/// # Errors
/// Those of the store.
pub async fn put(
    tx: &Tx,
    user_id: &UserId,
    room_id: Option<&RoomId>,
    data_type: &str,
    content: &str,
) -> Result<()> {
    let key = key(user_id, room_id, data_type);
    if let Some(before) = tx.get_stored(&key).await?
        && before.position != Position::MAX
    {
        tx.delete(&stream_key(&key, Stamp::At(before.position)));
    }
    tx.put(&key, &AccountDataRecord { content: content.to_owned() })?;
    tx.put(&stream_key(&key, Stamp::Commit), &())?;
    tx.wake(Topic::User(user_id.to_owned()));
    Ok(())
}

fn key(user_id: &UserId, room_id: Option<&RoomId>, data_type: &str) -> AccountDataKey {
    AccountDataKey {
        user_id: user_id.to_owned(),
        room_id: room_id.map(RoomId::as_str).unwrap_or_default().to_owned(),
        data_type: data_type.to_owned(),
    }
}

fn stream_key(key: &AccountDataKey, at: Stamp) -> AccountDataStreamKey {
    AccountDataStreamKey {
        user_id: key.user_id.clone(),
        at,
        room_id: key.room_id.clone(),
        data_type: key.data_type.clone(),
    }
}

fn event(key: AccountDataKey, record: AccountDataRecord) -> AccountDataEvent {
    AccountDataEvent { room_id: key.room_id, data_type: key.data_type, content: record.content }
}

/// The tags in the content of `m.tag`. A client may have written something else there.
fn tags_of(content: &str) -> BTreeMap<String, Value> {
    #[derive(serde::Deserialize)]
    struct Content {
        tags: BTreeMap<String, Value>,
    }
    serde_json::from_str::<Content>(content).map(|content| content.tags).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, user_id};
    use serde_json::json;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn only_the_newest_change_of_each_piece_is_in_the_stream() {
        let store = Store::in_memory();
        let data = AccountData::new(store.clone());
        let alice = user_id!("@alice:example.org");
        let room = room_id!("!r:example.org");
        data.set(alice, None, "a", &raw(r#"{"n":1}"#)).await.unwrap();
        data.set(alice, Some(room), "b", &raw("{}")).await.unwrap();
        let middle = store.position();
        data.set(alice, None, "a", &raw(r#"{"n":2}"#)).await.unwrap();
        let all = data.changes(alice, Position::ZERO, store.position()).await.unwrap();
        let seen: Vec<_> = all.iter().map(|e| (e.data_type.as_str(), e.content.as_str())).collect();
        assert_eq!(seen, [("b", "{}"), ("a", r#"{"n":2}"#)]);
        let newer = data.changes(alice, middle, store.position()).await.unwrap();
        assert_eq!(newer.len(), 1);
        assert_eq!(data.changes(alice, store.position(), store.position()).await.unwrap(), []);
        let bob = user_id!("@bob:example.org");
        assert_eq!(data.changes(bob, Position::ZERO, store.position()).await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_servers_own_types_are_refused() {
        let data = AccountData::new(Store::in_memory());
        let alice = user_id!("@alice:example.org");
        for data_type in ["m.fully_read", "m.push_rules"] {
            let result = data.set(alice, None, data_type, &raw("{}")).await;
            assert!(matches!(result, Err(Error::ServerManaged(_))));
        }
        assert!(matches!(data.set(alice, None, "x", &raw("[]")).await, Err(Error::BadJson(_))));
        assert!(matches!(data.get(alice, None, "x").await, Err(Error::NotFound(_))));
    }

    #[tokio::test]
    async fn what_is_deleted_is_told_once_and_then_not_there() {
        let store = Store::in_memory();
        let data = AccountData::new(store.clone());
        let alice = user_id!("@alice:example.org");
        let room = room_id!("!r:example.org");
        data.set(alice, None, "a", &raw(r#"{"n":1}"#)).await.unwrap();
        data.set(alice, Some(room), "b", &raw(r#"{"n":1}"#)).await.unwrap();
        let before = store.position();
        data.delete(alice, None, "a").await.unwrap();
        data.set(alice, Some(room), "b", &raw("{ }")).await.unwrap();
        data.delete(alice, None, "never there").await.unwrap();
        assert!(matches!(data.get(alice, None, "a").await, Err(Error::NotFound(_))));
        assert_eq!(data.all(alice).await.unwrap(), []);
        assert_eq!(data.of_room(alice, room).await.unwrap(), []);
        let told = data.changes(alice, before, store.position()).await.unwrap();
        let told: Vec<_> =
            told.iter().map(|e| (e.data_type.as_str(), e.content.as_str())).collect();
        assert_eq!(told, [("a", "{}"), ("b", "{}")]);
        let after = store.position();
        data.delete(alice, None, "a").await.unwrap();
        assert_eq!(store.position(), after);
        let refused = data.delete(alice, None, "m.push_rules").await;
        assert!(matches!(refused, Err(Error::ServerManaged(_))));
    }

    #[tokio::test]
    async fn tags_come_and_go() {
        let data = AccountData::new(Store::in_memory());
        let alice = user_id!("@alice:example.org");
        let room = room_id!("!r:example.org");
        data.set_tag(alice, room, "u.work", &json!({"order": 0.5})).await.unwrap();
        data.set_tag(alice, room, "m.favourite", &json!({})).await.unwrap();
        let wrong = data.set_tag(alice, room, "u.x", &json!({"order": 2})).await;
        assert!(matches!(wrong, Err(Error::InvalidParam(_))));
        data.delete_tag(alice, room, "m.favourite").await.unwrap();
        let tags = data.tags(alice, room).await.unwrap();
        assert_eq!(
            tags.into_iter().collect::<Vec<_>>(),
            [("u.work".to_owned(), json!({"order": 0.5}))]
        );
    }
}
