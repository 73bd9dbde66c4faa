//! What a user has set for a room goes with them to the room that replaces it: tags, the place among the
//! direct conversations, push rules
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-upgrades>).

use pli_federation::event_format::Pdu;
use pli_schema::{
    Topic,
    records::{
        push::{PushRulesKey, PushRulesRecord},
        rooms::{MemberKey, RoomByIdKey},
        sync::AccountDataKey,
    },
};
use pli_store::Tx;
use ruma::{OwnedRoomId, RoomId, UserId};
use serde_json::{Map, Value};

use super::{Room, Rooms};
use crate::{Error, Result, account_data};

impl Rooms {
    /// The room that a room replaces.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn predecessor(&self, room: &Room) -> Result<Option<OwnedRoomId>> {
        let create: Option<Value> = self.current_content(room.number, "m.room.create").await?;
        Ok(create.as_ref().and_then(predecessor_in))
    }

    /// As [`carry_settings_over`], for a user who has joined already: with the help of another server.
    pub(super) async fn carry_settings_after_join(
        &self,
        user_id: &UserId,
        room: &Room,
    ) -> Result<()> {
        let create = self.current_state_event(room.number, "m.room.create", "").await?;
        let Some(create) = create else { return Ok(()) };
        let (create, new) = (&*create.pdu()?, &*room.id);
        self.store()
            .write(|tx| async move { carry_settings_over(&tx, user_id, (new, create)).await })
            .await
    }
}

/// The room that a room with this content of `m.room.create` replaces.
fn predecessor_in(create: &Value) -> Option<OwnedRoomId> {
    let id = create.get("predecessor")?.get("room_id")?.as_str()?;
    RoomId::parse(id).ok()
}

/// Carries a user's settings over to a room that they join in this transaction, if it replaces one in
/// which they have been. Settings that cannot be read stay where they are: the join does not fail for it.
pub(super) async fn carry_settings_over(
    tx: &Tx,
    user_id: &UserId,
    (new, create): (&RoomId, &Pdu),
) -> Result<()> {
    let content: Option<Value> = serde_json::from_str(create.content.get()).ok();
    let Some(old) = content.as_ref().and_then(predecessor_in) else {
        return Ok(());
    };
    let Some(room) = tx.get(&RoomByIdKey { room_id: old.clone() }).await? else {
        return Ok(());
    };
    if tx.get(&MemberKey { room, user_id: user_id.to_owned() }).await?.is_none() {
        return Ok(());
    }
    match carry(tx, user_id, (&old, new)).await {
        Err(Error::Bug(error)) => {
            tracing::warn!(error, "settings could not be carried over to the room of an upgrade");
            Ok(())
        }
        other => other,
    }
}

async fn carry(tx: &Tx, user_id: &UserId, rooms: (&RoomId, &RoomId)) -> Result<()> {
    carry_tags(tx, user_id, rooms).await?;
    carry_direct(tx, user_id, rooms).await?;
    carry_rules(tx, user_id, rooms).await
}

async fn data(
    tx: &Tx,
    user_id: &UserId,
    room_id: &str,
    data_type: &str,
) -> Result<Option<Map<String, Value>>> {
    let key = AccountDataKey {
        user_id: user_id.to_owned(),
        room_id: room_id.to_owned(),
        data_type: data_type.to_owned(),
    };
    let record = tx.get(&key).await?;
    Ok(record.and_then(|record| serde_json::from_str(&record.content).ok()))
}

/// The tags, unless the new room has some.
async fn carry_tags(tx: &Tx, user_id: &UserId, (old, new): (&RoomId, &RoomId)) -> Result<()> {
    const TAGS: &str = "m.tag";
    let Some(tags) = data(tx, user_id, old.as_str(), TAGS).await? else {
        return Ok(());
    };
    if data(tx, user_id, new.as_str(), TAGS).await?.is_some() {
        return Ok(());
    }
    account_data::put(tx, user_id, Some(new), TAGS, &Value::Object(tags).to_string()).await
}

