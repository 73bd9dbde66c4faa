//! The limits just below and just above, and what is no event at all.

use proptest::prelude::*;

use super::*;

/// A message whose event has exactly `bytes` bytes.
fn of_size(version: &RoomVersionId, bytes: usize) -> Result<Pdu, FormatError> {
    let empty = built(version, "m.room.message", &json!({"body": ""}));
    let content = json!({"body": "x".repeat(bytes - empty.json.len())});
    build(new_event(version, "m.room.message", &content), version, &key(), domain())
}

#[test]
fn an_event_of_65536_bytes_is_the_largest() {
    for version in &SUPPORTED {
        let largest = of_size(version, MAX_EVENT_BYTES).unwrap();
        assert_eq!(largest.json.len(), 65_536, "{version}");
        assert!(Pdu::parse(None, &largest.json, version).is_ok(), "{version}");
        assert_eq!(verify(&largest.json, version, &keys()), Ok(Verified::Whole), "{version}");
        assert_eq!(
            of_size(version, MAX_EVENT_BYTES + 1).unwrap_err(),
            FormatError::EventTooLarge(65_537)
        );
        let longer = largest.json.replacen("xx", "xxx", 1);
        assert!(matches!(
            Pdu::parse(None, &longer, version),
            Err(FormatError::EventTooLarge(65_537))
        ));
    }
}

#[test]
fn spaces_do_not_count_unless_there_are_absurdly_many() {
    let version = &RoomVersionId::V12;
    let spaced = |spaces: usize| {
        let content = format!("{{{}\"body\":\"x\"}}", " ".repeat(spaces));
        let mut new = new_event(version, "m.room.message", &json!({}));
        new.content = RawValue::from_string(content).unwrap();
        build(new, version, &key(), domain())
    };
    assert_eq!(
        spaced(100_000).unwrap().json,
        built(version, "m.room.message", &json!({"body": "x"})).json
    );
    assert!(matches!(spaced(600_000), Err(FormatError::EventTooLarge(_))));
}

#[test]
fn types_state_keys_and_identifiers_have_255_bytes_at_most() {
    let version = &RoomVersionId::V12;
    let with = |change: &dyn Fn(&mut NewEvent)| {
        let mut new = new_event(version, "m.room.message", &json!({}));
        change(&mut new);
        build(new, version, &key(), domain()).map(|_| ())
    };
    // é has two bytes: what counts is bytes, not characters.
    let fits = format!("{}x", "é".repeat(127));
    let long = "é".repeat(128);
    assert_eq!(with(&|new| new.state_key = Some(fits.clone())), Ok(()));
    assert_eq!(
        with(&|new| new.state_key = Some(long.clone())),
        Err(FormatError::FieldTooLong("state_key"))
    );
    assert_eq!(with(&|new| new.event_type = fits.as_str().into()), Ok(()));
    assert_eq!(
        with(&|new| new.event_type = long.as_str().into()),
        Err(FormatError::FieldTooLong("type"))
    );
    let v1 = &RoomVersionId::V1;
    let id_of = |bytes: usize| {
        let mut new = new_event(v1, "m.room.message", &json!({}));
        new.event_id_localpart = Some("x".repeat(bytes - "$:domain".len()));
        build(new, v1, &key(), domain()).map(|_| ())
    };
    assert_eq!(id_of(255), Ok(()));
    assert!(id_of(256).is_err());
}

#[test]
fn at_most_20_previous_and_10_auth_events() {
    for version in &SUPPORTED {
        for (prev, auth, expected) in [
            (20, 10, Ok(())),
            (21, 10, Err(FormatError::TooManyEvents("prev_events"))),
            (20, 11, Err(FormatError::TooManyEvents("auth_events"))),
        ] {
            let mut new = new_event(version, "m.room.message", &json!({}));
            new.prev_events = vec![previous(version); prev];
            new.auth_events = vec![previous(version); auth];
            assert_eq!(build(new, version, &key(), domain()).map(|_| ()), expected, "{version}");
        }
    }
}

#[test]
fn the_depth_goes_to_2_63_and_since_version_6_to_2_53() {
    for version in &SUPPORTED {
        let strict = version.as_str().parse::<u8>().unwrap() >= 6;
        let max: u64 = if strict { (1 << 53) - 1 } else { (1 << 63) - 1 };
        let with = |depth: u64| {
            let mut new = new_event(version, "m.room.message", &json!({}));
            new.depth = depth;
            build(new, version, &key(), domain())
        };
        let deepest = with(max).unwrap();
        assert_eq!(Pdu::parse(None, &deepest.json, version).unwrap().depth, max, "{version}");
        assert_eq!(with(max + 1).unwrap_err(), FormatError::Depth, "{version}");
        assert_eq!(next_depth([3, max], version), Ok(max));
        assert_eq!(next_depth([3, 9, 4], version), Ok(10));
        assert_eq!(next_depth([], version), Ok(1));
        for depth in ["-1", "1.5", "\"1\"", "null", "18446744073709551616"] {
            let json = deepest.json.replacen(&format!("{max}"), depth, 1);
            assert!(Pdu::parse(None, &json, version).is_err(), "{version}: depth {depth}");
        }
    }
}

