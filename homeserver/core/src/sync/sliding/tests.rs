//! What one connection is told, request after request, on the memory store.

mod extensions;
mod lists;
mod rooms;

use std::time::Duration;

use ruma::{OwnedRoomId, device_id};
use serde_json::{Value, json};

use super::*;
use crate::{rooms::testing::user, sync::tests::Server};

/// A connection of a user.
struct Client<'a> {
    server: &'a Server,
    who: &'static str,
    pos: Option<String>,
    body: Value,
    timeout: Duration,
}

impl<'a> Client<'a> {
    fn new(server: &'a Server, who: &'static str, body: Value) -> Self {
        Self { server, who, pos: None, body, timeout: Duration::ZERO }
    }

    /// A window on the newest rooms.
    fn window(server: &'a Server, who: &'static str, last: u64, limit: u64) -> Self {
        Self::new(server, who, window(last, limit, json!([["m.room.member", "$ME"]])))
    }

    fn request(&self) -> SlidingRequest {
        SlidingRequest {
            user_id: user(self.who),
            device_id: device_id!("PHONE").to_owned(),
            pos: self.pos.clone(),
            timeout: self.timeout,
            set_presence: Default::default(),
            body: serde_json::from_value(self.body.clone()).unwrap(),
        }
    }

    async fn try_next(&mut self) -> Result<Value> {
        let answer = self.server.sync.sliding(&self.request()).await?;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        Ok(answer)
    }

    async fn next(&mut self) -> Value {
        self.try_next().await.unwrap()
    }

    /// The answer gets lost: the next request has the same token.
    async fn lost(&mut self) -> Value {
        let pos = self.pos.clone();
        let answer = self.next().await;
        self.pos = pos;
        answer
    }
}

fn window(last: u64, limit: u64, required: Value) -> Value {
    json!({ "lists": { "all": {
        "ranges": [[0, last]], "timeline_limit": limit, "required_state": required,
    }}})
}

fn ids(answer: &Value) -> Vec<String> {
    answer["rooms"].as_object().unwrap().keys().cloned().collect()
}

fn sorted(rooms: &[&OwnedRoomId]) -> Vec<String> {
    let mut ids: Vec<String> = rooms.iter().map(ToString::to_string).collect();
    ids.sort();
    ids
}

fn told<'v>(answer: &'v Value, room: &OwnedRoomId) -> &'v Value {
    &answer["rooms"][room.as_str()]
}

fn bodies(room: &Value) -> Vec<&str> {
    let events = room["timeline"].as_array().into_iter().flatten();
    events.filter_map(|event| event["content"]["body"].as_str()).collect()
}

/// Type and state key of the state events.
fn state_of(room: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = room["required_state"].as_array().into_iter().flatten();
    events.map(|event| (text(&event["type"]), text(&event["state_key"]))).collect()
}
