//! Canonical JSON and events: any bytes may come from another server.

use pli_federation::{
    canonical_json::{Numbers, canonicalize},
    event_format::{
        ClientUnsigned, Pdu, client_event, redact, reference_hash, stripped_state_event,
    },
    room_version::SUPPORTED,
};

/// Nothing panics; the canonical form is stable; an event that is accepted is the same event when it
/// is read again, and keeps its identifier when it is redacted.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for numbers in [Numbers::Strict, Numbers::Lenient] {
        if let Ok(canonical) = canonicalize(text, numbers) {
            assert_eq!(canonicalize(&canonical, numbers).as_deref(), Ok(canonical.as_str()));
            assert!(serde_json::from_str::<Box<serde_json::value::RawValue>>(&canonical).is_ok());
        }
    }
    for version in &SUPPORTED {
        let Ok(pdu) = Pdu::parse(None, text, version) else { continue };
        let again = Pdu::parse(None, &pdu.json, version).expect("accepted once");
        assert_eq!((&again.event_id, &again.json), (&pdu.event_id, &pdu.json));
        let trusted = Pdu::parse(Some(pdu.event_id.clone()), &pdu.json, version).expect("stored");
        assert_eq!(trusted.room(), pdu.room());

        let hash = reference_hash(&pdu.json, version);
        let redacted = redact(&pdu.json, version, None).expect("an event has a redacted form");
        assert_eq!(reference_hash(&redacted, version), hash);
        assert_eq!(redact(&redacted, version, None).as_ref(), Ok(&redacted));

        let unsigned = ClientUnsigned { age: Some(1), ..ClientUnsigned::default() };
        let seen = client_event(&pdu.json, &pdu.event_id, Some(pdu.room()), version, &unsigned)
            .expect("an event has a client format");
        assert!(serde_json::from_str::<serde_json::Value>(&seen).is_ok(), "{seen}");
        assert_eq!(stripped_state_event(&pdu.json).is_ok(), pdu.is_state());
    }
}