#[test]
fn content_must_be_an_object_of_canonical_json() {
    for version in &SUPPORTED {
        let with =
            |content: &Value| build(new_event(version, "m.x", content), version, &key(), domain());
        for bad in [json!([]), json!("x"), json!(null), json!(1)] {
            assert_eq!(with(&bad).unwrap_err(), FormatError::Content, "{version}: {bad}");
        }
        for bad in [json!({"x": 1.5}), json!({"x": [9_007_199_254_740_992_i64]})] {
            assert!(matches!(with(&bad), Err(FormatError::Json(_))), "{version}: {bad}");
        }
    }
}

#[test]
fn versions_1_and_2_need_their_parts() {
    for change in [(|new| new.event_id_localpart = None) as fn(&mut NewEvent), |new| {
        new.reference_hashes.clear()
    }] {
        let mut new = new_event(&RoomVersionId::V2, "m.x", &json!({}));
        change(&mut new);
        assert_eq!(
            build(new, &RoomVersionId::V2, &key(), domain()).unwrap_err(),
            FormatError::Version1Parts(RoomVersionId::V2)
        );
        let mut new = new_event(&RoomVersionId::V3, "m.x", &json!({}));
        change(&mut new);
        assert!(build(new, &RoomVersionId::V3, &key(), domain()).is_ok());
    }
}

#[test]
fn a_version_12_room_is_named_after_its_create_event() {
    let version = &RoomVersionId::V12;
    let mut new = new_event(version, "m.room.create", &json!({"room_version": "12"}));
    new.state_key = Some(String::new());
    new.auth_events.clear();
    assert_eq!(build(new.clone(), version, &key(), domain()).unwrap_err(), FormatError::RoomId);
    new.room_id = None;
    let create = build(new, version, &key(), domain()).unwrap();
    assert_eq!(create.room_id, None);
    assert_eq!(create.room().as_str(), create.event_id.as_str().replacen('$', "!", 1));

    let mut message = new_event(version, "m.room.message", &json!({}));
    message.room_id = Some(create.room().to_owned());
    assert!(build(message.clone(), version, &key(), domain()).is_ok());
    message.auth_events.push(create.event_id.clone());
    assert_eq!(
        build(message, version, &key(), domain()).unwrap_err(),
        FormatError::CreateInAuthEvents
    );
    let mut homeless = new_event(version, "m.room.message", &json!({}));
    homeless.room_id = None;
    assert_eq!(build(homeless, version, &key(), domain()).unwrap_err(), FormatError::RoomId);
}

/// JSON that resembles an event, with any property gone or strange.
fn strange_event() -> impl Strategy<Value = String> {
    let strange = prop_oneof![
        Just(json!(null)),
        Just(json!(-1)),
        Just(json!(1.5)),
        Just(json!([])),
        Just(json!([[]])),
        Just(json!([["$a:b", {}], 1])),
        Just(json!({})),
        Just(json!({"redacts": 5})),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
    ];
    let keys = vec![
        "auth_events",
        "content",
        "depth",
        "event_id",
        "hashes",
        "origin_server_ts",
        "prev_events",
        "redacts",
        "room_id",
        "sender",
        "signatures",
        "state_key",
        "type",
        "unsigned",
    ];
    prop::collection::vec((prop::sample::select(keys), prop::option::of(strange)), 0..4).prop_map(
        |changes| {
            let pdu = built(&RoomVersionId::V2, "m.room.redaction", &json!({"a": "\u{1F600}"}));
            let mut event: Value = serde_json::from_str(&pdu.json).unwrap();
            for (key, value) in changes {
                match value {
                    Some(value) => event[key] = value,
                    None => drop(event.as_object_mut().unwrap().remove(key)),
                }
            }
            event.to_string()
        },
    )
}

fn touch_everything(json: &str) {
    for version in &SUPPORTED {
        if let Ok(pdu) = Pdu::parse(None, json, version) {
            assert_eq!(Pdu::parse(None, &pdu.json, version).unwrap().event_id, pdu.event_id);
            let _ = pdu.room();
        }
        let _ = Pdu::parse(Some(previous(version)), json, version);
        let _ = redact(json, version, Some(json));
        let _ = reference_hash(json, version);
        let _ = verify(json, version, &keys());
        let _ = required_signers(json, version);
        let _ = countersign(json, version, &key(), domain());
        let id = previous(version);
        let _ = client_event(json, &id, None, version, &ClientUnsigned::default());
        let _ = stripped_state_event(json);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn malformed_events_never_panic(json in strange_event()) {
        touch_everything(&json);
    }

    #[test]
    fn cut_events_never_panic(at in 0..400_usize) {
        let pdu = built(&RoomVersionId::V11, "m.room.message", &json!({"body": "x"}));
        touch_everything(pdu.json.get(..at).unwrap_or(&pdu.json));
    }

    #[test]
    fn any_content_comes_back_as_it_went_in(body in any::<String>(), number in any::<i32>()) {
        for version in [RoomVersionId::V1, RoomVersionId::V4, RoomVersionId::V12] {
            let content = json!({"body": body, "n": number, body.clone(): {"deep": [body]}});
            let pdu = built(&version, "m.room.message", &content);
            prop_assert_eq!(serde_json::from_str::<Value>(pdu.content.get()).unwrap(), content);
            prop_assert_eq!(verify(&pdu.json, &version, &keys()), Ok(Verified::Whole));
        }
    }
}
