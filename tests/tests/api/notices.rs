//! Notices of the server to one user.

use pli_tests::server::TestServer;
use serde_json::json;

const NOTICES: &str = "/_pli/admin/v1/notices";

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_comes_in_a_room_of_its_own_that_cannot_be_declined() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let notice = json!({ "user_id": alice.user_id, "body": "Maintenance tonight" });
    alice.post(NOTICES, notice.clone()).await.refused(403, "M_FORBIDDEN");
    let sent = admin.post(NOTICES, notice).await.ok();
    let room = sent["room_id"].as_str().unwrap().to_owned();

    let synced = alice.sync(None).await;
    assert!(synced["rooms"]["invite"].get(&room).is_some(), "{synced}");
    let tags = format!("/_matrix/client/v3/user/{}/rooms/{room}/tags", alice.user_id);
    assert_eq!(alice.get(&tags).await.ok(), json!({ "tags": { "m.server_notice": {} } }));
    let leave = format!("/_matrix/client/v3/rooms/{room}/leave");
    let errcode = "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM";
    alice.post(&leave, json!({})).await.refused(403, errcode);
    let state = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", alice.user_id);
    alice.put(&state, json!({ "membership": "leave" })).await.refused(403, errcode);
    alice.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    let history = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b");
    let messages = alice.get(&history).await.ok();
    let bodies = |messages: &serde_json::Value| {
        let chunk = messages["chunk"].as_array().unwrap();
        let bodies = chunk.iter().filter_map(|event| event["content"]["body"].as_str());
        bodies.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&messages), ["Maintenance tonight"]);
    // The same room serves all notices, also after the user has left it.
    alice.post(&leave, json!({})).await.ok();
    let again = json!({
        "user_id": alice.user_id, "content": { "msgtype": "m.text", "body": "Done" },
    });
    admin.post("/_synapse/admin/v1/send_server_notice", again).await.ok();
    alice.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    assert_eq!(bodies(&alice.get(&history).await.ok()), ["Done", "Maintenance tonight"]);

    // A suspended user may speak here, and nowhere else.
    let suspend = format!("/_matrix/client/v1/admin/suspend/{}", alice.user_id);
    admin.put(&suspend, json!({ "suspended": true })).await.ok();
    alice.say(&room, "Why am I suspended?").await;
    let create = "/_matrix/client/v3/createRoom";
    alice.post(create, json!({})).await.refused(403, "M_USER_SUSPENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_reached_is_pinned_until_it_is_lifted() {
    let server = TestServer::start_with(|config| config.rooms.creation_open = false).await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let notice = json!({
        "user_id": alice.user_id, "body": "Too many users this month",
        "limit_type": "monthly_active_user", "admin_contact": "mailto:admin@pli.test",
    });
    let sent = admin.post(NOTICES, notice).await.ok();
    let room = sent["room_id"].as_str().unwrap();
    alice.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    let event = sent["event_id"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
    let expected = json!({
        "msgtype": "m.server_notice", "body": "Too many users this month",
        "server_notice_type": "m.server_notice.usage_limit_reached",
        "limit_type": "monthly_active_user", "admin_contact": "mailto:admin@pli.test",
    });
    assert_eq!(alice.get(&path).await.ok()["content"], expected);
    let pinned = format!("/_matrix/client/v3/rooms/{room}/state/m.room.pinned_events/");
    assert_eq!(alice.get(&pinned).await.ok(), json!({ "pinned": [event] }));
    let lift = format!("{NOTICES}/lift");
    admin.post(&lift, json!({ "user_id": alice.user_id })).await.ok();
    assert_eq!(alice.get(&pinned).await.ok(), json!({ "pinned": [] }));
    for (user, status, errcode) in
        [("@nobody:pli.test", 404, "M_NOT_FOUND"), ("@a:elsewhere", 400, "M_INVALID_PARAM")]
    {
        let notice = json!({ "user_id": user, "body": "x" });
        admin.post(NOTICES, notice).await.refused(status, errcode);
        let whose = json!({ "user_id": "@nobody:pli.test" });
        admin.post(&lift, whose).await.refused(404, "M_NOT_FOUND");
    }
    let half = json!({ "user_id": alice.user_id, "body": "x", "limit_type": "x" });
    admin.post(NOTICES, half).await.refused(400, "M_INVALID_PARAM");
    // Closing the account leaves the room, although its invite could not be declined.
    let audit = admin.get("/_pli/admin/v1/audit").await.ok();
    assert_eq!(audit["entries"][0]["action"], "notice.send");
}
