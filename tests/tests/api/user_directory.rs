//! Searches in the user directory.

use pli_schema::account_settings::DirectoryScope;
use pli_tests::server::{TestServer, TestUser};
use serde_json::{Value, json};

const SEARCH: &str = "/_matrix/client/v3/user_directory/search";

async fn found(user: &TestUser, term: &str) -> Vec<String> {
    let page = user.post(SEARCH, json!({ "search_term": term })).await.ok();
    assert!(page["limited"].is_boolean());
    let ids = page["results"].as_array().unwrap().iter().map(|user| user["user_id"].as_str());
    ids.map(|id| id.unwrap().to_owned()).collect()
}

async fn name(user: &TestUser, name: &str) {
    let path = format!("/_matrix/client/v3/profile/{}/displayname", user.user_id);
    user.put(&path, json!({ "displayname": name })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_whom_their_rooms_show_them_to() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let carol = server.register("carol").await;
    name(&bob, "Béatrice Dupont").await;
    let nobody: Vec<String> = Vec::new();
    assert_eq!(found(&alice, "beatrice").await, nobody);
    // In a room that they share, until one of them leaves.
    let shared = alice.create_room(json!({ "invite": [bob.user_id] })).await;
    assert_eq!(found(&alice, "dupont").await, nobody);
    bob.post(&format!("/_matrix/client/v3/join/{shared}"), json!({})).await.ok();
    assert_eq!(found(&alice, "DUPONT bea").await, [bob.user_id.as_str()]);
    assert_eq!(found(&carol, "dupont").await, nobody);
    bob.post(&format!("/_matrix/client/v3/rooms/{shared}/leave"), json!({})).await.ok();
    assert_eq!(found(&alice, "dupont").await, nobody);
    // In a public room, to everyone.
    let public = bob.create_room(json!({ "preset": "public_chat" })).await;
    assert_eq!(found(&carol, "dupont").await, [bob.user_id.as_str()]);
    let state = format!("/_matrix/client/v3/rooms/{public}/state");
    let closed = json!({ "join_rule": "invite" });
    bob.put(&format!("{state}/m.room.join_rules/"), closed).await.ok();
    assert_eq!(found(&carol, "dupont").await, nobody);
    let readable = json!({ "history_visibility": "world_readable" });
    bob.put(&format!("{state}/m.room.history_visibility/"), readable).await.ok();
    assert_eq!(found(&carol, "dupont").await, [bob.user_id.as_str()]);
    // Names as they are now; nobody who is locked or gone.
    name(&bob, "Benoît").await;
    assert_eq!(found(&carol, "benoit").await, [bob.user_id.as_str()]);
    assert_eq!(found(&carol, "@bob:pli").await, [bob.user_id.as_str()]);
    assert_eq!(found(&carol, "dupont").await, nobody);
    let lock = format!("/_matrix/client/v1/admin/lock/{}", bob.user_id);
    admin.put(&lock, json!({ "locked": true })).await.ok();
    assert_eq!(found(&carol, "benoit").await, nobody);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_server_can_be_a_directory() {
    let server =
        TestServer::start_with(|config| config.profiles.directory = DirectoryScope::All).await;
    let alice = server.register("alice").await;
    let first = server.register("user1").await;
    for n in 2..=12 {
        server.register(&format!("user{n}")).await;
    }
    let avatar = format!("/_matrix/client/v3/profile/{}/avatar_url", first.user_id);
    first.put(&avatar, json!({ "avatar_url": "mxc://pli.test/a" })).await.ok();
    let page = alice.post(SEARCH, json!({ "search_term": "user", "limit": 3 })).await.ok();
    assert_eq!(page["limited"], true);
    assert_eq!(page["results"].as_array().unwrap().len(), 3);
    let expected = json!({
        "user_id": "@user1:pli.test", "display_name": "user1", "avatar_url": "mxc://pli.test/a",
    });
    assert_eq!(page["results"][0], expected);
    let exact = alice.post(SEARCH, json!({ "search_term": "user12" })).await.ok();
    assert_eq!((exact["results"].as_array().unwrap().len(), &exact["limited"]), (1, &json!(false)));
    assert_eq!(exact["results"][0].get("avatar_url"), None::<&Value>);
    assert_eq!(found(&alice, "user").await.len(), 10);
    alice.post(SEARCH, json!({})).await.refused(400, "M_BAD_JSON");
    alice.post(SEARCH, json!({ "search_term": "x", "limit": -1 })).await.refused(400, "M_BAD_JSON");
}
