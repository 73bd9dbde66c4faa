//! What the endpoints for joins refuse, asked directly by another server.

use pli_core::federation::{Bounds, RemoteError};
use pli_tests::server::{TestServer, TestUser};
use ruma::{
    OwnedServerName, RoomId, RoomVersionId, UserId,
    api::federation::membership::{
        create_invite, create_join_event::v2 as send_join, prepare_join_event::v1 as make_join,
    },
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    joins::{join_via, public_room, two},
    joins_invites::one,
};

fn name(server: &TestServer) -> OwnedServerName {
    OwnedServerName::try_from(server.server_name.as_str()).unwrap()
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn errcode<T>(answer: Result<T, RemoteError>) -> (u16, String) {
    match answer {
        Err(RemoteError::Status { status, errcode, .. }) => (status, errcode),
        Err(other) => panic!("{other}"),
        Ok(_) => (200, String::new()),
    }
}

/// Asks for a template as `from`.
async fn make(
    (from, to): (&TestServer, &TestServer),
    (room, user): (&str, &str),
    versions: &[RoomVersionId],
) -> Result<make_join::Response, RemoteError> {
    let mut request =
        make_join::Request::new(RoomId::parse(room).unwrap(), UserId::parse(user).unwrap());
    request.ver = versions.to_vec();
    from.state().signed.remote().request(&name(to), request, Bounds::SMALL).await
}

/// The join of a template, changed, signed and handed in as `from`.
async fn hand_in(
    (from, to): (&TestServer, &TestServer),
    room: &str,
    template: &RawValue,
    change: impl FnOnce(&mut Value),
) -> (u16, String) {
    use pli_federation::event_format::NewEvent;
    let mut event: Value = serde_json::from_str(template.get()).unwrap();
    change(&mut event);
    let sender = UserId::parse(event["sender"].as_str().unwrap()).unwrap();
    let kind = event["type"].as_str().unwrap().into();
    let now = from.state().rooms.clock().now();
    let mut new = NewEvent::new(sender, kind, raw(&event["content"]), now);
    new.room_id = Some(RoomId::parse(event["room_id"].as_str().unwrap()).unwrap());
    new.state_key = event["state_key"].as_str().map(str::to_owned);
    new.depth = event["depth"].as_u64().unwrap();
    new.prev_events = serde_json::from_value(event["prev_events"].clone()).unwrap();
    new.auth_events = serde_json::from_value(event["auth_events"].clone()).unwrap();
    let pdu = from.state().rooms.build(new, &RoomVersionId::V11).unwrap();
    let json = RawValue::from_string(pdu.json.to_string()).unwrap();
    let room = RoomId::parse(room).unwrap();
    let request = send_join::Request::new(room, pdu.event_id.clone(), json);
    errcode(from.state().signed.remote().request(&name(to), request, Bounds::EVENTS).await)
}

fn refused(status: u16, errcode: &str) -> (u16, String) {
    (status, errcode.to_owned())
}

/// What is done to an event before it is handed in.
type Alteration = Box<dyn FnOnce(&mut Value)>;

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_given_only_to_the_users_server_and_in_versions_it_speaks() {
    let ((a, alice), (b, bob)) = two().await;
    let room = public_room(&alice, "11").await;
    let all = [RoomVersionId::V10, RoomVersionId::V11];
    let answer = make((&b, &a), (&room, &bob.user_id), &all[..1]).await;
    let Err(RemoteError::Status { status, errcode: code, body }) = answer else { panic!() };
    assert_eq!((status, code.as_str()), (400, "M_INCOMPATIBLE_ROOM_VERSION"));
    assert_eq!(body["room_version"], "11");
    let other = make((&b, &a), (&room, &alice.user_id), &all).await;
    assert_eq!(errcode(other), refused(403, "M_FORBIDDEN"));
    let unknown = make((&b, &a), ("!nothing:a.example", &bob.user_id), &all).await;
    assert_eq!(errcode(unknown), refused(404, "M_NOT_FOUND"));
    let good = make((&b, &a), (&room, &bob.user_id), &all).await.unwrap();
    assert_eq!(good.room_version, Some(RoomVersionId::V11));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_join_of_the_own_user_into_this_room_is_taken() {
    let ((a, alice), (b, bob)) = two().await;
    let room = public_room(&alice, "11").await;
    let other = public_room(&alice, "11").await;
    let template = make((&b, &a), (&room, &bob.user_id), &[RoomVersionId::V11]).await.unwrap();
    let way = (&b, &a);
    let event = &*template.event;
    let carol = format!("@carol:{}", b.server_name);
    let wrong: Vec<(&str, Alteration)> = vec![
        ("kind", Box::new(|e| e["type"] = json!("m.room.name"))),
        ("membership", Box::new(|e| e["content"]["membership"] = json!("leave"))),
        ("key", Box::new(move |e| e["state_key"] = json!(carol))),
        (
            "room",
            Box::new({
                let other = other.clone();
                move |e| e["room_id"] = json!(other)
            }),
        ),
    ];
    for (what, change) in wrong {
        let (status, _) = hand_in(way, &room, event, change).await;
        assert!((400..500).contains(&status), "{what}: {status}");
    }
    let unknown = json!(["$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]);
    let hanging = hand_in(way, &room, event, |e| e["prev_events"] = unknown.clone()).await;
    assert_eq!(hanging, refused(403, "M_BAD_STATE"));
    // An event that somebody else must have signed.
    let alice_id = alice.user_id.clone();
    let forged = hand_in(way, &room, event, |e| {
        e["sender"] = json!(alice_id);
        e["state_key"] = json!(alice_id);
    });
    assert_eq!(forged.await.0, 400);
    let members = alice.get(&format!("/_matrix/client/v3/rooms/{room}/members")).await.ok();
    assert_eq!(members["chunk"].as_array().unwrap().len(), 1);
    assert_eq!(hand_in(way, &room, event, |_| {}).await.0, 200);
}

async fn ban(host: &TestUser, room: &str, guest: &TestUser) {
    let path = format!("/_matrix/client/v3/rooms/{room}/ban");
    host.post(&path, json!({ "user_id": guest.user_id })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_user_and_a_banned_server_do_not_come_in() {
    let ((a, alice), (b, bob)) = two().await;
    let (c, carol) = one().await;
    let room = public_room(&alice, "11").await;
    let template = make((&b, &a), (&room, &bob.user_id), &[RoomVersionId::V11]).await.unwrap();
    ban(&alice, &room, &bob).await;
    let path = format!("/_matrix/client/v3/join/{room}?via={}", a.server_name);
    bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
    // With a template from before the ban: the join hangs beside it.
    let late = hand_in((&b, &a), &room, &template.event, |_| {}).await;
    assert_eq!(late, refused(403, "M_FORBIDDEN"));
    let acl = format!("/_matrix/client/v3/rooms/{room}/state/m.room.server_acl");
    let host = c.server_name.split(':').next().unwrap();
    alice
        .put(&acl, json!({ "allow": ["*"], "deny": [host], "allow_ip_literals": true }))
        .await
        .ok();
    carol.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_an_invite_is_signed_as_one() {
    let ((a, alice), (b, bob)) = two().await;
    let room = public_room(&alice, "11").await;
    join_via(&bob, &room, &a).await;
    let content = json!({ "membership": "invite" });
    let build = |kind: &str, content: &Value, key: &str| {
        use pli_federation::event_format::NewEvent;
        let sender = UserId::parse(&alice.user_id).unwrap();
        let now = a.state().rooms.clock().now();
        let mut new = NewEvent::new(sender, kind.into(), raw(content), now);
        new.room_id = Some(RoomId::parse(&room).unwrap());
        new.state_key = Some(key.to_owned());
        a.state().rooms.build(new, &RoomVersionId::V11).unwrap()
    };
    let to = name(&b);
    let ask = async |pdu: &pli_federation::event_format::Pdu, version: &str| {
        let json = RawValue::from_string(pdu.json.to_string()).unwrap();
        let version = RoomVersionId::try_from(version).unwrap();
        let request = create_invite::v2::Request::new(
            RoomId::parse(&room).unwrap(),
            pdu.event_id.clone(),
            version,
            json,
            Vec::new(),
        );
        errcode(a.state().signed.remote().request(&to, request, Bounds::SMALL).await)
    };
    let invalid = refused(400, "M_INVALID_PARAM");
    let levels = build("m.room.power_levels", &json!({ "users": {} }), "");
    assert_eq!(ask(&levels, "11").await, invalid);
    let ban = build("m.room.member", &json!({ "membership": "ban" }), &bob.user_id);
    assert_eq!(ask(&ban, "11").await, invalid);
    let own = build("m.room.member", &content, &alice.user_id);
    assert_eq!(ask(&own, "11").await, invalid);
    let good = build("m.room.member", &content, &bob.user_id);
    assert_eq!(ask(&good, "org.example.99").await, refused(400, "M_INCOMPATIBLE_ROOM_VERSION"));
    assert_eq!(ask(&good, "11").await.0, 200);
}

/// The signed join of a template, and its id.
fn signed(from: &TestServer, template: &make_join::Response) -> (String, String) {
    use pli_federation::event_format::NewEvent;
    let event: Value = serde_json::from_str(template.event.get()).unwrap();
    let sender = UserId::parse(event["sender"].as_str().unwrap()).unwrap();
    let now = from.state().rooms.clock().now();
    let mut new = NewEvent::new(sender, "m.room.member".into(), raw(&event["content"]), now);
    new.room_id = Some(RoomId::parse(event["room_id"].as_str().unwrap()).unwrap());
    new.state_key = event["state_key"].as_str().map(str::to_owned);
    new.depth = event["depth"].as_u64().unwrap();
    new.prev_events = serde_json::from_value(event["prev_events"].clone()).unwrap();
    new.auth_events = serde_json::from_value(event["auth_events"].clone()).unwrap();
    let pdu = from.state().rooms.build(new, &RoomVersionId::V11).unwrap();
    (pdu.json.to_string(), pdu.event_id.to_string())
}

fn types(events: &[Box<RawValue>]) -> Vec<String> {
    let kind = |event: &RawValue| {
        let event: Value = serde_json::from_str(event.get()).unwrap();
        event["type"].as_str().unwrap().to_owned()
    };
    events.iter().map(|event| kind(event)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_left_out_for_a_server_that_asks_for_it() {
    let ((a, alice), (b, bob)) = two().await;
    let (c, carol) = one().await;
    let room = public_room(&alice, "11").await;
    join_via(&carol, &room, &a).await;
    let template = make((&b, &a), (&room, &bob.user_id), &[RoomVersionId::V11]).await.unwrap();
    let (json, id) = signed(&b, &template);
    let json = RawValue::from_string(json).unwrap();
    let room_id = RoomId::parse(&room).unwrap();
    let mut request = send_join::Request::new(room_id, id.as_str().try_into().unwrap(), json);
    request.omit_members = true;
    let remote = b.state().signed.remote().clone();
    let answer = remote.request(&name(&a), request, Bounds::EVENTS).await.unwrap().room_state;
    assert!(answer.members_omitted);
    assert!(!types(&answer.state).iter().any(|kind| kind == "m.room.member"));
    assert!(types(&answer.auth_chain).iter().any(|kind| kind == "m.room.member"));
    let mut servers = answer.servers_in_room.unwrap();
    servers.sort();
    let mut expected = vec![a.server_name.clone(), c.server_name.clone()];
    expected.sort();
    assert_eq!(servers, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_versions_of_the_endpoints_answer_in_a_list() {
    let ((a, alice), (b, bob)) = two().await;
    let room = public_room(&alice, "11").await;
    let template = make((&b, &a), (&room, &bob.user_id), &[RoomVersionId::V11]).await.unwrap();
    let (json, id) = signed(&b, &template);
    let remote = b.state().signed.remote().clone();
    let path = ["send_join", room.as_str(), id.as_str()];
    let answer = remote.put_v1(&name(&a), path, &json, Bounds::EVENTS).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer[0], 200);
    let state = answer[1]["state"].as_array().unwrap();
    assert!(state.iter().any(|event| event["type"] == "m.room.create"));
    assert!(
        state.iter().all(|event| event["state_key"] != bob.user_id.as_str()),
        "before the join"
    );
    assert!(!answer[1]["auth_chain"].as_array().unwrap().is_empty());
    // The same event once more, as a server does that did not get the answer.
    let again = remote.put_v1(&name(&a), path, &json, Bounds::EVENTS).await.unwrap();
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!(again[1]["state"], answer[1]["state"]);
}
