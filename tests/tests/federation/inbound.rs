//! What other servers send: good events among bad ones, twice, too early, against the access list. The
//! other server is played by the test.

use std::time::Duration;

use pli_tests::{
    fake_room::FakeRoom,
    fake_server::FakeServer,
    server::{TestServer, TestUser},
};
use reqwest::Method;
use serde_json::{Value, json};

pub struct Scene {
    pub server: TestServer,
    pub alice: TestUser,
    pub fake: FakeServer,
    pub room: FakeRoom,
    pub room_id: String,
}

/// A public room of alice's that a user of a fake server has joined.
pub async fn scene(version: &str) -> Scene {
    let (server, fake) = tokio::join!(TestServer::start_federating(), FakeServer::start());
    let alice = server.register("alice").await;
    let body = json!({ "preset": "public_chat", "room_version": version });
    let room_id = alice.create_room(body).await;
    let room = FakeRoom::join(&fake, &server, &room_id, "eve").await;
    Scene { server, alice, fake, room, room_id }
}

impl Scene {
    pub async fn has(&self, event_id: &str) -> bool {
        let event_id = event_id.replace('/', "%2F");
        let path = format!("/_matrix/client/v3/rooms/{}/event/{event_id}", self.room_id);
        self.alice.get(&path).await.status == 200
    }

    /// Waits until alice sees an event.
    pub async fn wait_for(&self, event_id: &str) {
        let wait = async {
            let mut since = String::new();
            while !self.has(event_id).await {
                let path = format!("/_matrix/client/v3/sync?timeout=250{since}");
                let synced = self.alice.get(&path).await.ok();
                since = format!("&since={}", synced["next_batch"].as_str().unwrap());
            }
        };
        let arrived = tokio::time::timeout(Duration::from_secs(60), wait).await;
        arrived
            .unwrap_or_else(|_| panic!("{event_id} does not come; asked: {:?}", self.fake.asked()));
    }

    pub async fn state(&self, event_type: &str, state_key: &str) -> Value {
        let path =
            format!("/_matrix/client/v3/rooms/{}/state/{event_type}/{state_key}", self.room_id);
        self.alice.get(&path).await.body
    }
}

/// What became of an event.
fn outcome<'a>(answer: &'a Value, event_id: &str) -> &'a Value {
    &answer["pdus"][event_id]
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_every_version_arrive_and_a_repeated_transaction_is_answered_alike() {
    for version in ["3", "6", "10", "11", "12"] {
        let mut scene = scene(version).await;
        let events: Vec<_> =
            (0..3).map(|n| scene.room.say(&scene.fake, &format!("m{n}"))).collect();
        let texts: Vec<&str> = events.iter().map(|pdu| &*pdu.json).collect();
        let answer = scene.fake.transaction(&scene.server, "one", &texts).await.ok();
        for pdu in &events {
            assert_eq!(outcome(&answer, pdu.event_id.as_str()), &json!({}), "version {version}");
            assert!(scene.has(pdu.event_id.as_str()).await, "version {version}");
        }
        let again = scene.fake.transaction(&scene.server, "one", &texts).await.ok();
        assert_eq!(answer, again);
        let other = scene.fake.transaction(&scene.server, "two", &texts).await.ok();
        assert_eq!(answer, other);
        let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=10", scene.room_id);
        let page = scene.alice.get(&path).await.ok();
        let bodies: Vec<_> = page["chunk"].as_array().unwrap().iter().take(4).collect();
        let bodies: Vec<_> = bodies.iter().map(|event| &event["content"]["body"]).collect();
        assert_eq!(bodies, [&json!("m2"), &json!("m1"), &json!("m0"), &Value::Null]);
    }
}

