//! The pages of an account, as a person uses them: registration and password by mail, sessions, closing;
//! single sign-on of old clients; stages of the user-interactive authentication.

use pli_tests::{
    browser::{Browser, encode, parameter},
    server::TestServer,
    smtp_sink::SmtpSink,
};
use reqwest::Method;
use serde_json::json;

use crate::oauth::{App, sign_in};

async fn with_mail(smtp: &SmtpSink) -> TestServer {
    TestServer::start_with(|config| {
        config.server.test_deployment.open_registration = false;
        config.passwords.rules.minimum_length = 8;
        config.mail.smtp = smtp.settings();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_registers_by_mail_and_forgets_the_password() {
    let smtp = SmtpSink::start().await.unwrap();
    let server = with_mail(&smtp).await;
    let admin = server.register_admin("root").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server.url);
    let page = browser.go(&app.authorization("PHONE", "&prompt=create")).await;
    assert!(page.path.starts_with("/_pli/account/register?next="), "{}", page.path);
    let address = [("email", "jane.doe@agents.example")];
    let refused = browser.submit(&page, 0, &address).await;
    assert_eq!(refused.status, 403, "the domain is not on the list");
    assert!(refused.has("jane.doe@agents.example") && refused.has("There is a problem"));
    let domain = json!({ "sub_domains": true, "kind": "agent", "organisation": "Agence" });
    admin.put("/_pli/admin/v1/domains/agents.example", domain).await.ok();

    let sent = browser.submit(&page, 0, &address).await;
    let mail = smtp.mail_to("jane.doe@agents.example", 0).await.unwrap();
    let code = mail.code().unwrap();
    for (code, password, repeat, problem) in [
        (code.as_str(), "long enough", "otherwise", "not the same"),
        (code.as_str(), "short", "short", "at least 8"),
        ("000000", "long enough", "long enough", "not right"),
    ] {
        let fields = [("code", code), ("password", password), ("repeat", repeat)];
        let shown = browser.submit(&sent, 0, &fields).await;
        assert!(shown.status == 400 && shown.has(problem), "{problem}: {}", shown.html);
    }
    let fields = [("code", code.as_str()), ("password", "long enough"), ("repeat", "long enough")];
    let consent = browser.submit(&sent, 0, &fields).await;
    let consent = browser.follow(consent).await;
    assert!(consent.has("@jane.doe-agents.example:pli.test"), "{}", consent.html);
    let place = browser.submit(&consent, 0, &[("answer", "yes")]).await.location.unwrap();
    let (status, _) = app.exchange(&parameter(&place, "code").unwrap()).await;
    assert_eq!(status, 200);
    let again = browser.submit(&sent, 0, &fields).await;
    assert_eq!(again.status, 403, "signing in has changed the cookie: old pages are no use");

    let mut browser = Browser::new(&server.url);
    browser.language = "fr";
    let page = browser.go("/_pli/account").await;
    assert!(page.has("<html lang=\"fr\">") && page.has("Se connecter"));
    let forgotten = page.link("Mot de passe oublié").unwrap();
    let page = browser.open(&forgotten).await;
    let sent = browser.submit(&page, 0, &address).await;
    let mail = smtp.mail_to("jane.doe@agents.example", 1).await.unwrap();
    let code = mail.code().unwrap();
    let fields = [("code", code.as_str()), ("password", "another one"), ("repeat", "another one")];
    let account = browser.submit(&sent, 0, &fields).await;
    let account = browser.follow(account).await;
    assert!(account.has("Votre compte") && account.has("Aucune session"), "{}", account.html);
    let login = |password: &str| {
        let body = json!({ "type": "m.login.password", "password": password,
            "identifier": { "type": "m.id.thirdparty", "medium": "email",
                            "address": "jane.doe@agents.example" } });
        let server = &server;
        async move {
            let path = "/_matrix/client/v3/login";
            server.request(Method::POST, path, None, Some(&body)).await.status
        }
    };
    assert_eq!(login("long enough").await, 403);
    assert_eq!(login("another one").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_password_and_closing() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice").await;
    let mut browser = Browser::new(&server.url);
    let ask = format!(
        "/_pli/account?action=org.matrix.device_delete&device_id={}",
        encode(&second.device_id)
    );
    let page = browser.go(&ask).await;
    let page = sign_in(&mut browser, &page, "alice").await;
    assert!(page.has("End this session?") && page.has(&second.device_id), "{}", page.html);
    let account = browser.submit(&page, 0, &[]).await;
    assert!(account.has("Session ended.") && !account.has(&second.device_id));
    second.get("/_matrix/client/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    alice.get("/_matrix/client/v3/account/whoami").await.ok();

    let list = browser.open("/_pli/account?action=org.matrix.sessions_list").await;
    assert!(list.has(&alice.device_id));
    let change = |old: &'static str| {
        [("old", old), ("password", "new password"), ("repeat", "new password"), ("others", "yes")]
    };
    // Forms of the page: sign out, one per session, password.
    let account = browser.open("/_pli/account").await;
    let wrong = browser.submit(&account, 2, &change("wrong")).await;
    assert!(wrong.status == 400 && wrong.has("current password is not right"), "{}", wrong.html);
    let changed = browser.submit(&account, 2, &change("password of alice")).await;
    assert!(changed.has("Password changed."), "{}", changed.html);
    alice.get("/_matrix/client/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");

    let page = browser.open("/_pli/account?action=org.matrix.account_deactivate").await;
    assert!(page.has("for ever"));
    let back = browser.submit(&page, 0, &[]).await;
    assert_eq!(back.status, 303, "it must be said twice");
    let closed = browser.submit(&page, 0, &[("sure", "yes")]).await;
    assert!(closed.has("Your account has been closed."), "{}", closed.html);
    let page = browser.go("/_pli/account").await;
    let fields = [("user", "alice"), ("password", "new password")];
    assert_eq!(browser.submit(&page, 0, &fields).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_closed_to_scripts_frames_and_caches() {
    let server = TestServer::start().await;
    let mut browser = Browser::new(&server.url);
    let page = browser.open("/_pli/account/sign-in").await;
    let header = |name: &str| page.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("referrer-policy"), "no-referrer");
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    for name in ["user", "password"] {
        assert!(page.has(&format!("<label for=\"{name}\">")), "{}", page.html);
    }
    assert!(page.has("autocomplete=\"current-password\"") && page.has("<html lang=\"en\">"));
    let other = page.link("Français").unwrap();
    let page = browser.go(&other).await;
    assert!(page.has("<html lang=\"fr\">") && page.path.starts_with("/_pli/account/sign-in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clients_sign_in_with_single_sign_on() {
    let server = TestServer::start().await;
    server.register("alice").await;
    let mut browser = Browser::new(&server.url);
    let base = "/_matrix/client/v3/login/sso/redirect";
    assert_eq!(browser.open(base).await.status, 400);
    assert_eq!(
        browser.open(&format!("{base}/nobody?redirectUrl=https://c.example/")).await.status,
        404
    );
    let evil = browser.go(&format!("{base}?redirectUrl={}", encode("javascript:alert(1)"))).await;
    assert_eq!(evil.status, 400);
    let target = "https://client.example/app?a=b&loginToken=old";
    let first = browser.open(&format!("{base}?redirectUrl={}", encode(target))).await;
    assert_eq!(first.status, 302);
    let page = browser.follow(first).await;
    let page = sign_in(&mut browser, &page, "alice").await;
    assert!(page.has("client.example") && page.has("@alice:pli.test"), "{}", page.html);
    let place = browser.submit(&page, 0, &[]).await.location.unwrap();
    assert!(place.starts_with("https://client.example/app?a=b&loginToken="), "{place}");
    let token = parameter(&place, "loginToken").unwrap();
    let body = json!({ "type": "m.login.token", "token": token, "device_id": "OLD" });
    let path = "/_matrix/client/v3/login";
    let session = server.request(Method::POST, path, None, Some(&body)).await.ok();
    assert_eq!(
        (&session["user_id"], &session["device_id"]),
        (&json!("@alice:pli.test"), &json!("OLD"))
    );
    server.request(Method::POST, path, None, Some(&body)).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_are_passed_on_a_page() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let second = server.login("alice").await;
    let path = format!("/_matrix/client/v3/devices/{}", second.device_id);
    let asked = alice.request(Method::DELETE, &path, Some(&json!({}))).await;
    assert_eq!(asked.status, 401);
    let session = asked.body["session"].as_str().unwrap();
    let page_of = |stage: &str| {
        format!("/_matrix/client/v3/auth/{stage}/fallback/web?session={}", encode(session))
    };
    let mut browser = Browser::new(&server.url);
    let page = browser.open(&page_of("m.login.password")).await;
    assert!(page.has("end a session") && page.has("@alice:pli.test"), "{}", page.html);
    assert_eq!(browser.submit(&page, 0, &[("password", "wrong")]).await.status, 403);
    let again = json!({ "auth": { "session": session } });
    assert_eq!(alice.request(Method::DELETE, &path, Some(&again)).await.status, 401);
    let done = browser.submit(&page, 0, &[("password", "password of alice")]).await;
    assert!(done.has("window.onAuthDone"), "{}", done.html);
    let policy = done.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'sha256-"), "{policy}");
    alice.request(Method::DELETE, &path, Some(&again)).await.ok();
    assert_eq!(browser.open(&page_of("m.login.password")).await.status, 404);
    let login = browser.open("/_matrix/static/client/login/?device_id=X").await;
    assert!(login.has("matrixLogin.onLogin") && login.has("value=\"X\""));
}