/// `m.direct`: the new room stands wherever the old one does.
async fn carry_direct(tx: &Tx, user_id: &UserId, (old, new): (&RoomId, &RoomId)) -> Result<()> {
    const DIRECT: &str = "m.direct";
    let Some(mut direct) = data(tx, user_id, "", DIRECT).await? else {
        return Ok(());
    };
    let mut changed = false;
    for rooms in direct.values_mut().filter_map(Value::as_array_mut) {
        let has = |id: &RoomId| rooms.iter().any(|room| room.as_str() == Some(id.as_str()));
        if has(old) && !has(new) {
            rooms.push(Value::from(new.as_str()));
            changed = true;
        }
    }
    if changed {
        let content = Value::Object(direct).to_string();
        account_data::put(tx, user_id, None, DIRECT, &content).await?;
    }
    Ok(())
}

async fn carry_rules(tx: &Tx, user_id: &UserId, (old, new): (&RoomId, &RoomId)) -> Result<()> {
    let key = PushRulesKey { user_id: user_id.to_owned() };
    let Some(record) = tx.get(&key).await? else {
        return Ok(());
    };
    if let Some(json) = rules_with(&record.json, (old.as_str(), new.as_str()))? {
        tx.put(&key, &PushRulesRecord { json })?;
        tx.wake(Topic::User(user_id.to_owned()));
    }
    Ok(())
}

/// A ruleset in which every rule for the old room stands for the new one too; `None` if nothing changes.
fn rules_with(json: &str, (old, new): (&str, &str)) -> Result<Option<String>> {
    let mut rules: Map<String, Value> = serde_json::from_str(json)
        .map_err(|error| Error::bug(format!("stored push rules: {error}")))?;
    let mut changed = false;
    for of_kind in rules.values_mut().filter_map(Value::as_array_mut) {
        let copies: Vec<Value> =
            of_kind.iter().filter_map(|rule| copy_of_rule(rule, (old, new))).collect();
        for copy in copies {
            let id = copy.get("rule_id").cloned();
            if !of_kind.iter().any(|rule| rule.get("rule_id").cloned() == id) {
                of_kind.push(copy);
                changed = true;
            }
        }
    }
    Ok(changed.then(|| Value::Object(rules).to_string()))
}

/// The same rule for the new room, of a rule for the old one.
fn copy_of_rule(rule: &Value, (old, new): (&str, &str)) -> Option<Value> {
    let mut copy = rule.clone();
    let id = rule.get("rule_id")?.as_str()?;
    let mut about_it = id == old;
    let conditions = copy.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let is_room = condition.get("key").and_then(Value::as_str) == Some("room_id");
        for name in ["pattern", "value"] {
            if is_room && condition.get(name).and_then(Value::as_str) == Some(old) {
                *condition.get_mut(name)? = Value::from(new);
                about_it = true;
            }
        }
    }
    let new_id = if id == old { new.to_owned() } else { format!("{id}_{new}") };
    *copy.get_mut("rule_id")? = Value::from(new_id);
    about_it.then_some(copy)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_of_the_old_room_stand_for_the_new_one_once() {
        let rules = json!({
            "room": [{ "rule_id": "!old:x", "actions": ["notify"], "default": false, "enabled": true }],
            "override": [
                { "rule_id": "!old:x", "actions": [], "default": false, "enabled": true, "conditions": [
                    { "kind": "event_match", "key": "room_id", "pattern": "!old:x" }] },
                { "rule_id": "mine", "actions": [], "default": false, "enabled": true, "conditions": [
                    { "kind": "event_match", "key": "room_id", "pattern": "!old:x" },
                    { "kind": "event_match", "key": "type", "pattern": "m.x" }] },
                { "rule_id": "other", "actions": [], "default": false, "enabled": true, "conditions": [] },
            ],
        });
        let carried = rules_with(&rules.to_string(), ("!old:x", "!new:x")).unwrap().unwrap();
        let value: Value = serde_json::from_str(&carried).unwrap();
        assert_eq!(value["room"][1]["rule_id"], "!new:x");
        let ids: Vec<&str> = value["override"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["rule_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["!old:x", "mine", "other", "!new:x", "mine_!new:x"]);
        assert_eq!(value["override"][3]["conditions"][0]["pattern"], "!new:x");
        assert_eq!(rules_with(&carried, ("!old:x", "!new:x")).unwrap(), None);
        serde_json::from_str::<ruma::push::Ruleset>(&carried).unwrap();
    }
}
