//! Events made, verified and read again, in every room version.

use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonObject, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomVersionId,
    ServerName, UserId, events::TimelineEventType,
    signatures::reference_hash as ruma_reference_hash, uint,
};
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::{
    canonical_json::{Numbers, canonicalize},
    keys::SigningKey,
    room_version::{SUPPORTED, rules},
};

const HASH: &str = "$YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW-3XA1";

fn key() -> SigningKey {
    SigningKey::from_line("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").unwrap()
}

fn domain() -> &'static ServerName {
    <&ServerName>::try_from("domain").unwrap()
}

fn keys() -> PublicKeys {
    [("domain".to_owned(), [("ed25519:1".to_owned(), key().public_key())].into())].into()
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn own_ids(version: &RoomVersionId) -> bool {
    crate::room_version::has_own_event_ids(&rules(version).unwrap())
}

/// A previous event's identifier in the format of the version.
fn previous(version: &RoomVersionId) -> OwnedEventId {
    let id = if own_ids(version) { "$previous:domain" } else { HASH };
    EventId::parse(id).unwrap()
}

fn new_event(version: &RoomVersionId, event_type: &str, content: &Value) -> NewEvent {
    let previous = previous(version);
    NewEvent {
        room_id: Some("!room:domain".try_into().unwrap()),
        depth: 7,
        prev_events: vec![previous.clone()],
        auth_events: vec![previous.clone()],
        event_id_localpart: Some("local".to_owned()),
        reference_hashes: BTreeMap::from([(previous, "hash".to_owned())]),
        ..NewEvent::new(
            UserId::parse("@alice:domain").unwrap(),
            TimelineEventType::from(event_type),
            raw(content),
            MilliSecondsSinceUnixEpoch(uint!(1_000_000)),
        )
    }
}

fn built(version: &RoomVersionId, event_type: &str, content: &Value) -> Pdu {
    build(new_event(version, event_type, content), version, &key(), domain()).unwrap()
}

#[test]
fn a_built_event_verifies_and_parses_back_in_every_version() {
    for version in &SUPPORTED {
        let pdu = built(version, "m.room.message", &json!({"body": "é\n", "z": 1, "a": [true]}));
        assert_eq!(verify(&pdu.json, version, &keys()), Ok(Verified::Whole), "{version}");
        assert_eq!(canonicalize(&pdu.json, Numbers::Strict).unwrap(), *pdu.json);
        let trusted = Pdu::parse(Some(pdu.event_id.clone()), &pdu.json, version).unwrap();
        let received = Pdu::parse(None, &pdu.json, version).unwrap();
        for again in [trusted, received] {
            assert_eq!(again.event_id, pdu.event_id, "{version}");
            assert_eq!(again.json, pdu.json);
            assert_eq!(again.prev_events, [previous(version)]);
            assert_eq!(again.auth_events, [previous(version)]);
            assert_eq!(again.content.get(), pdu.content.get());
            assert_eq!((again.depth, again.origin_server_ts), (7, pdu.origin_server_ts));
            assert_eq!(again.room().as_str(), "!room:domain");
        }
        let object: CanonicalJsonObject = serde_json::from_str(&pdu.json).unwrap();
        let theirs = ruma_reference_hash(&object, &rules(version).unwrap()).unwrap();
        assert_eq!(reference_hash(&pdu.json, version).unwrap(), theirs, "{version}");
        if own_ids(version) {
            assert_eq!(pdu.event_id, "$local:domain");
        } else {
            assert_eq!(pdu.event_id.as_str(), format!("${theirs}"));
        }
    }
}

#[test]
fn the_event_signing_vectors_of_the_appendix() {
    let minimal = json!({
        "room_id": "!x:domain", "sender": "@a:domain", "origin": "domain",
        "origin_server_ts": 1_000_000, "hashes": {
            "sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},
        "type": "X", "content": {}, "prev_events": [], "auth_events": [], "depth": 3,
        "signatures": {}, "unsigned": {"age_ts": 1_000_000},
    });
    let redactable = json!({
        "content": {"body": "Here is the message content"}, "event_id": "$0:domain",
        "origin": "domain", "origin_server_ts": 1_000_000, "type": "m.room.message",
        "room_id": "!r:domain", "sender": "@u:domain", "hashes": {
            "sha256": "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g"},
        "signatures": {}, "unsigned": {"age_ts": 1_000_000},
    });
    let cases = [
        (
            minimal,
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            redactable,
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ];
    for (event, signature) in cases {
        let json = event.to_string();
        assert_eq!(
            content_hash(&json, &RoomVersionId::V1).unwrap(),
            event["hashes"]["sha256"].as_str().unwrap()
        );
        let signed = countersign(&json, &RoomVersionId::V1, &key(), domain()).unwrap();
        let signed: Value = serde_json::from_str(&signed).unwrap();
        assert_eq!(signed["signatures"]["domain"]["ed25519:1"], signature);
        assert_eq!(signed["unsigned"], event["unsigned"]);
    }
}

mod client;
mod redacting;
mod sizes;
mod vectors;
