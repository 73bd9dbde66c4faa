//! Invitations by e-mail.

use super::*;

/// An invitation by e-mail: the key of the identity server stands in the room.
fn third_party_content(mxid: &str, seed: u8) -> Value {
    let key = SigningKey::from_seed(&[seed; 32], "0").unwrap();
    let mut signed = serde_json::from_value(json!({"mxid": mxid, "token": "token"})).unwrap();
    key.sign_json(<&ServerName>::try_from("id.example").unwrap(), &mut signed).unwrap();
    json!({"membership": "invite",
           "third_party_invite": {"display_name": "D", "signed": signed}})
}

fn allow_third_party(room: &mut Room) {
    let key = SigningKey::from_seed(&[1; 32], "0").unwrap().public_key().encode();
    let content = json!({"display_name": "D", "key_validity_url": "https://id.example/valid",
        "public_key": key, "public_keys": [{"public_key": key}]});
    room.put(BOB, "m.room.third_party_invite", Some("token"), content);
}

#[test]
fn third_party_invites() {
    run(&[
        (
            "signed",
            allow_third_party,
            |r| r.event(BOB, "m.room.member", Some(DAVE), third_party_content(DAVE, 1)),
            ALWAYS,
        ),
        (
            "signed by another key",
            allow_third_party,
            |r| r.event(BOB, "m.room.member", Some(DAVE), third_party_content(DAVE, 2)),
            NEVER,
        ),
        (
            "signed for another user",
            allow_third_party,
            |r| {
                let content = third_party_content("@frank:b.example", 1);
                r.event(BOB, "m.room.member", Some(DAVE), content)
            },
            NEVER,
        ),
        (
            "of the banned",
            allow_third_party,
            |r| r.event(BOB, "m.room.member", Some(EVE), third_party_content(EVE, 1)),
            NEVER,
        ),
        (
            "by another than the first sender",
            allow_third_party,
            |r| r.event(ALICE, "m.room.member", Some(DAVE), third_party_content(DAVE, 1)),
            NEVER,
        ),
        (
            "without the state event",
            NOTHING,
            |r| r.event(BOB, "m.room.member", Some(DAVE), third_party_content(DAVE, 1)),
            NEVER,
        ),
        (
            "without what is signed",
            allow_third_party,
            |r| {
                let content = json!({"membership": "invite", "third_party_invite": {}});
                r.event(BOB, "m.room.member", Some(DAVE), content)
            },
            NEVER,
        ),
        (
            "the state event below the invite level",
            |r| drop(r.put_levels(json!({"invite": 50}))),
            |r| r.event(CAROL, "m.room.third_party_invite", Some("token"), json!({})),
            NEVER,
        ),
        (
            "the state event at the invite level",
            |r| drop(r.put_levels(json!({"invite": 50, "state_default": 100}))),
            |r| r.event(BOB, "m.room.third_party_invite", Some("token"), json!({})),
            ALWAYS,
        ),
    ]);
}