/// `quality.md`, Part IV, 4 and 5.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2025_30355_an_event_of_an_impossible_depth_is_dropped_alone() {
    let mut scene = scene("12").await;
    let bad = scene.room.clone().say(&scene.fake, "bad");
    let depth = format!("\"depth\":{}", bad.depth);
    let depths = ["9007199254740992", "9223372036854775807", "-1", "1e400", "1.5", "\"5\"", "null"];
    let bad: Vec<String> = depths
        .iter()
        .map(|other| bad.json.replace(&depth, &format!("\"depth\":{other}")))
        .collect();
    let good = scene.room.say(&scene.fake, "good");
    let mut texts: Vec<&str> = bad.iter().map(String::as_str).collect();
    texts.push(&good.json);
    let answer = scene.fake.transaction(&scene.server, "depths", &texts).await.ok();
    assert_eq!(answer["pdus"].as_object().unwrap().len(), 1, "{answer}");
    assert_eq!(outcome(&answer, good.event_id.as_str()), &json!({}));
    assert!(scene.has(good.event_id.as_str()).await);
    // The greatest depth that there is closes no room.
    let mut new = scene.room.new_event(
        "m.room.message",
        None,
        &json!({ "msgtype": "m.text", "body": "deep" }),
    );
    new.depth = 9_007_199_254_740_991;
    let deep = scene.room.build(&scene.fake, new);
    let answer = scene.fake.transaction(&scene.server, "deep", &[&deep.json]).await.ok();
    assert_eq!(outcome(&answer, deep.event_id.as_str()), &json!({}));
    let after = scene.alice.say(&scene.room_id, "after").await;
    let path = format!("/_matrix/federation/v1/event/{after}");
    let event = scene.fake.get(&scene.server, &path).await.ok()["pdus"][0].clone();
    assert_eq!(event["depth"], 9_007_199_254_740_991_u64);
}

/// `quality.md`, Part IV, 10.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2022_39200_an_event_that_is_not_signed_right_is_dropped_alone() {
    let mut scene = scene("11").await;
    let other = FakeServer::start().await;
    let content = json!({ "msgtype": "m.text", "body": "whole" });
    let event = || scene.room.new_event("m.room.message", None, &content);
    let good = scene.room.build(&scene.fake, event());
    let object: Value = serde_json::from_str(&good.json).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut object = object.clone();
        change(&mut object);
        object.to_string()
    };
    let name = scene.fake.name.as_str();
    let key = scene.fake.key.key_id().as_str();
    let signature = other.key.sign(b"something else");
    let foreign = {
        let mut new = event();
        new.sender = other.user("mallory").try_into().unwrap();
        scene.room.build(&scene.fake, new).json.to_string()
    };
    let bad = [
        with(&|object| object["origin_server_ts"] = json!(7)),
        with(&|object| object["signatures"][name][key] = json!(signature)),
        with(&|object| object["signatures"][name] = json!({ "ed25519:other": signature })),
        with(&|object| object["signatures"] = json!({})),
        with(&|object| drop(object.as_object_mut().unwrap().remove("signatures"))),
        foreign,
        json!({ "room_id": scene.room_id }).to_string(),
        json!(["an event"]).to_string(),
        "7".to_owned(),
    ];
    let mut texts: Vec<&str> = bad.iter().map(String::as_str).collect();
    texts.insert(4, &good.json);
    let answer = scene.fake.transaction(&scene.server, "signatures", &texts).await.ok();
    for (event_id, outcome) in answer["pdus"].as_object().unwrap() {
        let is_good = event_id == good.event_id.as_str();
        assert_eq!(outcome.get("error").is_none(), is_good, "{event_id}: {outcome}");
        assert_eq!(scene.has(event_id).await, is_good);
    }
    assert_eq!(outcome(&answer, good.event_id.as_str()), &json!({}));
    // Of an event whose content was changed only what is signed is taken.
    let next = scene.room.say(&scene.fake, "secret");
    let mut changed: Value = serde_json::from_str(&next.json).unwrap();
    changed["content"]["body"] = json!("forged");
    let text = changed.to_string();
    let answer = scene.fake.transaction(&scene.server, "hash", &[&text]).await.ok();
    assert_eq!(outcome(&answer, next.event_id.as_str()), &json!({}));
    let path = format!("/_matrix/federation/v1/event/{}", next.event_id);
    let kept = scene.fake.get(&scene.server, &path).await.ok()["pdus"][0].clone();
    assert_eq!(kept["content"], json!({}));
}

