//! The matrix of history visibility: every endpoint that reads a room, for readers of every kind of
//! membership, under every visibility, for events of every phase of that membership. What is expected
//! is computed from the rules of the specification
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility>), not from the server.

#[path = "visibility/endpoints.rs"]
mod endpoints;
#[path = "visibility/rules.rs"]
mod rules;

use pli_tests::server::{TestServer, TestUser};
use serde_json::json;

use self::rules::{Kind, Phase, VISIBILITIES, Visibility};

const V3: &str = "/_matrix/client/v3";

/// A message of the room, with the thread that starts from it.
#[derive(Clone, Debug)]
struct Message {
    phase: Phase,
    event_id: String,
    sent: u64,
}

/// A room in which everything has happened, and its reader.
struct Scene {
    kind: Kind,
    visibility: Visibility,
    room: String,
    reader: TestUser,
    messages: Vec<Message>,
}

impl Scene {
    /// The text that stands in the messages of a phase; no other room has it.
    fn word(&self, phase: Phase) -> String {
        format!("w{:?}{:?}{phase:?}", self.kind, self.visibility).to_lowercase()
    }
}

struct Stage<'a> {
    owner: &'a TestUser,
    late: &'a TestUser,
}

impl Stage<'_> {
    async fn post(&self, user: &TestUser, room: &str, action: &str, body: serde_json::Value) {
        user.post(&format!("{V3}/rooms/{room}/{action}"), body).await.ok();
    }

    async fn state(&self, room: &str, event_type: &str, content: serde_json::Value) {
        let path = format!("{V3}/rooms/{room}/state/{event_type}/");
        self.owner.put(&path, content).await.ok();
    }

    /// What happens to the reader when a phase begins.
    async fn step(&self, scene: &Scene, phase: Phase) {
        let (room, reader) = (scene.room.as_str(), &scene.reader);
        let target = json!({ "user_id": reader.user_id });
        match (scene.kind, phase) {
            (Kind::Invited, Phase::After) | (Kind::InvitedJoined, Phase::Between) => {
                self.post(self.owner, room, "invite", target).await;
            }
            (Kind::Knocked, Phase::After) => {
                reader.post(&format!("{V3}/knock/{room}"), json!({})).await.ok();
            }
            (Kind::Left | Kind::Banned | Kind::Rejoined, Phase::Between)
            | (Kind::Joined | Kind::InvitedJoined | Kind::Rejoined, Phase::After) => {
                self.post(reader, room, "join", json!({})).await;
            }
            (Kind::Left, Phase::After) | (Kind::Rejoined, Phase::Gap) => {
                self.post(reader, room, "leave", json!({})).await;
            }
            (Kind::Banned, Phase::After) => self.post(self.owner, room, "ban", target).await,
            _ => {}
        }
    }

    async fn say(&self, scene: &mut Scene, phase: Phase) {
        let word = scene.word(phase);
        let event_id = self.owner.say(&scene.room, &word).await;
        let path = format!("{V3}/rooms/{}/send/m.room.message/reply{phase:?}", scene.room);
        let reply = json!({
            "msgtype": "m.text", "body": "a reply",
            "m.relates_to": { "rel_type": "m.thread", "event_id": event_id },
        });
        self.owner.put(&path, reply).await.ok();
        self.state(&scene.room, "m.room.topic", json!({ "topic": format!("{phase:?}") })).await;
        let path = format!("{V3}/rooms/{}/event/{event_id}", scene.room);
        let sent = self.owner.get(&path).await.ok()["origin_server_ts"].as_u64().unwrap();
        scene.messages.push(Message { phase, event_id, sent });
    }

    async fn scene(&self, kind: Kind, visibility: Visibility, reader: TestUser) -> Scene {
        let name = visibility.name();
        let join_rule = if kind == Kind::Knocked { "knock" } else { "public" };
        let room = self
            .owner
            .create_room(json!({ "initial_state": [
                { "type": "m.room.join_rules", "content": { "join_rule": join_rule } },
                { "type": "m.room.history_visibility", "content": { "history_visibility": name } },
            ] }))
            .await;
        let mut scene = Scene { kind, visibility, room, reader, messages: Vec::new() };
        for phase in kind.phases() {
            self.step(&scene, *phase).await;
            self.say(&mut scene, *phase).await;
        }
        // Somebody whom only those see who see the present.
        let late = json!({ "user_id": self.late.user_id });
        self.post(self.owner, &scene.room, "invite", late).await;
        self.post(self.late, &scene.room, "join", json!({})).await;
        self.state(&scene.room, "m.room.join_rules", json!({ "join_rule": "invite" })).await;
        scene
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_sees_what_the_rules_let_them_see_through_every_endpoint() {
    let server = TestServer::start().await;
    let owner = server.register("owner").await;
    let late = server.register("late").await;
    let stage = Stage { owner: &owner, late: &late };
    let mut cases = 0;
    let mut differences = Vec::new();
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        for visibility in VISIBILITIES {
            let reader = server.register(&format!("reader{n}{}", visibility.name())).await;
            let scene = stage.scene(kind, visibility, reader).await;
            for check in endpoints::of_scene(&scene, &late).await {
                cases += 1;
                if check.found != check.expected {
                    differences.push(format!("{kind:?} {visibility:?} {check:?}"));
                }
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {cases}:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(cases >= 1_500, "{cases}");
}
