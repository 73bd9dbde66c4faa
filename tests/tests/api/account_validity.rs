//! Addresses proven by mail, and accounts that end unless they are renewed by mail.

use pli_schema::account_settings::ValiditySettings;
use pli_tests::{
    server::{TestServer, TestUser},
    smtp_sink::SmtpSink,
};
use serde_json::{Value, json};

const EXPIRED: &str = "ORG_MATRIX_EXPIRED_ACCOUNT";
const THREEPID: &str = "/_matrix/client/v3/account/3pid";

async fn server(mails: &SmtpSink) -> TestServer {
    TestServer::start_with(|config| {
        config.mail.smtp = mails.settings();
        config.registration.validity = Some(ValiditySettings::default());
    })
    .await
}

/// Proves an address; the session for `3pid/add`.
async fn prove(user: &TestUser, mails: &SmtpSink, address: &str, secret: &str) -> Value {
    let ask = json!({ "client_secret": secret, "email": address, "send_attempt": 1 });
    let asked = user.post(&format!("{THREEPID}/email/requestToken"), ask).await.ok();
    let code = mails.mail_to(address, 0).await.unwrap().code().unwrap();
    let submit = json!({ "sid": asked["sid"], "client_secret": secret, "token": code });
    user.post("/_pli/email/validate", submit).await.ok();
    asked["sid"].clone()
}

fn add(user: &TestUser, sid: &Value, secret: &str) -> Value {
    let local = user.user_id[1..].split_once(':').unwrap().0;
    json!({ "sid": sid, "client_secret": secret, "auth": {
        "type": "m.login.password", "password": format!("password of {local}"),
        "identifier": { "type": "m.id.user", "user": local },
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_belongs_to_one_account() {
    let mails = SmtpSink::start().await.unwrap();
    let server = server(&mails).await;
    let alice = server.register("alice").await;
    let bob = server.register("bob").await;
    let address = "shared@agents.example";
    let sid_of_alice = prove(&alice, &mails, address, "secretofalice").await;
    let ask = json!({ "client_secret": "secretofbob", "email": address, "send_attempt": 1 });
    let asked = bob.post(&format!("{THREEPID}/email/requestToken"), ask).await.ok();
    let code = mails.mail_to(address, 1).await.unwrap().code().unwrap();
    let submit = json!({ "sid": asked["sid"], "client_secret": "secretofbob", "token": code });
    bob.post("/_pli/email/validate", submit).await.ok();
    let path = format!("{THREEPID}/add");
    let unproven = add(&alice, &json!("nothing"), "secretofalice");
    alice.post(&path, unproven).await.refused(400, "M_THREEPID_AUTH_FAILED");
    alice.post(&path, add(&alice, &sid_of_alice, "secretofalice")).await.ok();
    let of_bob = add(&bob, &asked["sid"], "secretofbob");
    bob.post(&path, of_bob).await.refused(400, "M_THREEPID_IN_USE");
    let list = alice.get(THREEPID).await.ok();
    assert_eq!(list["threepids"][0]["address"], address);
    assert_eq!(bob.get(THREEPID).await.ok(), json!({ "threepids": [] }));
    let delete = json!({ "medium": "email", "address": address });
    let gone = format!("{THREEPID}/delete");
    bob.post(&gone, delete.clone()).await.refused(400, "M_THREEPID_NOT_FOUND");
    alice.post(&gone, delete).await.ok();
    assert_eq!(alice.get(THREEPID).await.ok(), json!({ "threepids": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_has_ended_reads_then_stands_before_a_wall_and_is_renewed_by_mail() {
    const MODULE: &str = "/_synapse/client/email_account_validity";
    let mails = SmtpSink::start().await.unwrap();
    let server = server(&mails).await;
    let admin = server.register_admin("root").await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let address = "alice@agents.example";
    let sid = prove(&alice, &mails, address, "secretofalice").await;
    alice.post(&format!("{THREEPID}/add"), add(&alice, &sid, "secretofalice")).await.ok();
    let ends = |at: u64| {
        let body = json!({ "user_id": "@alice:pli.test", "expiration_ts": at });
        let admin = &admin;
        async move { admin.post(&format!("{MODULE}/admin"), body).await }
    };
    let now = server.state().accounts.now_ms();
    let own = json!({ "user_id": "@alice:pli.test" });
    alice.post(&format!("{MODULE}/admin"), own).await.refused(403, "M_FORBIDDEN");
    assert_eq!(ends(now - 1_000).await.ok()["expiration_ts"], now - 1_000);
    alice.sync(None).await;
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/t1");
    let message = json!({ "msgtype": "m.text", "body": "x" });
    alice.put(&send, message.clone()).await.refused(403, EXPIRED);
    ends(1_000).await.ok();
    alice.get("/_matrix/client/v3/sync?timeout=0").await.refused(403, EXPIRED);
    alice.get("/_matrix/client/v3/account/whoami").await.refused(403, EXPIRED);
    alice.post(&format!("{MODULE}/send_mail"), json!({})).await.ok();
    // The first mail proved the address.
    let mail = mails.mail_to(address, 1).await.unwrap();
    let unfolded = mail.message.replace("=\r\n", "").replace("=3D", "=");
    let link = unfolded.split("/_pli/email/validate?").nth(1).unwrap();
    let query: String =
        link.chars().take_while(|c| c.is_ascii_alphanumeric() || "=&-_".contains(*c)).collect();
    let page = format!("/_pli/email/validate?{query}");
    assert_eq!(server.get(&page).await.status, 200);
    alice.get("/_matrix/client/v3/account/whoami").await.refused(403, EXPIRED);
    let client = reqwest::Client::new();
    let url = format!("{}/_pli/email/validate", server.url);
    let clicked = client.post(url).body(query).send().await.unwrap();
    assert_eq!(clicked.status(), 200);
    alice.put(&send, message).await.ok();
    let audit = admin.get("/_pli/admin/v1/audit").await.ok();
    assert_eq!(audit["entries"][0]["action"], "account.renew");
    // Where accounts do not end, there is nothing to renew.
    let without = TestServer::start().await;
    let bob = without.register("bob").await;
    let reply = bob.post(&format!("{MODULE}/send_mail"), json!({})).await;
    reply.refused(404, "M_UNRECOGNIZED");
}
