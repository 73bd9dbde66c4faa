//! What one user sees of rooms, sync after sync, on the memory store.

mod beside;
mod live;
mod timelines;

use std::time::Duration;

use pli_store::Store;
use ruma::{OwnedRoomId, RoomVersionId, device_id};
use serde_json::{Value, json};

use super::*;
use crate::{
    AccountData, Encryption, Filters, History, Notifier, Presence, Push, Random, Receipts, Rooms,
    ThreadSubscriptions, Typing,
    outgoing::Outgoing,
    receipts::Markers,
    rooms::{
        RoomSettings,
        testing::{public_room, raw, rooms_on, set_membership, state, text, user},
    },
};

pub(in crate::sync) struct Server {
    pub(in crate::sync) rooms: Rooms,
    pub(in crate::sync) sync: Sync,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(in crate::sync) fn on(store: Store) -> Self {
        let rooms = rooms_on(store.clone(), RoomSettings::default());
        let notifier = Notifier::new(rooms.clone());
        let push = Push::new(rooms.clone(), Random::seeded(1), Outgoing::new(true).unwrap());
        let sync = Sync::new(SyncParts {
            rooms: rooms.clone(),
            history: History::new(rooms.clone()),
            encryption: Encryption::new(
                store.clone(),
                rooms.clock().clone(),
                rooms.server_name().to_owned(),
            ),
            filters: Filters::new(store.clone()),
            account_data: AccountData::new(store.clone()),
            receipts: Receipts::new(rooms.clone()),
            presence: Presence::new(rooms.clone(), notifier.clone(), false),
            typing: Typing::new(rooms.clone(), notifier.clone()),
            notifier,
            thread_subscriptions: ThreadSubscriptions::new(rooms.clone(), push.clone()),
            push,
            stopping: Default::default(),
        });
        let task = tokio::spawn(sync.clone().run());
        Self { rooms, sync, task }
    }

    pub(in crate::sync) fn new() -> Self {
        Self::on(Store::in_memory())
    }

    pub(in crate::sync) async fn room(&self) -> OwnedRoomId {
        public_room(&self.rooms, RoomVersionId::V11).await
    }

    pub(in crate::sync) async fn join(&self, room: &OwnedRoomId, who: &str) {
        set_membership(&self.rooms, room, (who, who), "join").await.unwrap();
    }

    pub(in crate::sync) async fn say(&self, room: &OwnedRoomId, who: &str, body: &str) -> String {
        self.rooms.append(room, text(who, body), None).await.unwrap().event_id.to_string()
    }

    async fn sync(&self, request: SyncRequest) -> Value {
        serde_json::from_str(&self.sync.sync(&request).await.unwrap()).unwrap()
    }

    async fn initial(&self, who: &str) -> Value {
        self.sync(request(who)).await
    }

    async fn next(&self, who: &str, last: &Value) -> Value {
        self.sync(since(who, last)).await
    }
}

fn request(who: &str) -> SyncRequest {
    SyncRequest {
        user_id: user(who),
        device_id: device_id!("PHONE").to_owned(),
        since: None,
        filter: None,
        full_state: false,
        timeout: Duration::ZERO,
        state_after: StateAfter::No,
        set_presence: Default::default(),
    }
}

fn since(who: &str, last: &Value) -> SyncRequest {
    SyncRequest { since: Some(last["next_batch"].as_str().unwrap().to_owned()), ..request(who) }
}

fn with_filter(mut request: SyncRequest, filter: Value) -> SyncRequest {
    request.filter = Some(ruma::api::client::sync::sync_events::v3::Filter::FilterDefinition(
        serde_json::from_value(filter).unwrap(),
    ));
    request
}

fn join<'a>(answer: &'a Value, room: &OwnedRoomId) -> &'a Value {
    &answer["rooms"]["join"][room.as_str()]
}

fn bodies(room: &Value) -> Vec<String> {
    let events = room["timeline"]["events"].as_array();
    let events = events.into_iter().flatten();
    events.filter_map(|e| e["content"]["body"].as_str().map(str::to_owned)).collect()
}

fn types(list: &Value) -> Vec<String> {
    let events = list["events"].as_array().into_iter().flatten();
    events.map(|e| e["type"].as_str().unwrap().to_owned()).collect()
}

fn members(list: &Value) -> Vec<String> {
    let events = list["events"].as_array().into_iter().flatten();
    let members = events.filter(|e| e["type"] == "m.room.member");
    members.map(|e| e["state_key"].as_str().unwrap().to_owned()).collect()
}