/// `quality.md`, Part IV, after the table: replay, foreign `destination`, expired keys.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_signed_for_this_server_are_refused() {
    let mut scene = scene("12").await;
    let (fake, server) = (&scene.fake, &scene.server);
    let pdu = scene.room.say(fake, "hello");
    let body = fake.transaction_body(&[&pdu.json], &[]);
    let path = "/_matrix/federation/v1/send/misdirected";
    let put = Method::PUT;
    let elsewhere = fake.signature("elsewhere.example", &put, path, Some(&body));
    let named_otherwise = elsewhere.replace("elsewhere.example", &server.server_name);
    let other_path =
        fake.signature(&server.server_name, &put, "/_matrix/federation/v1/send/x", Some(&body));
    let other_body = fake.signature(&server.server_name, &put, path, Some("{}"));
    let other_method = fake.signature(&server.server_name, &Method::GET, path, Some(&body));
    let good = fake.signature(&server.server_name, &put, path, Some(&body));
    let other_origin = good.replace(fake.name.as_str(), "other.example");
    for header in [
        elsewhere,
        named_otherwise,
        other_path,
        other_body,
        other_method,
        other_origin,
        String::new(),
    ] {
        let reply = fake.send_with(server, put.clone(), path, Some(&body), &header).await;
        assert_eq!(reply.status, 401, "{header}: {}", reply.body);
    }
    assert!(!scene.has(pdu.event_id.as_str()).await);
    let expired = FakeServer::start().await;
    expired.publish(1);
    let path = format!("/_matrix/federation/v1/event/{}", pdu.event_id);
    assert_eq!(expired.get(server, &path).await.status, 401);
    // A transaction in the name of another server, and one that is too long.
    let forged = body.replace(fake.name.as_str(), "other.example");
    let path = "/_matrix/federation/v1/send/forged";
    fake.send(server, put.clone(), path, Some(&forged)).await.refused(400, "M_INVALID_PARAM");
    let many = vec![&*pdu.json; 51];
    fake.transaction(server, "many", &many).await.refused(400, "M_INVALID_PARAM");
    let edus = vec![json!({ "edu_type": "org.example.none", "content": {} }); 101];
    let body = fake.transaction_body(&[], &edus);
    let path = "/_matrix/federation/v1/send/edus";
    fake.send(server, put, path, Some(&body)).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_rooms_in_which_this_server_is_not_are_dropped() {
    let mut scene = scene("12").await;
    let elsewhere =
        FakeRoom { id: "!elsewhere:elsewhere.example".try_into().unwrap(), ..scene.room.clone() };
    let content = json!({ "body": "?" });
    let foreign = scene.fake_event(&elsewhere, &content);
    let own = scene.room.say(&scene.fake, "own");
    let texts = [foreign.as_str(), &own.json];
    let answer = scene.fake.transaction(&scene.server, "foreign", &texts).await.ok();
    assert_eq!(answer["pdus"].as_object().unwrap().len(), 1);
    assert_eq!(outcome(&answer, own.event_id.as_str()), &json!({}));
    // Nobody of this server is left in the room.
    let leave = format!("/_matrix/client/v3/rooms/{}/leave", scene.room_id);
    scene.alice.post(&leave, json!({})).await.ok();
    let late = scene.room.say(&scene.fake, "late");
    let answer = scene.fake.transaction(&scene.server, "late", &[&late.json]).await.ok();
    assert!(outcome(&answer, late.event_id.as_str())["error"].is_string());
}

