//! What redaction leaves, and what signatures are worth then.

use ruma::canonical_json::redact as ruma_redact;

use super::*;

/// What remains of a content in the versions from `since` on, before that `earlier`.
type Case = (&'static str, Value, u8, Value, Value);

fn cases() -> Vec<Case> {
    let member = json!({"membership": "join", "displayname": "A",
        "join_authorised_via_users_server": "@b:domain", "third_party_invite":
        {"display_name": "x", "signed": {"token": "t"}}});
    let levels = json!({"ban": 1, "events": {}, "events_default": 1, "kick": 1, "redact": 1,
        "state_default": 1, "users": {}, "users_default": 1});
    let mut more = levels.clone();
    more["invite"] = json!(1);
    let mut most = more.clone();
    most["notifications"] = json!({});
    let join_rules = json!({"join_rule": "restricted", "allow": [], "x": 1});
    let kept_rules = json!({"join_rule": "restricted", "allow": []});
    let create = json!({"creator": "@a:b", "room_version": "1"});
    let kept_member =
        json!({"membership": "join", "join_authorised_via_users_server": "@b:domain"});
    let signed_member = json!({"membership": "join", "join_authorised_via_users_server": "@b:domain",
        "third_party_invite": {"signed": {"token": "t"}}});
    vec![
        ("m.room.message", json!({"body": "x"}), 1, json!({}), json!({})),
        ("m.room.member", member.clone(), 11, signed_member, kept_member.clone()),
        ("m.room.create", create.clone(), 11, create, json!({"creator": "@a:b"})),
        ("m.room.power_levels", most, 11, more, levels),
        ("m.room.join_rules", join_rules, 8, kept_rules, json!({"join_rule": "restricted"})),
        (
            "m.room.history_visibility",
            json!({"history_visibility": "shared", "x": 1}),
            1,
            json!({"history_visibility": "shared"}),
            json!({}),
        ),
        (
            "m.room.aliases",
            json!({"aliases": ["#a:b"]}),
            6,
            json!({}),
            json!({"aliases": ["#a:b"]}),
        ),
        (
            "m.room.redaction",
            json!({"redacts": "$a:b", "reason": "x"}),
            11,
            json!({"redacts": "$a:b"}),
            json!({}),
        ),
    ]
}

#[test]
fn what_remains_of_each_type_in_each_version() {
    for version in &SUPPORTED {
        let number: u8 = version.as_str().parse().unwrap();
        for (event_type, content, since, later, earlier) in cases() {
            let mut new = new_event(version, event_type, &content);
            new.state_key = (event_type != "m.room.message").then(String::new);
            if event_type == "m.room.create" && number == 12 {
                new.room_id = None;
                new.auth_events.clear();
            }
            let pdu = build(new, version, &key(), domain()).unwrap();
            let redacted = redact(&pdu.json, version, None).unwrap();
            let found: Value = serde_json::from_str(&redacted).unwrap();
            let mut expected = if number >= since { later } else { earlier };
            if event_type == "m.room.member" && number < 9 {
                expected = json!({"membership": "join"});
            }
            assert_eq!(found["content"], expected, "version {version}: {event_type}");

            let object: CanonicalJsonObject = serde_json::from_str(&pdu.json).unwrap();
            let theirs = ruma_redact(object, &rules(version).unwrap().redaction, None).unwrap();
            assert_eq!(redacted, serde_json::to_string(&theirs).unwrap());

            // The identifier and the signature survive, the content hash only by chance.
            let id = Pdu::parse(own_ids(version).then(|| pdu.event_id.clone()), &redacted, version);
            assert_eq!(id.unwrap().event_id, pdu.event_id, "version {version}: {event_type}");
            assert!(verify(&redacted, version, &keys()).is_ok());
        }
    }
}

#[test]
fn keys_of_the_top_level() {
    let event = json!({
        "type": "m.room.message", "content": {"body": "x"}, "room_id": "!r:d", "sender": "@u:d",
        "origin": "d", "membership": "join", "prev_state": [], "redacts": "$x", "unsigned": {},
        "depth": 1, "prev_events": [], "auth_events": [], "origin_server_ts": 1, "hashes": {},
        "signatures": {}, "org.example": 1, "event_id": "$x", "state_key": "", "age_ts": 5,
    });
    for (version, old) in [(RoomVersionId::V10, true), (RoomVersionId::V11, false)] {
        let redacted: Value =
            serde_json::from_str(&redact(&event.to_string(), &version, None).unwrap()).unwrap();
        for kept in ["type", "room_id", "sender", "state_key", "event_id", "hashes", "depth"] {
            assert_eq!(redacted.get(kept), event.get(kept), "{kept}");
        }
        for gone in ["redacts", "unsigned", "org.example", "age_ts"] {
            assert_eq!(redacted.get(gone), None, "{gone}");
        }
        for changed in ["origin", "membership", "prev_state"] {
            assert_eq!(redacted.get(changed).is_some(), old, "{changed}");
        }
    }
}

#[test]
fn the_reason_stands_in_unsigned() {
    let pdu = built(&RoomVersionId::V12, "m.room.message", &json!({"body": "secret"}));
    let redacted = redact(&pdu.json, &RoomVersionId::V12, Some(r#"{"b": 1, "a": 2}"#)).unwrap();
    assert!(redacted.ends_with(r#","unsigned":{"redacted_because":{"a":2,"b":1}}}"#));
    assert!(!redacted.contains("secret"));
    assert_eq!(canonicalize(&redacted, Numbers::Strict).unwrap(), redacted);
    assert_eq!(Pdu::parse(None, &redacted, &RoomVersionId::V12).unwrap().event_id, pdu.event_id);
}

#[test]
fn a_changed_content_leaves_only_the_redacted_event() {
    for version in &SUPPORTED {
        let pdu = built(version, "m.room.message", &json!({"body": "x"}));
        let changed = pdu.json.replacen("\"body\":\"x\"", "\"body\":\"y\"", 1);
        assert_eq!(verify(&changed, version, &keys()), Ok(Verified::RedactedOnly), "{version}");
        let forged = pdu.json.replacen("@alice:domain", "@mallo:domain", 1);
        assert!(matches!(verify(&forged, version, &keys()), Err(VerifyError::Signature(_))));
        let unsigned = verify(&pdu.json, version, &PublicKeys::new());
        assert_eq!(unsigned, Err(VerifyError::MissingSignature("domain".to_owned())));
        assert!(matches!(verify("[]", version, &keys()), Err(VerifyError::Format(_))));
    }
}

#[test]
fn who_must_sign_a_restricted_join() {
    let content =
        json!({"membership": "join", "join_authorised_via_users_server": "@bob:other.example"});
    for version in &SUPPORTED {
        let number: u8 = version.as_str().parse().unwrap();
        let mut new = new_event(version, "m.room.member", &content);
        new.state_key = Some("@alice:domain".to_owned());
        let pdu = build(new, version, &key(), domain()).unwrap();
        let signers: Vec<String> =
            required_signers(&pdu.json, version).unwrap().iter().map(ToString::to_string).collect();
        let expected: &[&str] =
            if number >= 8 { &["domain", "other.example"] } else { &["domain"] };
        assert_eq!(signers, expected, "{version}");
        assert_eq!(verify(&pdu.json, version, &keys()).is_ok(), number < 8, "{version}");

        let other = <&ServerName>::try_from("other.example").unwrap();
        let second = SigningKey::from_seed(&[3; 32], "two").unwrap();
        let both = countersign(&pdu.json, version, &second, other).unwrap();
        let mut keys = keys();
        keys.insert(
            "other.example".to_owned(),
            [("ed25519:two".to_owned(), second.public_key())].into(),
        );
        assert_eq!(verify(&both, version, &keys), Ok(Verified::Whole), "{version}");
    }
}
