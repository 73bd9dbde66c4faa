//! Invitations of addresses whose owner turns out to be on another server.

use pli_federation::keys::SigningKey;
use pli_tests::server::TestUser;
use reqwest::Method;
use ruma::{CanonicalJsonObject, server_name};
use serde_json::{Value, json};

use crate::{
    joins::{state_of, two},
    joins_invites::membership,
};

/// What an identity server signs for the owner of an address.
fn proof(key: &SigningKey, owner: &TestUser, token: &str) -> Value {
    let proof = json!({ "mxid": owner.user_id, "token": token });
    let mut proof: CanonicalJsonObject = serde_json::from_value(proof).unwrap();
    key.sign_json(server_name!("id.example"), &mut proof).unwrap();
    serde_json::to_value(proof).unwrap()
}

async fn invite_address(user: &TestUser, room: &str, key: &SigningKey, token: &str) {
    let public = key.public_key().encode();
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.third_party_invite/{token}");
    let content = json!({
        "display_name": "b…@example.org",
        "key_validity_url": "https://id.example/valid",
        "public_key": public,
        "public_keys": [{ "public_key": public, "key_validity_url": "https://id.example/valid" }],
    });
    user.put(&path, content).await.ok();
}

fn bound(owner: &TestUser, sender: &TestUser, room: &str, signed: &Value) -> Value {
    json!({
        "medium": "email", "address": "bob@example.org", "mxid": owner.user_id,
        "invites": [{
            "medium": "email", "address": "bob@example.org", "mxid": owner.user_id,
            "room_id": room, "sender": sender.user_id, "signed": signed,
        }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_of_an_address_becomes_one_of_a_user_of_another_server() {
    let ((a, alice), (b, bob)) = two().await;
    let local = a.register("local").await;
    let key = SigningKey::from_seed(&[9; 32], "1").unwrap();
    let wrong = SigningKey::from_seed(&[8; 32], "1").unwrap();
    let onbind = "/_matrix/federation/v1/3pid/onbind";
    for version in ["6", "12"] {
        let body = json!({ "preset": "private_chat", "room_version": version });
        let room = alice.create_room(body).await;
        invite_address(&alice, &room, &key, "tok").await;
        // A proof by another key, and one of an invitation that is not there, do nothing.
        for signed in [proof(&wrong, &bob, "tok"), proof(&key, &bob, "other")] {
            let body = bound(&bob, &alice, &room, &signed);
            b.request(Method::PUT, onbind, None, Some(&body)).await.ok();
            assert!(bob.sync(None).await["rooms"]["invite"][&room].is_null());
        }
        let body = bound(&bob, &alice, &room, &proof(&key, &bob, "tok"));
        b.request(Method::PUT, onbind, None, Some(&body)).await.ok();
        assert_eq!(membership(&alice, &room, &bob).await, "invite", "{version}");
        bob.post(&format!("/_matrix/client/v3/rooms/{room}/join"), json!({})).await.ok();
        assert_eq!(state_of(&alice, &room).await, state_of(&bob, &room).await, "{version}");
        // The inviter's own server needs nobody.
        invite_address(&alice, &room, &key, "second").await;
        let body = bound(&local, &alice, &room, &proof(&key, &local, "second"));
        a.request(Method::PUT, onbind, None, Some(&body)).await.ok();
        assert_eq!(membership(&alice, &room, &local).await, "invite", "{version}");
    }
}
