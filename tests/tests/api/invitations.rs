//! Invitations by e-mail, from the mail to the room.

use std::time::Duration;

use pli_tests::{
    server::{TestServer, TestUser},
    smtp_sink::SmtpSink,
};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

/// A server that sends its mails to a sink.
async fn server_with_mail(sink: &SmtpSink) -> TestServer {
    TestServer::start_with(|config| config.mail.smtp = sink.settings()).await
}

fn by_mail(address: &str) -> Value {
    json!({ "medium": "email", "address": address, "id_server": "pli.test", "id_access_token": "x" })
}

/// Adds an address to an account with the code from the mail.
async fn add_address(
    server: &TestServer,
    sink: &SmtpSink,
    user: &TestUser,
    address: &str,
    mails: usize,
) {
    let secret = "a-client-secret-of-the-test";
    let path = format!("{V3}/account/3pid/email/requestToken");
    let ask = json!({ "client_secret": secret, "email": address, "send_attempt": 1 });
    let asked = user.post(&path, ask).await.ok();
    let sid = asked["sid"].as_str().unwrap();
    let mail = sink.mail_to(address, mails).await.unwrap();
    let submit = asked["submit_url"].as_str().unwrap();
    let submit = submit.find("/_").map(|at| &submit[at..]).unwrap();
    let proof = json!({ "sid": sid, "client_secret": secret, "token": mail.code().unwrap() });
    server.request("POST".parse().unwrap(), submit, None, Some(&proof)).await.ok();
    let mut add = json!({ "sid": sid, "client_secret": secret });
    let path = format!("{V3}/account/3pid/add");
    let asked = user.post(&path, add.clone()).await;
    add["auth"] = json!({
        "type": "m.login.password", "password": format!("password of {}", local(user)),
        "identifier": { "type": "m.id.user", "user": user.user_id },
        "session": asked.body["session"],
    });
    user.post(&path, add).await.ok();
}

fn local(user: &TestUser) -> &str {
    user.user_id.trim_start_matches('@').split(':').next().unwrap()
}

async fn invited_into(user: &TestUser, room: &str) -> Value {
    let wait = async {
        let mut since: Option<String> = None;
        loop {
            let path = match &since {
                Some(since) => format!("{V3}/sync?timeout=1000&since={since}"),
                None => format!("{V3}/sync?timeout=0"),
            };
            let answer = user.get(&path).await.ok();
            if let Some(invited) = answer["rooms"]["invite"].get(room) {
                return invited.clone();
            }
            since = answer["next_batch"].as_str().map(str::to_owned);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_invites_whoever_adds_the_address() {
    let sink = SmtpSink::start().await.unwrap();
    let server = server_with_mail(&sink).await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let address = "bob@agents.example";
    let room =
        alice.create_room(json!({ "name": "Budget", "invite_3pid": [by_mail(address)] })).await;
    let mail = sink.mail_to(address, 0).await.unwrap().text();
    assert!(mail.contains("Budget") && mail.contains("alice"), "{mail}");
    let state = alice.get(&format!("{V3}/rooms/{room}/state")).await.ok();
    let waiting = state.as_array().unwrap().iter();
    let waiting = waiting.clone().find(|e| e["type"] == "m.room.third_party_invite").unwrap();
    assert!(!waiting.to_string().contains(address));
    let key = waiting["content"]["public_key"].as_str().unwrap();
    let encoded = key.replace('+', "%2B").replace('/', "%2F");
    for version in ["v2", "api/v1"] {
        let path = format!("/_matrix/identity/{version}/pubkey");
        let valid = server.get(&format!("{path}/isvalid?public_key={encoded}")).await.ok();
        assert_eq!(valid, json!({ "valid": true }));
        let other = server.get(&format!("{path}/isvalid?public_key=AAAA")).await.ok();
        assert_eq!(other, json!({ "valid": false }));
        let one = server.get(&format!("{path}/ephemeral/isvalid?public_key={encoded}")).await.ok();
        assert_eq!(one, json!({ "valid": false }));
        server.get(&format!("{path}/ed25519:nothing")).await.refused(404, "M_NOT_FOUND");
    }
    add_address(&server, &sink, &bob, address, 1).await;
    invited_into(&bob, &room).await;
    let path = format!("{V3}/rooms/{room}/state/m.room.member/{}", bob.user_id);
    let member = alice.get(&path).await.ok();
    assert_eq!(member["third_party_invite"]["signed"]["mxid"], json!(bob.user_id));
    assert_eq!(member["third_party_invite"]["signed"]["token"], waiting["state_key"]);
    bob.post(&format!("{V3}/rooms/{room}/join"), json!({})).await.ok();
    // Now the address is known: an invitation is one of the user.
    let second = alice.create_room(json!({})).await;
    alice.post(&format!("{V3}/rooms/{second}/invite"), by_mail("Bob@agents.example")).await.ok();
    invited_into(&bob, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_invited_is_refused_before_anything_is_done() {
    let server =
        TestServer::start_with(|config| config.server.test_deployment.open_registration = false)
            .await;
    let alice = server.register_admin("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("{V3}/rooms/{room}/invite");
    let phone = json!({ "medium": "msisdn", "address": "33600000000" });
    alice.post(&path, phone).await.refused(400, "M_INVALID_PARAM");
    alice.post(&path, by_mail("a@b@c")).await.refused(400, "M_INVALID_PARAM");
    alice.post(&path, json!({ "medium": "email" })).await.refused(400, "M_BAD_JSON");
    // Nobody has allowed a domain yet.
    alice.post(&path, by_mail("bob@agents.example")).await.refused(403, "M_THREEPID_DENIED");
    let create = json!({ "invite_3pid": [by_mail("bob@agents.example")] });
    alice.post(&format!("{V3}/createRoom"), create).await.refused(403, "M_THREEPID_DENIED");
    assert_eq!(alice.get(&format!("{V3}/joined_rooms")).await.ok()["joined_rooms"], json!([room]));
}
