//! Reports of rooms, events and users.

use pli_tests::server::TestServer;
use reqwest::Method;
use serde_json::{Value, json};

const REPORTS: &str = "/_pli/admin/v1/reports";

#[tokio::test(flavor = "multi_thread")]
async fn reports_reach_the_admins_who_close_them() {
    let server = TestServer::start().await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let event = alice.say(&room, "rude").await;
    let of_room = format!("/_matrix/client/v3/rooms/{room}/report");
    let of_event = format!("{of_room}/{event}");
    let why = || json!({ "reason": "it is rude" });
    bob.post(&of_event, why()).await.refused(404, "M_NOT_FOUND");
    bob.post(&of_room, why()).await.ok();
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.ok();
    assert_eq!(bob.post(&of_event, why()).await.ok(), json!({}));
    bob.post(&of_event, json!({})).await.ok();
    let nothing = format!("{of_room}/$nothing");
    bob.post(&nothing, why()).await.refused(404, "M_NOT_FOUND");
    bob.post("/_matrix/client/v3/users/@alice:pli.test/report", why()).await.ok();
    bob.post("/_matrix/client/v3/users/@alice:pli.test/report", json!({}))
        .await
        .refused(400, "M_BAD_JSON");
    // Whether these exist is not told.
    bob.post("/_matrix/client/v3/users/@nobody:pli.test/report", why()).await.ok();
    bob.post("/_matrix/client/v3/rooms/!nothing:pli.test/report", why()).await.ok();
    let long = json!({ "reason": "x".repeat(5_000) });
    bob.post(&of_room, long).await.refused(413, "M_TOO_LARGE");

    bob.get(REPORTS).await.refused(403, "M_FORBIDDEN");
    let list = admin.get(REPORTS).await.ok();
    let kinds: Vec<_> =
        list["reports"].as_array().unwrap().iter().map(|r| &r["subject"]["kind"]).collect();
    assert_eq!(kinds, ["user", "event", "event", "room"]);
    let newest = &list["reports"][0];
    assert_eq!(newest["reporter"], "@bob:pli.test");
    assert_eq!(newest["subject"], json!({ "kind": "user", "user_id": "@alice:pli.test" }));
    let with_event = &list["reports"][2];
    let expected = json!({
        "kind": "event", "room_id": room, "event_id": event, "sender": "@alice:pli.test",
    });
    assert_eq!((&with_event["subject"], &with_event["reason"]), (&expected, &json!("it is rude")));
    assert!(list["reports"][1].get("reason").is_none());

    let number = newest["number"].as_u64().unwrap();
    let one = format!("{REPORTS}/{number}");
    let close = format!("{one}/close");
    bob.post(&close, json!({})).await.refused(403, "M_FORBIDDEN");
    admin.post(&close, json!({ "note": "talked to them" })).await.ok();
    let closed = admin.get(&one).await.ok();
    assert_eq!(closed["closed"]["by"], "@root:pli.test");
    assert_eq!(closed["closed"]["note"], "talked to them");
    let count = |list: Value| list["reports"].as_array().unwrap().len();
    assert_eq!(count(admin.get(REPORTS).await.ok()), 3);
    assert_eq!(count(admin.get(&format!("{REPORTS}?closed=true")).await.ok()), 4);
    assert_eq!(count(admin.get(&format!("{REPORTS}?limit=2")).await.ok()), 2);
    let older = format!("{REPORTS}?closed=true&before={number}");
    assert_eq!(count(admin.get(&older).await.ok()), 3);
    admin.get(&format!("{REPORTS}/999999999")).await.refused(404, "M_NOT_FOUND");
    let audit = admin.get("/_pli/admin/v1/audit").await.ok();
    assert_eq!(audit["entries"][0]["action"], "report.close");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_floods_the_admins_with_reports() {
    let server =
        TestServer::start_with(|config| config.server.test_deployment.no_limits = false).await;
    let alice = server.register("alice").await;
    let body = json!({ "reason": "x" });
    let path = "/_matrix/client/v3/users/@a:elsewhere/report";
    for _ in 0..10 {
        alice.post(path, body.clone()).await.ok();
    }
    alice.post(path, body.clone()).await.refused(429, "M_LIMIT_EXCEEDED");
    server.request(Method::POST, path, None, Some(&body)).await.refused(401, "M_MISSING_TOKEN");
}
