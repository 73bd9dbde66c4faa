//! Application services against a small one in this process.

use pli_tests::{
    appservice::FakeAppservice,
    server::{Reply, TestServer, TestUser},
};
use reqwest::Method;
use serde_json::{Value, json};

const AS: Option<&str> = Some("as-bridge");

/// A server with one service, `bridge`.
async fn with_service(more: &str) -> (TestServer, FakeAppservice) {
    let service = FakeAppservice::start().await;
    let server = TestServer::start_with_dir(|config, dir| {
        let directory = dir.join("services");
        service.register(&directory, "bridge", more);
        config.application_services.directory = Some(directory.display().to_string());
    })
    .await;
    (server, service)
}

async fn register(server: &TestServer, name: &str) -> Reply {
    let body = json!({
        "type": "m.login.application_service", "username": name, "inhibit_login": true,
    });
    server.request(Method::POST, "/_matrix/client/v3/register", AS, Some(&body)).await
}

async fn put(server: &TestServer, path: &str, body: Value) -> Reply {
    server.request(Method::PUT, path, AS, Some(&body)).await
}

/// A public room of a person, with a user of the service in it.
async fn bridged_room(server: &TestServer, alice: &TestUser) -> String {
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    register(server, "_bridge_bob").await.ok();
    let path =
        format!("/_matrix/client/v3/rooms/{room}/join?user_id=@_bridge_bob:{}", server.server_name);
    server.request(Method::POST, &path, AS, Some(&json!({}))).await.ok();
    room
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_in_order_each_once_and_survive_errors_and_restarts() {
    let (mut server, mut service) = with_service("").await;
    let alice = server.register("alice").await;
    alice.create_room(json!({ "name": "not for the bridge" })).await;
    service.answer("/_matrix/app/v1/transactions/", 500, json!({}));
    let room = bridged_room(&server, &alice).await;
    let mut said = Vec::new();
    for n in 0..3 {
        said.push(alice.say(&room, &format!("before {n}")).await);
    }
    let failed = service.next("/transactions/").await;
    assert_eq!((failed.method.as_str(), failed.bearer.as_str()), ("PUT", "hs-bridge"));
    server.restart().await;
    let again = service.next("/transactions/").await;
    assert_eq!((&again.path, &again.body), (&failed.path, &failed.body));
    service.answer("/_matrix/app/v1/transactions/", 200, json!({}));
    for n in 0..120 {
        said.push(alice.say(&room, &format!("after {n}")).await);
    }
    let mut events: Vec<Value> = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    while ids.last() != said.last() {
        let transaction = service.next("/transactions/").await;
        if transaction.status != 200 {
            continue;
        }
        let list = transaction.body["events"].as_array().unwrap();
        assert!(list.len() <= 100);
        events.extend(list.iter().cloned());
        let id = |event: &Value| event["event_id"].as_str().unwrap().to_owned();
        ids.extend(list.iter().map(id));
    }
    let messages: Vec<&String> = ids.iter().filter(|id| said.contains(id)).collect();
    assert_eq!(messages, said.iter().collect::<Vec<_>>());
    assert!(events.iter().all(|event| event["room_id"] == room.as_str()));
    let joined = events.iter().position(|event| {
        event["type"] == "m.room.member" && event["content"]["membership"] == "join"
    });
    assert_eq!(joined, Some(0), "the history before the service's user came is not told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_acts_as_its_users_and_nobody_else_does() {
    let (server, _service) = with_service("").await;
    let name = &server.server_name;
    let whoami = |query: &str| {
        let path = format!("/_matrix/client/v3/account/whoami{query}");
        async move { path }
    };
    let own = server.request(Method::GET, &whoami("").await, AS, None).await.ok();
    assert_eq!(own, json!({ "user_id": format!("@_bridge_bot:{name}") }));
    register(&server, "_bridge_bob").await.ok();
    register(&server, "_bridge_bob").await.refused(400, "M_USER_IN_USE");
    register(&server, "carol").await.refused(400, "M_EXCLUSIVE");
    for taken in ["_bridge_eve", "_bridge_bot"] {
        let body = json!({ "username": taken, "password": "long enough, surely",
                           "auth": { "type": "m.login.dummy" } });
        let path = "/_matrix/client/v3/register";
        server.request(Method::POST, path, None, Some(&body)).await.refused(400, "M_EXCLUSIVE");
        let path = format!("/_matrix/client/v3/register/available?username={taken}");
        server.get(&path).await.refused(400, "M_EXCLUSIVE");
    }
    let bob = whoami(&format!("?user_id=@_bridge_bob:{name}")).await;
    let answer = server.request(Method::GET, &bob, AS, None).await.ok();
    assert_eq!(answer["user_id"], format!("@_bridge_bob:{name}"));
    for (query, status, errcode) in [
        (format!("?user_id=@alice:{name}"), 403, "M_FORBIDDEN"),
        (format!("?user_id=@_bridge_new:{name}"), 403, "M_FORBIDDEN"),
        ("?user_id=@_bridge_bob:other.example".to_owned(), 403, "M_FORBIDDEN"),
        ("?user_id=bob".to_owned(), 400, "M_INVALID_PARAM"),
        (format!("?user_id=@_bridge_bob:{name}&device_id=NOPE"), 400, "M_UNKNOWN_DEVICE"),
    ] {
        let reply = server.request(Method::GET, &whoami(&query).await, AS, None).await;
        reply.refused(status, errcode);
    }
    let body = json!({ "type": "m.login.application_service", "username": "_bridge_x" });
    let path = "/_matrix/client/v3/register";
    server.request(Method::POST, path, None, Some(&body)).await.refused(401, "M_MISSING_TOKEN");
    let reply = server.request(Method::POST, path, Some("as-x"), Some(&body)).await;
    reply.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_log_in_make_devices_and_set_times() {
    let (server, _service) = with_service("").await;
    let name = server.server_name.clone();
    let login = |user: &str| {
        json!({ "type": "m.login.application_service",
                "identifier": { "type": "m.id.user", "user": user } })
    };
    let path = "/_matrix/client/v3/login";
    let flows = server.get(path).await.ok()["flows"].clone();
    let flow = json!({ "type": "m.login.application_service" });
    assert!(flows.as_array().unwrap().contains(&flow), "{flows}");
    register(&server, "_bridge_bob").await.ok();
    let alice = server.register("alice").await;
    let post = async |token: Option<&str>, user: &str| {
        server.request(Method::POST, path, token, Some(&login(user))).await
    };
    post(None, "_bridge_bob").await.refused(401, "M_MISSING_TOKEN");
    post(Some(&alice.token), "_bridge_bob").await.refused(401, "M_UNKNOWN_TOKEN");
    post(AS, "alice").await.refused(400, "M_EXCLUSIVE");
    post(AS, "_bridge_nobody").await.refused(403, "M_FORBIDDEN");
    assert!(post(AS, "_bridge_bob").await.ok()["access_token"].is_string());
    let bob = format!("user_id=@_bridge_bob:{name}");
    let device = format!("/_matrix/client/v3/devices/BRIDGE?{bob}");
    let made = put(&server, &device, json!({ "display_name": "Bridge" })).await;
    assert_eq!(made.status, 201);
    put(&server, &device, json!({ "display_name": "New name" })).await.ok();
    let as_device = format!("{bob}&org.matrix.msc3202.device_id=BRIDGE");
    let whoami = format!("/_matrix/client/v3/account/whoami?{as_device}");
    let answer = server.request(Method::GET, &whoami, AS, None).await.ok();
    assert_eq!(answer["device_id"], "BRIDGE");
    let upload = format!("/_matrix/client/v3/keys/upload?{bob}");
    let reply = server.request(Method::POST, &upload, AS, Some(&json!({}))).await;
    reply.refused(400, "M_MISSING_PARAM");
    let room = bridged_room_of(&server, &alice).await;
    let send = format!(
        "/_matrix/client/v3/rooms/{room}/send/m.room.message/t1?{as_device}&ts=1234567890123"
    );
    let sent = put(&server, &send, json!({ "msgtype": "m.text", "body": "old" })).await.ok();
    let event_id = sent["event_id"].as_str().unwrap();
    let event = alice.get(&format!("/_matrix/client/v3/rooms/{room}/event/{event_id}")).await.ok();
    assert_eq!(event["origin_server_ts"], 1_234_567_890_123_u64);
    let state = format!("/_matrix/client/v3/rooms/{room}/state/m.room.topic/?ts=1000");
    let sent = alice.put(&state, json!({ "topic": "now" })).await.ok();
    let event_id = sent["event_id"].as_str().unwrap();
    let event = alice.get(&format!("/_matrix/client/v3/rooms/{room}/event/{event_id}")).await.ok();
    assert_ne!(event["origin_server_ts"], 1_000, "people do not set times");
    let gone = server.request(Method::DELETE, &device, AS, Some(&json!({}))).await;
    gone.ok();
    let reply = server.request(Method::GET, &whoami, AS, None).await;
    reply.refused(400, "M_UNKNOWN_DEVICE");
}

async fn bridged_room_of(server: &TestServer, alice: &TestUser) -> String {
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let path =
        format!("/_matrix/client/v3/rooms/{room}/join?user_id=@_bridge_bob:{}", server.server_name);
    server.request(Method::POST, &path, AS, Some(&json!({}))).await.ok();
    room
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_rooms_are_made_when_someone_asks_for_them() {
    let (server, mut service) = with_service("").await;
    let name = server.server_name.clone();
    let alice = server.register("alice").await;
    let alias = format!("%23_bridge_room:{name}");
    let exclusive = format!("/_matrix/client/v3/directory/room/{alias}");
    let mine = alice.create_room(json!({})).await;
    alice.put(&exclusive, json!({ "room_id": mine })).await.refused(400, "M_EXCLUSIVE");
    let wish = json!({ "room_alias_name": "_bridge_x" });
    alice.post("/_matrix/client/v3/createRoom", wish).await.refused(400, "M_EXCLUSIVE");
    let other = format!("/_matrix/client/v3/directory/room/%23other:{name}");
    put(&server, &other, json!({ "room_id": mine })).await.refused(400, "M_EXCLUSIVE");
    service.answer("/_matrix/app/v1/users/", 404, json!({}));
    let profile = format!("/_matrix/client/v3/profile/@_bridge_dave:{name}");
    alice.get(&profile).await.refused(404, "M_NOT_FOUND");
    let asked = service.next("/users/").await;
    assert_eq!(asked.path, format!("/_matrix/app/v1/users/@_bridge_dave:{name}"));
    let legacy = service.next("/users/").await;
    assert_eq!(legacy.path, format!("/users/@_bridge_dave:{name}"));
    assert_eq!(legacy.query, "access_token=hs-bridge");
    service.answer("/_matrix/app/v1/users/", 200, json!({}));
    let url = server.url.clone();
    service.on_query(move |path| {
        let url = url.clone();
        async move {
            let (path, body) = match path.split_once("/v1/users/@") {
                Some((_, user)) => {
                    let name = user.split(':').next().unwrap_or_default();
                    let body = json!({ "type": "m.login.application_service",
                                       "username": name, "inhibit_login": true });
                    ("/_matrix/client/v3/register", body)
                }
                None => {
                    let body =
                        json!({ "room_alias_name": "_bridge_room", "preset": "public_chat" });
                    ("/_matrix/client/v3/createRoom", body)
                }
            };
            let client = reqwest::Client::new();
            let request = client.post(format!("{url}{path}")).bearer_auth("as-bridge");
            request.json(&body).send().await.unwrap();
        }
    });
    assert_eq!(alice.get(&profile).await.ok()["displayname"], "_bridge_dave");
    let invite = format!("/_matrix/client/v3/rooms/{mine}/invite");
    alice.post(&invite, json!({ "user_id": format!("@_bridge_eve:{name}") })).await.ok();
    let profile = format!("/_matrix/client/v3/profile/@_bridge_eve:{name}");
    assert_eq!(alice.get(&profile).await.ok()["displayname"], "_bridge_eve");
    let joined = alice.post(&format!("/_matrix/client/v3/join/{alias}"), json!({})).await.ok();
    assert!(joined["room_id"].is_string());
    alice.delete(&exclusive).await.refused(400, "M_EXCLUSIVE");
    server.request(Method::DELETE, &exclusive, AS, None).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ephemeral_events_messages_to_devices_and_key_counts_are_told() {
    let more = "receive_ephemeral: true\norg.matrix.msc3202: true\n";
    let (server, mut service) = with_service(more).await;
    let name = server.server_name.clone();
    let alice = server.register("alice").await;
    let room = bridged_room(&server, &alice).await;
    let typing = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id);
    alice.put(&typing, json!({ "typing": true, "timeout": 30_000 })).await.ok();
    let event = service.entry("ephemeral", |event| event["type"] == "m.typing").await;
    assert_eq!(event["room_id"], room.as_str());
    assert_eq!(event["content"]["user_ids"], json!([alice.user_id]));
    let said = alice.say(&room, "read me").await;
    alice
        .post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{said}"), json!({}))
        .await
        .ok();
    let event = service.entry("ephemeral", |event| event["type"] == "m.receipt").await;
    assert_eq!(event["room_id"], room.as_str());
    assert!(event["content"][&said]["m.read"][&alice.user_id]["ts"].is_u64());
    let bob = format!("user_id=@_bridge_bob:{name}");
    put(&server, &format!("/_matrix/client/v3/devices/DEV?{bob}"), json!({})).await;
    let message = json!({ "messages": {
        format!("@_bridge_bob:{name}"): { "DEV": { "secret": 1 } },
    } });
    let path = "/_matrix/client/v3/sendToDevice/org.example.hello/t1";
    alice.put(path, message).await.ok();
    let event = service.entry("de.sorunome.msc2409.to_device", |_| true).await;
    let expected = json!({
        "type": "org.example.hello", "sender": alice.user_id, "content": { "secret": 1 },
        "to_user_id": format!("@_bridge_bob:{name}"), "to_device_id": "DEV",
    });
    assert_eq!(event, expected);
    let upload = format!("/_matrix/client/v3/keys/upload?{bob}&device_id=DEV");
    let keys = json!({ "one_time_keys": { "curve25519:AAAA": "bGF6eSBkb2cganVtcHMgb3ZlcgAAAAAAAAAAAAAAAAA" } });
    server.request(Method::POST, &upload, AS, Some(&keys)).await.ok();
    loop {
        let transaction = service.next("/transactions/").await;
        let counts = &transaction.body["org.matrix.msc3202.device_one_time_keys_count"];
        if counts[format!("@_bridge_bob:{name}")]["DEV"]["curve25519"] == 1 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_are_found_and_have_directories() {
    let (server, service) = with_service("protocols: [irc]\n").await;
    let alice = server.register("alice").await;
    let protocol = json!({
        "user_fields": ["nickname"], "location_fields": ["channel"], "icon": "mxc://x/y",
        "field_types": { "channel": { "regexp": "#.+", "placeholder": "#foo" },
                         "nickname": { "regexp": ".+", "placeholder": "name" } },
        "instances": [{ "desc": "Libera", "network_id": "libera", "fields": {} }],
    });
    service.answer("/_matrix/app/v1/thirdparty/protocol/irc", 200, protocol);
    let found = json!([{ "alias": "#x:y.example", "protocol": "irc", "fields": { "channel": "#x" } },
                       { "nonsense": true }]);
    service.answer("/_matrix/app/v1/thirdparty/location", 200, found.clone());
    service.answer("/_matrix/app/v1/thirdparty/user", 404, json!({}));
    service.answer("/_matrix/app/unstable/", 404, json!({}));
    let base = "/_matrix/client/v3/thirdparty";
    let protocols = alice.get(&format!("{base}/protocols")).await.ok();
    assert_eq!(protocols["irc"]["instances"][0]["instance_id"], "bridge|libera");
    assert_eq!(alice.get(&format!("{base}/protocol/irc")).await.ok(), protocols["irc"]);
    alice.get(&format!("{base}/protocol/icq")).await.refused(404, "M_NOT_FOUND");
    let list = alice.get(&format!("{base}/location/irc?channel=%23x")).await.ok();
    assert_eq!(list, json!([found[0]]));
    let by_nickname = format!("{base}/user/irc?nickname=x");
    alice.get(&by_nickname).await.refused(404, "M_NOT_FOUND");
    let people = json!([
        { "userid": "@_bridge_x:pli.test", "protocol": "irc", "fields": { "nickname": "x" } },
        { "protocol": "irc", "fields": {} },
    ]);
    service.answer("/_matrix/app/v1/thirdparty/user", 200, people.clone());
    assert_eq!(alice.get(&by_nickname).await.ok(), json!([people[0]]));
    let of_user = format!("{base}/user?userid=%40_bridge_x:pli.test");
    assert_eq!(alice.get(&of_user).await.ok(), json!([people[0]]));
    alice.get(&format!("{base}/user/icq?nickname=x")).await.refused(404, "M_NOT_FOUND");
    let of_alias = format!("{base}/location?alias=%23x:y.example");
    assert_eq!(alice.get(&of_alias).await.ok(), list);
    alice.get(&format!("{base}/user")).await.refused(400, "M_MISSING_PARAM");
    let room = alice.create_room(json!({ "name": "#libera" })).await;
    let path = format!("/_matrix/client/v3/directory/list/appservice/libera/{room}");
    let public = json!({ "visibility": "public" });
    alice.put(&path, public.clone()).await.refused(403, "M_FORBIDDEN");
    put(&server, &path, public).await.ok();
    let search = async |body: Value| {
        let page = alice.post("/_matrix/client/v3/publicRooms", body).await.ok();
        page["chunk"].as_array().unwrap().len()
    };
    assert_eq!(search(json!({})).await, 0);
    assert_eq!(search(json!({ "third_party_instance_id": "bridge|libera" })).await, 1);
    assert_eq!(search(json!({ "third_party_instance_id": "bridge|oftc" })).await, 0);
    assert_eq!(search(json!({ "include_all_networks": true })).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_tell_what_is_wrong() {
    let (server, mut service) = with_service("").await;
    let alice = server.register("alice").await;
    let path = "/_matrix/client/v1/appservice/bridge/ping";
    let body = json!({ "transaction_id": "meow" });
    alice.post(path, body.clone()).await.refused(403, "M_FORBIDDEN");
    let other = "/_matrix/client/v1/appservice/other/ping";
    let ping = async |path: &str| server.request(Method::POST, path, AS, Some(&body)).await;
    ping(other).await.refused(403, "M_FORBIDDEN");
    assert!(ping(path).await.ok()["duration_ms"].is_u64());
    assert_eq!(service.next("/ping").await.body, body);
    service.answer("/_matrix/app/v1/ping", 403, json!({ "errcode": "M_FORBIDDEN" }));
    let refused = ping(path).await.refused(502, "M_BAD_STATUS");
    assert_eq!(
        (&refused["status"], &refused["body"]),
        (&json!(403), &json!("{\"errcode\":\"M_FORBIDDEN\"}"))
    );
    let version = server.get("/_matrix/federation/v1/version").await.ok();
    assert_eq!(version["server"]["name"], "Pli");
}
