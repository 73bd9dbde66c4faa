//! What clients see of events.

use super::*;

fn client(pdu: &Pdu, version: &RoomVersionId, unsigned: &ClientUnsigned<'_>) -> Value {
    let json = client_event(&pdu.json, &pdu.event_id, None, version, unsigned).unwrap();
    serde_json::from_str(&json).unwrap()
}

#[test]
fn clients_see_neither_hashes_nor_the_graph() {
    for version in &SUPPORTED {
        let content = json!({"body": "é \"quoted\"", "m.relates_to": {"n": 1}});
        let pdu = built(version, "m.room.message", &content);
        let seen = client(&pdu, version, &ClientUnsigned::default());
        let expected = json!({
            "type": "m.room.message", "content": content, "sender": "@alice:domain",
            "event_id": pdu.event_id, "origin_server_ts": 1_000_000,
        });
        assert_eq!(seen, expected, "{version}");
    }
}

#[test]
fn state_rooms_and_unsigned_where_asked_for() {
    let version = &RoomVersionId::V12;
    let mut new = new_event(version, "m.room.topic", &json!({"topic": "x"}));
    new.state_key = Some(String::new());
    new.unsigned = Some(raw(&json!({"age": 99, "org.example": true})));
    let pdu = build(new, version, &key(), domain()).unwrap();
    let before = raw(&json!({"topic": "w"}));
    let relations = raw(&json!({"m.thread": {}}));
    let because = raw(&json!({"type": "m.room.redaction"}));
    let unsigned = ClientUnsigned {
        age: Some(5),
        transaction_id: Some("t\"1"),
        prev_content: Some(&before),
        replaces_state: Some(&pdu.event_id),
        redacted_because: Some(&because),
        membership: Some("join"),
        relations: Some(&relations),
        ..ClientUnsigned::default()
    };
    let json =
        client_event(&pdu.json, &pdu.event_id, Some(pdu.room()), version, &unsigned).unwrap();
    let seen: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(seen["state_key"], "");
    assert_eq!(seen["room_id"], "!room:domain");
    assert_eq!(
        seen["unsigned"],
        json!({
            "age": 5, "transaction_id": "t\"1", "prev_content": {"topic": "w"},
            "replaces_state": pdu.event_id, "membership": "join", "m.relations": {"m.thread": {}},
            "redacted_because": {"type": "m.room.redaction"},
        })
    );
    assert_eq!(
        serde_json::from_str::<Value>(&stripped_state_event(&pdu.json).unwrap()).unwrap(),
        json!({"type": "m.room.topic", "content": {"topic": "x"}, "sender": "@alice:domain",
               "state_key": ""})
    );
}

#[test]
fn what_is_no_state_event_has_no_stripped_form() {
    let pdu = built(&RoomVersionId::V12, "m.room.message", &json!({}));
    assert!(matches!(stripped_state_event(&pdu.json), Err(FormatError::Property(_))));
}

#[test]
fn redacts_stands_in_both_places_in_every_version() {
    for version in &SUPPORTED {
        let new_place = version.as_str().parse::<u8>().unwrap() >= 11;
        let mut new = new_event(version, "m.room.redaction", &json!({"reason": "spam"}));
        new.redacts = Some(previous(version));
        let pdu = build(new, version, &key(), domain()).unwrap();
        let stored: Value = serde_json::from_str(&pdu.json).unwrap();
        assert_eq!(stored.get("redacts").is_some(), !new_place, "{version}");
        assert_eq!(stored["content"].get("redacts").is_some(), new_place, "{version}");
        assert_eq!(pdu.redacts, Some(previous(version)), "{version}");

        let seen = client(&pdu, version, &ClientUnsigned::default());
        assert_eq!(seen["redacts"], json!(previous(version)), "{version}");
        assert_eq!(
            seen["content"],
            json!({"reason": "spam", "redacts": previous(version)}),
            "{version}"
        );
        // A redacted redaction of an old version no longer says what it redacted.
        let redacted = redact(&pdu.json, version, None).unwrap();
        let seen =
            client_event(&redacted, &pdu.event_id, None, version, &ClientUnsigned::default());
        assert_eq!(seen.unwrap().contains("redacts"), new_place, "{version}");
    }
}

#[test]
fn in_old_versions_the_content_cannot_redact_something_else() {
    let version = &RoomVersionId::V10;
    let mut new = new_event(version, "m.room.redaction", &json!({"redacts": "$other"}));
    new.redacts = Some(previous(version));
    let pdu = build(new, version, &key(), domain()).unwrap();
    assert_eq!(pdu.redacts, Some(previous(version)));
    let seen = client(&pdu, version, &ClientUnsigned::default());
    assert_eq!(seen["content"]["redacts"], json!(previous(version)));
}
