//! Asks every endpoint that reads a room, and says what it should have answered.

use pli_tests::server::{Reply, TestUser};
use serde_json::{Value, json};

use super::{
    Message, Scene, V3,
    rules::{Kind, Phase, Visibility},
};

const V1: &str = "/_matrix/client/v1";

/// One case.
#[derive(Debug)]
pub struct Check {
    #[expect(dead_code, reason = "read through Debug when a case differs")]
    pub endpoint: String,
    #[expect(dead_code, reason = "read through Debug when a case differs")]
    pub phase: Option<Phase>,
    pub found: String,
    pub expected: String,
}

fn check(
    endpoint: &str,
    phase: Option<Phase>,
    found: impl ToString,
    expected: impl ToString,
) -> Check {
    let endpoint = endpoint.to_owned();
    Check { endpoint, phase, found: found.to_string(), expected: expected.to_string() }
}

/// All cases of a scene.
pub async fn of_scene(scene: &Scene, late: &TestUser) -> Vec<Check> {
    let mut checks = lists(scene).await;
    for message in &scene.messages {
        checks.extend(single(scene, message).await);
    }
    checks.extend(state(scene, late).await);
    checks.extend(found(scene).await);
    checks
}

/// Where the text of a phase stands anywhere in an answer.
fn shows(reply: &Reply, scene: &Scene, phase: Phase) -> bool {
    reply.body.to_string().contains(&format!("\"{}\"", scene.word(phase)))
}

/// Endpoints that give many events at once: one case per phase, and one for the status.
async fn lists(scene: &Scene) -> Vec<Check> {
    let Scene { kind, visibility, room, reader, .. } = scene;
    let rooms = format!("{V3}/rooms/{room}");
    let timeline = kind.reads_timeline(*visibility);
    let opened = kind.reads_state(*visibility);
    let asked = [
        ("messages back", format!("{rooms}/messages?dir=b&limit=100"), timeline),
        ("messages forth", format!("{rooms}/messages?dir=f&limit=100"), timeline),
        ("threads", format!("{V1}/rooms/{room}/threads?limit=100"), timeline),
        ("room initialSync", format!("{rooms}/initialSync?limit=100"), opened),
        ("events of a room", format!("{V3}/events?room_id={room}&from=t1_0_0"), opened),
    ];
    let mut checks = Vec::new();
    for (endpoint, path, open) in asked {
        let reply = reader.get(&path).await;
        checks.push(check(endpoint, None, reply.status, if open { 200 } else { 403 }));
        for phase in kind.phases() {
            let seen = open && kind.may_see(*visibility, *phase);
            checks.push(check(endpoint, Some(*phase), shows(&reply, scene, *phase), seen));
        }
    }
    checks.extend(of_all_rooms(scene).await);
    checks
}

/// Endpoints that give the events of all rooms of the reader.
async fn of_all_rooms(scene: &Scene) -> Vec<Check> {
    let Scene { kind, visibility, room, reader, .. } = scene;
    let filter = "%7B%22room%22%3A%7B%22include_leave%22%3Atrue%2C%22timeline%22%3A%7B%22limit%22%3A100%7D%7D%7D";
    let sync = reader.get(&format!("{V3}/sync?timeout=0&filter={filter}")).await;
    let initial = reader.get(&format!("{V3}/initialSync?archived=true&limit=100")).await;
    let stream = reader.get(&format!("{V3}/events?from=t1_0_0")).await;
    let mut checks = Vec::new();
    for phase in kind.phases() {
        let allowed = kind.may_see(*visibility, *phase);
        // A room that was left is told up to there.
        let told = kind.is_joined() || *phase != Phase::After;
        let member = kind.was_joined();
        checks.push(check(
            "sync",
            Some(*phase),
            shows(&sync, scene, *phase),
            allowed && member && told,
        ));
        let found = shows(&initial, scene, *phase);
        checks.push(check("initialSync", Some(*phase), found, allowed && member));
        let found = shows(&stream, scene, *phase);
        checks.push(check("events", Some(*phase), found, allowed && kind.is_joined()));
        let body = json!({ "search_categories": { "room_events": {
            "search_term": scene.word(*phase), "filter": { "rooms": [room] },
        } } });
        let search = reader.post(&format!("{V3}/search"), body).await;
        let found = shows(&search, scene, *phase);
        checks.push(check("search", Some(*phase), found, allowed && member));
    }
    checks
}