impl Scene {
    fn fake_event(&self, room: &FakeRoom, content: &Value) -> String {
        room.build(&self.fake, room.new_event("m.room.message", None, content)).json.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_access_list_keeps_out_sends_and_reads_nothing() {
    let mut scene = scene("12").await;
    let before = scene.alice.say(&scene.room_id, "before").await;
    let path = format!("/_matrix/client/v3/rooms/{}/state/m.room.server_acl/", scene.room_id);
    let acl = json!({ "allow": ["*"], "deny": ["LOCAL*"] });
    scene.alice.put(&path, acl).await.ok();
    let pdu = scene.room.say(&scene.fake, "kept out");
    let answer = scene.fake.transaction(&scene.server, "acl", &[&pdu.json]).await.ok();
    assert!(outcome(&answer, pdu.event_id.as_str())["error"].is_string());
    assert!(!scene.has(pdu.event_id.as_str()).await);
    let room = &scene.room_id;
    for path in [
        format!("/_matrix/federation/v1/state/{room}?event_id={before}"),
        format!("/_matrix/federation/v1/state_ids/{room}?event_id={before}"),
        format!("/_matrix/federation/v1/event_auth/{room}/{before}"),
        format!("/_matrix/federation/v1/backfill/{room}?v={before}&limit=5"),
        format!("/_matrix/federation/v1/timestamp_to_event/{room}?ts=1&dir=f"),
    ] {
        scene.fake.get(&scene.server, &path).await.refused(403, "M_FORBIDDEN");
    }
    let path = format!("/_matrix/federation/v1/event/{before}");
    scene.fake.get(&scene.server, &path).await.refused(404, "M_NOT_FOUND");
}

/// `quality.md`, Part IV, 9.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2022_39374_a_rejected_event_never_enters_the_state_and_what_follows_it_does() {
    let mut scene = scene("12").await;
    let levels = scene.state("m.room.power_levels", "").await;
    let mut wished = levels.clone();
    wished["users"][scene.fake.user("eve")] = json!(100);
    let known = scene.room.state.clone();
    let grab = scene.room.put(&scene.fake, ("m.room.power_levels", ""), &wished);
    // What follows stands on the state without it.
    scene.room.state = known;
    let next = scene.room.say(&scene.fake, "after it");
    let texts = [&*grab.json, &next.json];
    let answer = scene.fake.transaction(&scene.server, "grab", &texts).await.ok();
    assert!(outcome(&answer, grab.event_id.as_str())["error"].is_string());
    assert_eq!(outcome(&answer, next.event_id.as_str()), &json!({}));
    assert!(!scene.has(grab.event_id.as_str()).await);
    assert!(scene.has(next.event_id.as_str()).await);
    assert_eq!(scene.state("m.room.power_levels", "").await, levels);
    let said = scene.alice.say(&scene.room_id, "the room goes on").await;
    assert!(scene.has(&said).await);
}

/// `quality.md`, Part IV, 22.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_joined_by_another_servers_user() {
    let mut scene = scene("12").await;
    let bob = scene.server.register("bob").await;
    let join = json!({ "membership": "join" });
    let pdu = scene.room.put(&scene.fake, ("m.room.member", &bob.user_id), &join);
    let answer = scene.fake.transaction(&scene.server, "join", &[&pdu.json]).await.ok();
    assert!(outcome(&answer, pdu.event_id.as_str())["error"].is_string());
    assert_eq!(bob.sync(None).await["rooms"]["join"][&scene.room_id], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_room_of_now_forbids_is_kept_and_not_shown() {
    let mut scene = scene("12").await;
    let kick = format!("/_matrix/client/v3/rooms/{}/ban", scene.room_id);
    scene.alice.post(&kick, json!({ "user_id": scene.fake.user("eve") })).await.ok();
    // It stands where the ban had not come yet.
    let pdu = scene.room.say(&scene.fake, "evasion");
    let answer = scene.fake.transaction(&scene.server, "ban", &[&pdu.json]).await.ok();
    assert_eq!(outcome(&answer, pdu.event_id.as_str()), &json!({}));
    assert!(!scene.has(pdu.event_id.as_str()).await);
    assert_eq!(scene.state("m.room.member", &scene.fake.user("eve")).await["membership"], "ban");
}
