//! Addresses that are proven: a forgotten password, and phone numbers, which this server does not use.

use pli_tests::{server::TestServer, smtp_sink::SmtpSink};
use reqwest::Method;
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

#[tokio::test(flavor = "multi_thread")]
async fn phone_numbers_are_refused_wherever_they_are_asked_for() {
    let server = TestServer::start().await;
    let body = json!({
        "client_secret": "secret", "country": "FR", "phone_number": "0612345678", "send_attempt": 1,
    });
    for place in ["register", "account/password", "account/3pid"] {
        let path = format!("{V3}/{place}/msisdn/requestToken");
        let reply = server.request(Method::POST, &path, None, Some(&body)).await;
        let refused = reply.refused(403, "M_THREEPID_DENIED");
        assert!(refused["error"].as_str().unwrap().contains("phone numbers"), "{refused}");
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove("phone_number");
        let reply = server.request(Method::POST, &path, None, Some(&without)).await;
        assert_eq!(reply.status, 400, "{place}: {}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_anew_with_a_mail_and_ends_the_sessions() {
    const ADDRESS: &str = "alice@agents.example";
    let mails = SmtpSink::start().await.unwrap();
    let server = TestServer::start_with(|config| config.mail.smtp = mails.settings()).await;
    let post = async |path: &str, body: Value| {
        server.request(Method::POST, &format!("{V3}/{path}"), None, Some(&body)).await
    };
    let prove = async |place: &str, address: &str, secret: &str, nth: usize| {
        let ask = json!({ "client_secret": secret, "email": address, "send_attempt": 1 });
        let asked = post(&format!("{place}/email/requestToken"), ask).await.ok();
        assert!(asked["submit_url"].as_str().unwrap().starts_with("http"), "{asked}");
        let code = mails.mail_to(address, nth).await.unwrap().code().unwrap();
        (asked["sid"].clone(), code)
    };
    let submit = async |sid: &Value, secret: &str, code: &str| {
        let body = json!({ "sid": sid, "client_secret": secret, "token": code });
        server.request(Method::POST, "/_pli/email/validate", None, Some(&body)).await
    };
    let alice = server.register("alice").await;
    let (sid, code) = prove("account/3pid", ADDRESS, "adding", 0).await;
    submit(&sid, "adding", &code).await.ok();
    let add = json!({ "sid": sid, "client_secret": "adding", "auth": {
        "type": "m.login.password", "password": "password of alice",
        "identifier": { "type": "m.id.user", "user": "alice" },
    }});
    alice.post(&format!("{V3}/account/3pid/add"), add).await.ok();

    let (sid, code) = prove("account/password", ADDRESS, "reset", 1).await;
    let change = |sid: &Value, secret: &str| {
        json!({ "new_password": "another password", "auth": {
            "type": "m.login.email.identity",
            "threepid_creds": { "sid": sid, "client_secret": secret },
        }})
    };
    let early = post("account/password", change(&sid, "reset")).await;
    assert_eq!(early.status, 401, "the address is not proven yet: {}", early.body);
    assert_eq!(submit(&sid, "reset", "000000").await.status, 400);
    submit(&sid, "reset", &code).await.ok();
    let stranger = post("account/password", change(&sid, "anothersecret")).await;
    assert_eq!(stranger.status, 401, "{}", stranger.body);
    assert_eq!(post("account/password", change(&sid, "reset")).await.ok(), json!({}));
    alice.get(&format!("{V3}/account/whoami")).await.refused(401, "M_UNKNOWN_TOKEN");
    let login = async |password: &str| {
        let identifier = json!({ "type": "m.id.user", "user": "alice" });
        let body = json!({
            "type": "m.login.password", "identifier": identifier, "password": password,
        });
        post("login", body).await
    };
    login("password of alice").await.refused(403, "M_FORBIDDEN");
    assert_eq!(login("another password").await.ok()["user_id"], alice.user_id.as_str());
    let again = post("account/password", change(&sid, "reset")).await;
    assert_eq!(again.status, 401, "a proof is good once: {}", again.body);

    // An address without an account gets the same answer; that it has none stands in the mail only.
    let ask =
        json!({ "client_secret": "none", "email": "nobody@agents.example", "send_attempt": 1 });
    let asked = post("account/password/email/requestToken", ask).await.ok();
    assert!(asked["sid"].is_string() && asked["submit_url"].is_string(), "{asked}");
    let mail = mails.mail_to("nobody@agents.example", 0).await.unwrap();
    assert_eq!(mail.code(), None, "{}", mail.text());
    let bad = json!({ "client_secret": "none", "email": "nobody", "send_attempt": 1 });
    let refused = post("account/password/email/requestToken", bad).await;
    refused.refused(400, "M_INVALID_PARAM");
}
