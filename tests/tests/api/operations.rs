//! The everyday operations one after another, each with an answer that is looked at: rooms and their
//! history, devices and sessions, push rules and pushers.

use pli_tests::server::{Reply, TestServer, TestUser};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const V1: &str = "/_matrix/client/v1";

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Does what asks for the password: the first try is told how, the second brings it.
async fn with_password(user: &TestUser, method: &str, path: &str, mut body: Value) -> Reply {
    let method: reqwest::Method = method.parse().unwrap();
    let asked = user.request(method.clone(), path, Some(&body)).await;
    assert_eq!(asked.status, 401, "{}", asked.body);
    assert!(asked.body["flows"].as_array().is_some_and(|flows| !flows.is_empty()));
    let localpart = user.user_id.trim_start_matches('@').split(':').next().unwrap();
    let auth = |password: &str| {
        json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user.user_id },
            "password": password,
            "session": asked.body["session"],
        })
    };
    body["auth"] = auth("wrong");
    let refused = user.request(method.clone(), path, Some(&body)).await;
    assert_eq!((refused.status, refused.errcode()), (401, "M_FORBIDDEN"), "{}", refused.body);
    body["auth"] = auth(&format!("password of {localpart}"));
    user.request(method, path, Some(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_listed_renamed_and_removed() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let (second, third) = (server.login("alice").await, server.login("alice").await);
    let fourth = server.login("alice").await;
    let listed = alice.get(&format!("{V3}/devices")).await.ok();
    assert_eq!(listed["devices"].as_array().unwrap().len(), 4);
    let path = format!("{V3}/devices/{}", second.device_id);
    alice.put(&path, json!({ "display_name": "Bureau" })).await.ok();
    let device = alice.get(&path).await.ok();
    assert_eq!(device["display_name"], "Bureau");
    assert_eq!(device["device_id"], json!(second.device_id));
    alice.get(&format!("{V3}/devices/NONE")).await.refused(404, "M_NOT_FOUND");
    with_password(&alice, "DELETE", &path, json!({})).await.ok();
    second.get(&format!("{V3}/account/whoami")).await.refused(401, "M_UNKNOWN_TOKEN");
    let others = json!({ "devices": [third.device_id, fourth.device_id] });
    with_password(&alice, "POST", &format!("{V3}/delete_devices"), others).await.ok();
    third.get(&format!("{V3}/account/whoami")).await.refused(401, "M_UNKNOWN_TOKEN");
    let listed = alice.get(&format!("{V3}/devices")).await.ok();
    assert_eq!(listed["devices"][0]["device_id"], json!(alice.device_id));
    assert_eq!(listed["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_begin_by_token_and_by_refreshing_and_end_with_the_account() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let post = || "POST".parse::<reqwest::Method>().unwrap();
    let made =
        with_password(&alice, "POST", &format!("{V1}/login/get_token"), json!({})).await.ok();
    assert!(made["expires_in_ms"].as_u64().unwrap() > 0);
    let body =
        json!({ "type": "m.login.token", "token": made["login_token"], "refresh_token": true });
    let login = format!("{V3}/login");
    let session = server.request(post(), &login, None, Some(&body)).await.ok();
    assert_eq!(session["user_id"], json!(alice.user_id));
    // A token for a login counts once.
    server.request(post(), &login, None, Some(&body)).await.refused(403, "M_FORBIDDEN");
    let body = json!({ "refresh_token": session["refresh_token"] });
    let refreshed = server.request(post(), &format!("{V3}/refresh"), None, Some(&body)).await.ok();
    assert_ne!(refreshed["access_token"], session["access_token"]);
    let body = json!({ "new_password": "quite another password" });
    with_password(&alice, "POST", &format!("{V3}/account/password"), body).await.ok();
    let old = json!({
        "type": "m.login.password", "password": "password of alice",
        "identifier": { "type": "m.id.user", "user": "alice" },
    });
    server.request(post(), &login, None, Some(&old)).await.refused(403, "M_FORBIDDEN");
    let bob = server.register("bob").await;
    let closed = with_password(&bob, "POST", &format!("{V3}/account/deactivate"), json!({})).await;
    assert!(closed.ok()["id_server_unbind_result"].is_string());
    bob.get(&format!("{V3}/account/whoami")).await.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_room_is_read_in_every_way() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat", "name": "Salle" })).await;
    let rooms = format!("{V3}/rooms/{room}");
    bob.post(&format!("{rooms}/join"), json!({})).await.ok();
    let first = alice.say(&room, "first").await;
    let second = bob.say(&room, "second").await;
    let event = bob.get(&format!("{rooms}/event/{}", encoded(&first))).await.ok();
    assert_eq!(event["content"]["body"], "first");
    assert_eq!(event["room_id"], json!(room));
    let missing = format!("{rooms}/event/{}", encoded("$nothing"));
    bob.get(&missing).await.refused(404, "M_NOT_FOUND");
    let context = bob.get(&format!("{rooms}/context/{}?limit=2", encoded(&first))).await.ok();
    assert_eq!(context["events_after"][0]["event_id"], json!(second));
    let page = bob.get(&format!("{rooms}/messages?dir=b&limit=2")).await.ok();
    let ids: Vec<_> = page["chunk"].as_array().unwrap().iter().map(|e| &e["event_id"]).collect();
    assert_eq!(ids, [&json!(second), &json!(first)]);
    let at = event["origin_server_ts"].as_u64().unwrap();
    let nearest = format!("{V1}/rooms/{room}/timestamp_to_event?dir=f&ts={at}");
    assert!(bob.get(&nearest).await.ok()["event_id"].is_string());
    let late = format!("{V1}/rooms/{room}/timestamp_to_event?dir=f&ts={}", at + 3_600_000);
    bob.get(&late).await.refused(404, "M_NOT_FOUND");
    let joined = bob.get(&format!("{rooms}/joined_members")).await.ok();
    assert_eq!(joined["joined"].as_object().unwrap().len(), 2);
    let members = bob.get(&format!("{rooms}/members?membership=join")).await.ok();
    assert_eq!(members["chunk"].as_array().unwrap().len(), 2);
    let mine = bob.get(&format!("{V3}/joined_rooms")).await.ok();
    assert_eq!(mine["joined_rooms"], json!([room]));
    let state = bob.get(&format!("{rooms}/state")).await.ok();
    assert!(state.as_array().unwrap().iter().any(|event| event["type"] == "m.room.create"));
    let name = bob.get(&format!("{rooms}/state/m.room.name")).await.ok();
    assert_eq!(name, json!({ "name": "Salle" }));
    let whole = bob.get(&format!("{rooms}/state/m.room.name?format=event")).await.ok();
    assert_eq!(whole["content"]["name"], "Salle");
    bob.get(&format!("{rooms}/state/m.room.topic")).await.refused(404, "M_NOT_FOUND");
    let stranger = server.register("carol").await;
    stranger.get(&format!("{rooms}/state/m.room.none")).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn relations_and_threads_are_found() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let root = alice.say(&room, "root").await;
    let send = |kind: &'static str, content: Value| {
        let path = format!("{V3}/rooms/{room}/send/{kind}/t{:x}", rand::random::<u64>());
        let alice = alice.clone();
        async move { alice.put(&path, content).await.ok()["event_id"].clone() }
    };
    let relates = |kind: &str| json!({ "rel_type": kind, "event_id": root });
    let text =
        |kind: &str| json!({ "msgtype": "m.text", "body": "x", "m.relates_to": relates(kind) });
    let in_thread = send("m.room.message", text("m.thread")).await;
    let reference = send("m.room.message", text("m.reference")).await;
    let mut annotation = relates("m.annotation");
    annotation["key"] = json!("👍");
    let reaction = send("m.reaction", json!({ "m.relates_to": annotation })).await;
    let path = format!("{V1}/rooms/{room}/relations/{}", encoded(&root));
    let ids = |page: Value| -> Vec<Value> {
        page["chunk"].as_array().unwrap().iter().map(|event| event["event_id"].clone()).collect()
    };
    assert_eq!(
        ids(alice.get(&path).await.ok()),
        [&reaction, &reference, &in_thread].map(Clone::clone)
    );
    let of_kind = alice.get(&format!("{path}/m.thread")).await.ok();
    assert_eq!(ids(of_kind), std::slice::from_ref(&in_thread));
    let of_both = alice.get(&format!("{path}/m.annotation/m.reaction")).await.ok();
    assert_eq!(ids(of_both), [reaction]);
    let threads = alice.get(&format!("{V1}/rooms/{room}/threads")).await.ok();
    let bundled = &threads["chunk"][0]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(threads["chunk"][0]["event_id"], json!(root));
    assert_eq!(bundled["count"], 1);
    assert_eq!(bundled["latest_event"]["event_id"], in_thread);
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_and_the_directory() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let alias = format!("{V3}/directory/room/{}", encoded("#salle:pli.test"));
    alice.get(&alias).await.refused(404, "M_NOT_FOUND");
    alice.put(&alias, json!({ "room_id": room })).await.ok();
    alice.put(&alias, json!({ "room_id": room })).await.refused(409, "M_UNKNOWN");
    assert_eq!(alice.get(&alias).await.ok()["room_id"], json!(room));
    let aliases = alice.get(&format!("{V3}/rooms/{room}/aliases")).await.ok();
    assert_eq!(aliases["aliases"], json!(["#salle:pli.test"]));
    let listed = format!("{V3}/directory/list/room/{room}");
    assert_eq!(alice.get(&listed).await.ok()["visibility"], "private");
    bob.put(&listed, json!({ "visibility": "public" })).await.refused(403, "M_FORBIDDEN");
    alice.put(&listed, json!({ "visibility": "public" })).await.ok();
    assert_eq!(alice.get(&listed).await.ok()["visibility"], "public");
    let found = bob.get(&format!("{V3}/publicRooms")).await.ok();
    assert_eq!(found["chunk"][0]["room_id"], json!(room));
    bob.delete(&alias).await.refused(403, "M_FORBIDDEN");
    alice.delete(&alias).await.ok();
    alice.get(&alias).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn banned_unbanned_upgraded_and_filed() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let rooms = format!("{V3}/rooms/{room}");
    let who = json!({ "user_id": bob.user_id, "reason": "spam" });
    alice.post(&format!("{rooms}/ban"), who.clone()).await.ok();
    bob.post(&format!("{rooms}/join"), json!({})).await.refused(403, "M_FORBIDDEN");
    alice.post(&format!("{rooms}/unban"), who).await.ok();
    bob.post(&format!("{rooms}/join"), json!({})).await.ok();
    let own = format!("{V3}/user/{}/rooms/{room}", alice.user_id);
    alice.put(&format!("{own}/tags/u.travail"), json!({ "order": 0.25 })).await.ok();
    let tags = alice.get(&format!("{own}/tags")).await.ok();
    assert_eq!(tags["tags"]["u.travail"]["order"], 0.25);
    alice.delete(&format!("{own}/tags/u.travail")).await.ok();
    assert_eq!(alice.get(&format!("{own}/tags")).await.ok()["tags"], json!({}));
    let data = format!("{own}/account_data/org.example.note");
    alice.get(&data).await.refused(404, "M_NOT_FOUND");
    alice.put(&data, json!({ "note": "à lire" })).await.ok();
    assert_eq!(alice.get(&data).await.ok(), json!({ "note": "à lire" }));
    bob.post(&format!("{rooms}/upgrade"), json!({ "new_version": "12" }))
        .await
        .refused(403, "M_FORBIDDEN");
    let unknown = alice.post(&format!("{rooms}/upgrade"), json!({ "new_version": "none" })).await;
    unknown.refused(400, "M_UNSUPPORTED_ROOM_VERSION");
    let upgraded =
        alice.post(&format!("{rooms}/upgrade"), json!({ "new_version": "12" })).await.ok();
    let tombstone = alice.get(&format!("{rooms}/state/m.room.tombstone")).await.ok();
    assert_eq!(tombstone["replacement_room"], upgraded["replacement_room"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn push_rules_are_made_changed_and_removed() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let rules = format!("{V3}/pushrules");
    let all = alice.get(&format!("{rules}/")).await.ok();
    assert_eq!(all["global"]["override"][0]["rule_id"], ".m.rule.master");
    assert_eq!(alice.get(&format!("{rules}/global/")).await.ok(), all["global"]);
    let rule = format!("{rules}/global/content/lunch");
    alice.get(&rule).await.refused(404, "M_NOT_FOUND");
    alice.put(&rule, json!({ "pattern": "déjeuner", "actions": ["notify"] })).await.ok();
    let made = alice.get(&rule).await.ok();
    assert_eq!((&made["pattern"], &made["enabled"]), (&json!("déjeuner"), &json!(true)));
    let sound = json!([ "notify", { "set_tweak": "sound", "value": "default" } ]);
    alice.put(&format!("{rule}/actions"), json!({ "actions": sound })).await.ok();
    assert_eq!(alice.get(&format!("{rule}/actions")).await.ok()["actions"], sound);
    alice.put(&format!("{rule}/enabled"), json!({ "enabled": false })).await.ok();
    assert_eq!(alice.get(&format!("{rule}/enabled")).await.ok(), json!({ "enabled": false }));
    alice.delete(&rule).await.ok();
    alice.delete(&rule).await.refused(404, "M_NOT_FOUND");
    let own = json!({ "actions": [] });
    let reserved = alice.put(&format!("{rules}/global/override/.mine"), own).await;
    assert_eq!(reserved.status, 400, "{}", reserved.body);
    let master = alice.delete(&format!("{rules}/global/override/.m.rule.master")).await;
    assert!((400..500).contains(&master.status), "{}", master.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushers_and_notifications() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let pusher = json!({
        "kind": "http", "app_id": "fr.example.pli", "pushkey": "key", "lang": "fr",
        "app_display_name": "Pli", "device_display_name": "Téléphone",
        "data": { "url": "http://127.0.0.1:9/_matrix/push/v1/notify" },
    });
    let set = format!("{V3}/pushers/set");
    alice.post(&set, pusher.clone()).await.ok();
    let listed = alice.get(&format!("{V3}/pushers")).await.ok();
    assert_eq!(listed["pushers"][0]["pushkey"], "key");
    let wrong = alice.post(&set, json!({ "kind": "http", "app_id": "x", "pushkey": "y" })).await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    alice
        .post(&set, json!({ "kind": null, "app_id": "fr.example.pli", "pushkey": "key" }))
        .await
        .ok();
    assert_eq!(alice.get(&format!("{V3}/pushers")).await.ok()["pushers"], json!([]));
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/rooms/{room}/join"), json!({})).await.ok();
    let event = bob.say(&room, "alice, viens").await;
    let notified = alice.get(&format!("{V3}/notifications?limit=5")).await.ok();
    assert_eq!(notified["notifications"][0]["event"]["event_id"], json!(event));
    assert_eq!(notified["notifications"][0]["read"], false);
}
