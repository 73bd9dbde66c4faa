//! Identifiers and hashes of fixed events, computed once by another program (Python's `json`,
//! `hashlib` and `base64`).

use super::*;

fn join() -> String {
    json!({
        "type": "m.room.member", "state_key": "@alice:example.org",
        "sender": "@alice:example.org", "room_id": "!room:example.org", "origin": "example.org",
        "origin_server_ts": 1_700_000_000_000_u64, "depth": 20, "prev_events": ["$p"],
        "auth_events": ["$a"], "hashes": {"sha256": "AAAA"},
        "signatures": {"example.org": {"ed25519:1": "x"}}, "unsigned": {"age": 5},
        "content": {
            "membership": "join", "displayname": "Zoé \"Z\" 😀",
            "join_authorised_via_users_server": "@bob:example.org",
        },
    })
    .to_string()
}

#[test]
fn identifiers_of_a_join() {
    for (versions, expected) in [
        (&["3"][..], "$2kyilPxe/k8a2XHTcAHzfrlWizqc5unrK+p9NqBsdJ0"),
        (&["4", "5", "6", "7", "8"][..], "$2kyilPxe_k8a2XHTcAHzfrlWizqc5unrK-p9NqBsdJ0"),
        (&["9", "10"][..], "$0SunU0yaG5j6wxVIKsiUUWFZx-CG5LmhU2_H1yaqJjc"),
        (&["11", "12"][..], "$e4OLI4nHkLB46cwI709KKmzoYeOiGMPtdf_tyJ-2W-k"),
    ] {
        for version in versions {
            let version = RoomVersionId::try_from(*version).unwrap();
            let pdu = Pdu::parse(None, &join(), &version).unwrap();
            assert_eq!(pdu.event_id.as_str(), expected, "{version}");
            let hash = content_hash(&join(), &version).unwrap();
            assert_eq!(hash, "PIH7ktV/qZaBpZu/XefY3DbFVPm/GdRSpLULVnoul2M", "{version}");
        }
    }
}

#[test]
fn the_identifier_of_a_version_12_room() {
    let create = json!({
        "type": "m.room.create", "state_key": "", "sender": "@alice:example.org",
        "origin_server_ts": 1_700_000_000_000_u64, "depth": 1, "prev_events": [],
        "auth_events": [], "hashes": {"sha256": "AAAA"}, "signatures": {}, "unsigned": {},
        "content": {"room_version": "12", "additional_creators": ["@bob:example.org"]},
    });
    let pdu = Pdu::parse(None, &create.to_string(), &RoomVersionId::V12).unwrap();
    assert_eq!(pdu.event_id.as_str(), "$zi2gQdETAsYcFx1YbzFqcvFAfKYTK8rDDAbC7jZ_JFc");
    assert_eq!(pdu.room().as_str(), "!zi2gQdETAsYcFx1YbzFqcvFAfKYTK8rDDAbC7jZ_JFc");
}
