//! Profiles, directories, spaces and summaries of other servers.

use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

const ADMIN: &str = "/_pli/admin/v1/federation";

async fn two() -> (TestServer, TestServer) {
    tokio::join!(TestServer::start_federating(), TestServer::start_federating())
}

/// Denies the other server something.
async fn deny(admin: &TestUser, server: &TestServer, what: &str) {
    let path = format!("{ADMIN}/partners/{}", server.server_name);
    admin.put(&path, json!({ "allowed": { what: false } })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_come_from_the_server_of_the_user() {
    let (here, there) = two().await;
    let alice = here.register("alice").await;
    let bob = there.register("bob").await;
    let path = format!("/_matrix/client/v3/profile/{}", bob.user_id);
    bob.put(&format!("{path}/displayname"), json!({ "displayname": "Bob" })).await.ok();
    assert_eq!(alice.get(&path).await.ok()["displayname"], "Bob");
    assert_eq!(
        alice.get(&format!("{path}/displayname")).await.ok(),
        json!({ "displayname": "Bob" })
    );
    assert_eq!(alice.get(&format!("{path}/m.tz")).await.status, 404);
    let eve = there.register("eve").await;
    let of_eve = format!("/_matrix/client/v3/profile/{}", eve.user_id);
    let name = json!({ "displayname": "Eve [Justice]" });
    eve.put(&format!("{of_eve}/displayname"), name).await.ok();
    assert_eq!(alice.get(&of_eve).await.ok()["org.pli.name_flag"], "label_not_agreed");
    let nobody = format!("/_matrix/client/v3/profile/@nobody:{}", there.server_name);
    assert_eq!(alice.get(&nobody).await.status, 404);
    // Strangers do not make the server ask others, whatever it shows them of its own users.
    assert_ne!(here.get(&path).await.status, 200);

    let admin = there.register_admin("admin").await;
    deny(&admin, &here, "profiles").await;
    let carol = there.register("carol").await;
    let path = format!("/_matrix/client/v3/profile/{}", carol.user_id);
    assert_eq!(alice.get(&path).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_of_other_servers_are_searched() {
    let (here, there) = two().await;
    let alice = here.register("alice").await;
    let bob = there.register("bob").await;
    for name in ["Budget", "Archives"] {
        let room = json!({ "name": name, "preset": "public_chat", "visibility": "public" });
        bob.create_room(room).await;
    }
    bob.create_room(json!({ "name": "Budget (private)" })).await;
    let server = &there.server_name;
    let path = format!("/_matrix/client/v3/publicRooms?server={server}");
    assert_eq!(alice.get(&path).await.ok()["chunk"].as_array().unwrap().len(), 2);
    let first = alice.get(&format!("{path}&limit=1")).await.ok();
    let since = first["next_batch"].as_str().unwrap();
    let second = alice.get(&format!("{path}&limit=1&since={since}")).await.ok();
    assert_ne!(first["chunk"][0]["room_id"], second["chunk"][0]["room_id"]);
    let filter = json!({ "filter": { "generic_search_term": "budget" } });
    let found = alice.post(&path, filter).await.ok();
    assert_eq!(found["chunk"][0]["name"], "Budget");
    assert_eq!(found["chunk"].as_array().unwrap().len(), 1);
    assert_eq!(here.get(&path).await.status, 401);

    let admin = there.register_admin("admin").await;
    deny(&admin, &here, "public_rooms").await;
    assert_eq!(alice.get(&path).await.status, 403);
}

/// A space of the user with these rooms, each reached through a server.
async fn space(user: &TestUser, rooms: &[&str], via: &str) -> String {
    let create = json!({
        "name": "Space",
        "preset": "public_chat",
        "creation_content": { "type": "m.space" },
    });
    let space = user.create_room(create).await;
    for room in rooms {
        let path = format!("/_matrix/client/v3/rooms/{space}/state/m.space.child/{room}");
        user.put(&path, json!({ "via": [via], "suggested": true })).await.ok();
    }
    space
}

fn names(hierarchy: &Value) -> Vec<&str> {
    let rooms = hierarchy["rooms"].as_array().unwrap();
    rooms.iter().map(|room| room["name"].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn spaces_lead_to_rooms_of_other_servers() {
    let (here, there) = two().await;
    let alice = here.register("alice").await;
    let bob = there.register("bob").await;
    let open = bob.create_room(json!({ "name": "Open", "preset": "public_chat" })).await;
    let closed = bob.create_room(json!({ "name": "Closed", "preset": "private_chat" })).await;
    let inner = space(&bob, &[&open, &closed], &there.server_name).await;
    let outer = space(&alice, &[&inner], &there.server_name).await;
    let found = alice.get(&format!("/_matrix/client/v1/rooms/{outer}/hierarchy")).await.ok();
    assert_eq!(names(&found), ["Space", "Space", "Open"]);
    let children = found["rooms"][1]["children_state"].as_array().unwrap();
    assert_eq!(children.len(), 2);
    let page = format!("/_matrix/client/v1/rooms/{outer}/hierarchy?limit=2");
    let first = alice.get(&page).await.ok();
    let next = first["next_batch"].as_str().unwrap();
    let second = alice.get(&format!("{page}&from={next}")).await.ok();
    assert_eq!(names(&second), ["Open"]);

    let summary =
        |room: &str| format!("/_matrix/client/v1/room_summary/{room}?via={}", there.server_name);
    let told = alice.get(&summary(&open)).await.ok();
    assert_eq!((&told["name"], &told["membership"]), (&json!("Open"), &json!("leave")));
    assert_eq!(alice.get(&summary(&closed)).await.status, 404);
    assert_eq!(here.get(&summary(&open)).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_tells_others_who_the_person_is_and_unknown_queries_are_refused() {
    let (here, there) = two().await;
    let alice = here.register("alice").await;
    let path = format!("/_matrix/client/v3/user/{}/openid/request_token", alice.user_id);
    let token = alice.post(&path, json!({})).await.ok();
    let token = token["access_token"].as_str().unwrap();
    let path = format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
    assert_eq!(here.get(&path).await.ok(), json!({ "sub": alice.user_id }));
    assert_eq!(there.get(&path).await.status, 401);
    let request = {
        use ruma::api::federation::query::get_custom_information::v1::Request;
        Request::new("weather".to_owned(), std::collections::BTreeMap::new())
    };
    let server = ruma::OwnedServerName::try_from(there.server_name.as_str()).unwrap();
    let remote = here.state().signed.remote();
    let bounds = pli_core::federation::Bounds::SMALL;
    let refused = remote.request(&server, request, bounds).await.unwrap_err();
    assert_eq!(refused.errcode(), "M_UNRECOGNIZED");
}
