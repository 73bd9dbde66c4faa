//! The endpoints of rooms over HTTP: status codes, errcodes, bodies.

use serde_json::{Value, json};

use crate::{
    AppState,
    account_tests::{call, register, state},
};

const V3: &str = "/_matrix/client/v3";

/// A request of a user: method, path after `/_matrix/client/v3`, body; its status, errcode and answer.
async fn ask(state: &AppState, token: &str, line: &str, body: Value) -> (u16, String, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let path = path.replace('#', "%23").replace('!', "%21").replace('$', "%24");
    let (status, answer) = call(state, method, &format!("{V3}{path}"), token, body).await;
    (status, answer["errcode"].as_str().unwrap_or_default().to_owned(), answer)
}

async fn ok(state: &AppState, token: &str, line: &str, body: Value) -> Value {
    let (status, _, answer) = ask(state, token, line, body).await;
    assert_eq!(status, 200, "{line}: {answer}");
    answer
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_room_from_its_creation_to_its_upgrade() {
    let state = state();
    let (alice, _) = register(&state, "alice").await;
    let (bob, _) = register(&state, "bob").await;
    let wishes = json!({ "preset": "private_chat", "name": "Budget", "room_alias_name": "budget",
        "topic": "2027", "invite": ["@bob:pli.example"], "visibility": "public" });
    let room = text(&ok(&state, &alice, "POST /createRoom", wishes).await["room_id"]);
    let answer = ok(&state, &bob, "POST /join/#budget:pli.example", json!({})).await;
    assert_eq!(answer, json!({ "room_id": room }));
    let answer = ok(&state, &bob, "GET /joined_rooms", Value::Null).await;
    assert_eq!(answer, json!({ "joined_rooms": [room] }));

    let path = format!("PUT /rooms/{room}/send/m.room.message/t1");
    let hello = json!({ "msgtype": "m.text", "body": "Bonjour" });
    let first = ok(&state, &bob, &path, hello.clone()).await;
    assert_eq!(ok(&state, &bob, &path, hello.clone()).await, first);
    assert_ne!(ok(&state, &alice, &path, hello).await, first);
    let redact = format!("PUT /rooms/{room}/redact/{}/t1", text(&first["event_id"]));
    ok(&state, &alice, &redact, json!({ "reason": "off topic" })).await;
    let set = format!("PUT /rooms/{room}/state/m.room.name");
    let named = ok(&state, &alice, &set, json!({ "name": "Budget 2027" })).await;
    assert_eq!(ok(&state, &alice, &set, json!({ "name": "Budget 2027" })).await, named);

    let page = ok(&state, "", "GET /publicRooms", Value::Null).await;
    let entry = json!({ "room_id": room, "name": "Budget 2027", "topic": "2027",
        "canonical_alias": "#budget:pli.example", "num_joined_members": 2, "join_rule": "invite",
        "world_readable": false, "guest_can_join": true });
    assert_eq!(page, json!({ "chunk": [entry], "total_room_count_estimate": 1 }));

    let upgrade = format!("POST /rooms/{room}/upgrade");
    let new = ok(&state, &alice, &upgrade, json!({ "new_version": "12" })).await;
    let new = text(&new["replacement_room"]);
    let alias = ok(&state, "", "GET /directory/room/#budget:pli.example", Value::Null).await;
    assert_eq!(alias, json!({ "room_id": new, "servers": ["pli.example"] }));
    ok(&state, &bob, &format!("POST /rooms/{room}/leave"), json!({})).await;
    ok(&state, &bob, &format!("POST /rooms/{room}/forget"), json!({})).await;
}

#[tokio::test]
async fn refusals_have_the_errcodes_of_the_specification() {
    let state = state();
    let (alice, _) = register(&state, "alice").await;
    let (bob, _) = register(&state, "bob").await;
    let wishes = json!({ "room_alias_name": "taken" });
    let room = text(&ok(&state, &alice, "POST /createRoom", wishes).await["room_id"]);
    let message = json!({ "msgtype": "m.text", "body": "x" });
    let large = json!({ "body": "x".repeat(70_000) });
    let target = |user: &str| json!({ "user_id": format!("@{user}:pli.example") });
    let r = |rest: &str| rest.replace("ROOM", &format!("/rooms/{room}"));
    let cases: Vec<(&str, String, Value, u16, &str)> = vec![
        ("", r("POST /createRoom"), json!({}), 401, "M_MISSING_TOKEN"),
        (
            &alice,
            r("POST /createRoom"),
            json!({ "room_version": "99" }),
            400,
            "M_UNSUPPORTED_ROOM_VERSION",
        ),
        (
            &alice,
            r("POST /createRoom"),
            json!({ "room_alias_name": "taken" }),
            400,
            "M_ROOM_IN_USE",
        ),
        (
            &alice,
            r("POST /createRoom"),
            json!({ "room_alias_name": "a b" }),
            400,
            "M_INVALID_PARAM",
        ),
        (&alice, r("POST /createRoom"), json!({ "preset": "nonsense" }), 400, "M_INVALID_PARAM"),
        (&alice, r("POST /createRoom"), json!({ "name": 5 }), 400, "M_BAD_JSON"),
        (
            &alice,
            r("POST /createRoom"),
            json!({ "initial_state": [{ "type": "x" }] }),
            400,
            "M_BAD_JSON",
        ),
        (
            &alice,
            r("POST /createRoom"),
            json!({ "room_version": "11", "name": "x", "power_level_content_override":
                { "users": {}, "state_default": 50 } }),
            400,
            "M_INVALID_ROOM_STATE",
        ),
        (&bob, r("PUT ROOM/send/m.room.message/t"), message.clone(), 403, "M_FORBIDDEN"),
        (&bob, r("PUT /rooms/!none:x/send/m.room.message/t"), message, 403, "M_FORBIDDEN"),
        (&alice, r("PUT ROOM/send/m.room.message/t"), large, 413, "M_TOO_LARGE"),
        (&alice, r("PUT ROOM/send/m.room.message/t"), json!([]), 400, "M_BAD_JSON"),
        (&alice, r("PUT ROOM/send/m.room.message/t"), json!({ "a": 1.5 }), 400, "M_BAD_JSON"),
        (&bob, r("PUT ROOM/state/m.room.name"), json!({ "name": "x" }), 403, "M_FORBIDDEN"),
        (
            &alice,
            r("PUT ROOM/state/m.room.member/x"),
            json!({ "membership": "join" }),
            400,
            "M_INVALID_PARAM",
        ),
        (
            &alice,
            r("PUT ROOM/state/m.room.member/@alice:pli.example"),
            json!({}),
            400,
            "M_BAD_JSON",
        ),
        (
            &alice,
            r("PUT ROOM/state/m.room.canonical_alias"),
            json!({ "alias": "#none:pli.example" }),
            400,
            "M_BAD_ALIAS",
        ),
        (&alice, r("PUT ROOM/redact/$none/t"), json!({}), 404, "M_NOT_FOUND"),
        (&bob, r("POST ROOM/join"), json!({}), 403, "M_FORBIDDEN"),
        (&bob, r("POST /join/!none:pli.example"), json!({}), 404, "M_NOT_FOUND"),
        (&bob, r("POST /join/#none:pli.example"), json!({}), 404, "M_NOT_FOUND"),
        (&bob, r("POST /join/none"), json!({}), 400, "M_INVALID_PARAM"),
        (&bob, r("POST ROOM/leave"), json!({}), 403, "M_FORBIDDEN"),
        (&alice, r("POST ROOM/forget"), json!({}), 400, "M_INVALID_PARAM"),
        (&bob, r("POST ROOM/invite"), target("carol"), 403, "M_FORBIDDEN"),
        (&alice, r("POST ROOM/invite"), json!({ "user_id": "nonsense" }), 400, "M_BAD_JSON"),
        (&alice, r("POST ROOM/kick"), target("bob"), 403, "M_FORBIDDEN"),
        (&alice, r("POST ROOM/unban"), target("bob"), 403, "M_BAD_STATE"),
        (&bob, r("POST /knock/#taken:pli.example"), json!({}), 403, "M_FORBIDDEN"),
        (
            &alice,
            r("PUT /directory/room/#taken:pli.example"),
            json!({ "room_id": room }),
            409,
            "M_UNKNOWN",
        ),
        (
            &alice,
            r("PUT /directory/room/#x:other.example"),
            json!({ "room_id": room }),
            400,
            "M_INVALID_PARAM",
        ),
        (&alice, r("PUT /directory/room/x"), json!({ "room_id": room }), 400, "M_INVALID_PARAM"),
        (&bob, r("DELETE /directory/room/#taken:pli.example"), Value::Null, 403, "M_FORBIDDEN"),
        (&bob, r("DELETE /directory/room/#none:pli.example"), Value::Null, 404, "M_NOT_FOUND"),
        (&bob, r("GET ROOM/aliases"), Value::Null, 403, "M_FORBIDDEN"),
        (&bob, r("GET /directory/list/room/!none:x"), Value::Null, 404, "M_NOT_FOUND"),
        (
            &bob,
            r("PUT /directory/list/roomROOM"),
            json!({ "visibility": "public" }),
            404,
            "M_UNRECOGNIZED",
        ),
        (&bob, r("GET /publicRooms?since=x"), Value::Null, 400, "M_INVALID_PARAM"),
        (&bob, r("POST ROOM/upgrade"), json!({ "new_version": "12" }), 403, "M_FORBIDDEN"),
        (
            &alice,
            r("POST ROOM/upgrade"),
            json!({ "new_version": "x" }),
            400,
            "M_UNSUPPORTED_ROOM_VERSION",
        ),
    ];
    for (token, line, body, status, errcode) in cases {
        let (got, code, answer) = ask(&state, token, &line, body).await;
        assert_eq!((got, code.as_str()), (status, errcode), "{line}: {answer}");
    }
}