/// Endpoints that give one event.
async fn single(scene: &Scene, message: &Message) -> Vec<Check> {
    let Scene { kind, visibility, room, reader, .. } = scene;
    let Message { phase, event_id, sent } = message;
    let seen = kind.may_see(*visibility, *phase);
    let open = kind.reads_timeline(*visibility);
    let rooms = format!("{V3}/rooms/{room}");
    // One is told nothing of an event that one may not see; of a room that one may not read, that.
    let status = |hidden: u16| {
        if open && seen {
            200
        } else if open {
            404
        } else {
            hidden
        }
    };
    let asked = [
        ("event", format!("{rooms}/event/{event_id}"), status(404)),
        ("context", format!("{rooms}/context/{event_id}?limit=100"), status(403)),
        ("relations", format!("{V1}/rooms/{room}/relations/{event_id}"), status(403)),
        (
            "relations of a type",
            format!("{V1}/rooms/{room}/relations/{event_id}/m.thread"),
            status(403),
        ),
        ("old event", format!("{V3}/events/{event_id}"), status(404)),
    ];
    let mut checks = Vec::new();
    for (endpoint, path, expected) in asked {
        let reply = reader.get(&path).await;
        checks.push(check(endpoint, Some(*phase), reply.status, expected));
        if endpoint == "context" && reply.status == 200 {
            for other in kind.phases() {
                let expected = kind.may_see(*visibility, *other);
                let found = shows(&reply, scene, *other);
                checks.push(check("around", Some(*other), found, expected));
            }
        }
        if endpoint.starts_with("relations") && reply.status == 200 {
            let replies = reply.body["chunk"].as_array().map_or(0, Vec::len);
            checks.push(check("replies", Some(*phase), replies, 1));
        }
    }
    for (dir, later) in [("f", true), ("b", false)] {
        let path = format!("{V1}/rooms/{room}/timestamp_to_event?ts={sent}&dir={dir}");
        let reply = reader.get(&path).await;
        checks.push(check("timestamp", Some(*phase), at_time(&reply, scene, message, later), {
            if !open {
                "403".to_owned()
            } else if seen {
                "at the time".to_owned()
            } else {
                "elsewhere".to_owned()
            }
        }));
    }
    checks
}

/// What `timestamp_to_event` has found: an event of that time, another one, or nothing.
fn at_time(reply: &Reply, scene: &Scene, message: &Message, later: bool) -> String {
    if reply.status == 403 {
        return "403".to_owned();
    }
    let event_id = reply.body["event_id"].as_str().unwrap_or_default();
    let sent = reply.body["origin_server_ts"].as_u64();
    let hidden = |other: &Message| {
        other.event_id == event_id && !scene.kind.may_see(scene.visibility, other.phase)
    };
    if scene.messages.iter().any(hidden) {
        return "hidden".to_owned();
    }
    let seen = scene.kind.may_see(scene.visibility, message.phase);
    let wrong_side = sent.is_some_and(|sent| match later {
        true => sent < message.sent,
        false => sent > message.sent,
    });
    match (sent == Some(message.sent), wrong_side) {
        (_, true) => "wrong side".to_owned(),
        (true, _) if seen => "at the time".to_owned(),
        _ => "elsewhere".to_owned(),
    }
}

/// Endpoints that give state.
async fn state(scene: &Scene, late: &TestUser) -> Vec<Check> {
    let Scene { kind, visibility, room, reader, .. } = scene;
    let rooms = format!("{V3}/rooms/{room}");
    let open = kind.reads_state(*visibility);
    let status = if open { 200 } else { 403 };
    let topic = format!("{:?}", kind.state_phase(*visibility));
    let present = kind.state_phase(*visibility) == Phase::After;
    let mut checks = Vec::new();
    let reply = reader.get(&format!("{rooms}/state")).await;
    checks.push(check("state", None, reply.status, status));
    let events = reply.body.as_array().cloned().unwrap_or_default();
    let of_type = |kind: &str, key: &str| -> Option<Value> {
        events.iter().find(|e| e["type"] == kind && e["state_key"] == key).cloned()
    };
    if open {
        let found = of_type("m.room.topic", "").map(|event| event["content"]["topic"].clone());
        checks.push(check("state topic", None, found.unwrap_or_default(), json!(topic)));
        let found = of_type("m.room.member", &late.user_id).is_some();
        checks.push(check("state member", None, found, present));
    }
    let reply = reader.get(&format!("{rooms}/state/m.room.topic/")).await;
    checks.push(check("state event", None, reply.status, status));
    if open {
        checks.push(check("topic", None, &reply.body["topic"], json!(topic)));
    }
    let reply = reader.get(&format!("{rooms}/members")).await;
    checks.push(check("members", None, reply.status, status));
    let found = reply.body.to_string().contains(&late.user_id);
    checks.push(check("late member", None, found, open && present));
    let reply = reader.get(&format!("{rooms}/joined_members")).await;
    checks.push(check(
        "joined_members",
        None,
        reply.status,
        if kind.is_joined() { 200 } else { 403 },
    ));
    let reply = reader.get(&format!("{rooms}/aliases")).await;
    let aliases = kind.is_joined() || *visibility == Visibility::WorldReadable;
    checks.push(check("aliases", None, reply.status, if aliases { 200 } else { 403 }));
    checks
}

/// Endpoints that tell what a room is.
async fn found(scene: &Scene) -> Vec<Check> {
    let Scene { kind, visibility, room, reader, .. } = scene;
    let finds = kind.finds(*visibility);
    let summary = reader.get(&format!("{V1}/room_summary/{room}")).await;
    let hierarchy = reader.get(&format!("{V1}/rooms/{room}/hierarchy")).await;
    let sync = reader.get(&format!("{V3}/sync?timeout=0")).await.ok();
    let in_section = |name: &str| sync["rooms"][name].get(room).is_some();
    vec![
        check("room_summary", None, summary.status, if finds { 200 } else { 404 }),
        check("hierarchy", None, hierarchy.status, if finds { 200 } else { 403 }),
        check("sync join", None, in_section("join"), kind.is_joined()),
        check("sync invite", None, in_section("invite"), *kind == Kind::Invited),
        check("sync knock", None, in_section("knock"), *kind == Kind::Knocked),
    ]
}
