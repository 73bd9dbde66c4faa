//! Signing in at an OpenID Connect provider.

use pli_schema::{account_settings::OauthProvider, config::Config};
use pli_tests::{
    browser::{Browser, Shown, encode, parameter},
    fake_provider::FakeProvider,
    server::TestServer,
};
use reqwest::Method;
use serde_json::{Value, json};

async fn with_provider(provider: &FakeProvider, change: impl FnOnce(&mut Config)) -> TestServer {
    let issuer = provider.issuer.clone();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "s3cret\n").unwrap();
    TestServer::start_with(|config| {
        config.server.test_deployment.open_registration = false;
        config.oauth.providers = vec![OauthProvider {
            id: "fake".to_owned(),
            issuer,
            client_id: "pli".to_owned(),
            client_secret_file: Some(file.display().to_string()),
            scopes: ["openid", "email"].map(str::to_owned).to_vec(),
            label_fr: "Avec Faux".to_owned(),
            label_en: "With Fake".to_owned(),
            email_is_verified: false,
            allow_private_addresses: true,
        }];
        change(config);
    })
    .await
}

/// Goes to the provider and comes back with its answer.
async fn arrive(browser: &mut Browser, next: &str) -> Shown {
    let start = format!("/_pli/upstream/start/fake?next={}", encode(next));
    let away = browser.open(&start).await.location.unwrap();
    assert!(away.contains("/authorize?") && away.contains("code_challenge_method=S256"), "{away}");
    let [state, nonce] = ["state", "nonce"].map(|name| parameter(&away, name).unwrap());
    browser.go(&format!("/_pli/upstream/callback?state={state}&code={nonce}")).await
}

fn jane(provider: &FakeProvider, verified: Value) {
    provider.says(|says| {
        says.userinfo = json!({
            "sub": "42", "email": "Jane.Doe@agents.example", "email_verified": verified,
        });
    });
}

async fn allow(server: &TestServer) {
    let admin = server.register_admin("root").await;
    let domain = json!({ "sub_domains": true, "kind": "agent", "organisation": "Agence" });
    admin.put("/_pli/admin/v1/domains/agents.example", domain).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_comes_from_a_provider() {
    let provider = FakeProvider::start().await.unwrap();
    let server = with_provider(&provider, |_| {}).await;
    let flows = server.get("/_matrix/client/v3/login").await.ok();
    assert!(flows.to_string().contains(r#"{"id":"fake","name":"Avec Faux"}"#), "{flows}");
    jane(&provider, json!(true));
    let mut browser = Browser::new(&server.url);
    let refused = arrive(&mut browser, "/_pli/account").await;
    assert_eq!(refused.status, 403, "the domain is not on the list");
    allow(&server).await;

    // Through single sign-on, to a new account.
    let target = encode("https://client.example/");
    let sso = format!("/_matrix/client/v3/login/sso/redirect/fake?redirectUrl={target}");
    let to_page = browser.open(&sso).await.location.unwrap();
    let to_start = browser.open(&to_page).await.location.unwrap();
    let next = parameter(&to_start, "next").unwrap();
    let welcome = arrive(&mut browser, &next).await;
    assert!(welcome.has("Jane Doe [Agence]") && welcome.has("@jane.doe-agents.example:pli.test"));
    let agree = browser.submit(&welcome, 0, &[]).await;
    let agree = browser.follow(agree).await;
    assert!(agree.has("client.example"), "{}", agree.html);
    let place = browser.submit(&agree, 0, &[]).await.location.unwrap();
    let token = parameter(&place, "loginToken").unwrap();
    let body = json!({ "type": "m.login.token", "token": token });
    let path = "/_matrix/client/v3/login";
    let session = server.request(Method::POST, path, None, Some(&body)).await.ok();
    let access = session["access_token"].as_str().unwrap();

    // The next time the address does not matter: the person is known by the subject.
    provider.says(|says| says.userinfo = json!({ "sub": "42" }));
    let mut other = Browser::new(&server.url);
    let account = arrive(&mut other, "/_pli/account").await;
    assert!(account.has("@jane.doe-agents.example:pli.test"), "{}", account.html);
    assert!(!account.has("Current password"), "there is none");

    // Without a password, what must be confirmed is confirmed by signing in again.
    let get_token = "/_matrix/client/v1/login/get_token";
    let asked = server.request(Method::POST, get_token, Some(access), Some(&json!({}))).await;
    assert_eq!(asked.body["flows"], json!([{ "stages": ["m.login.sso"] }]), "{}", asked.body);
    let uia = asked.body["session"].as_str().unwrap();
    let page =
        other.go(&format!("/_matrix/client/v3/auth/m.login.sso/fallback/web?session={uia}")).await;
    assert!(page.has("sign in another device"), "{}", page.html);
    assert!(other.submit(&page, 0, &[]).await.has("onAuthDone"));
    let auth = json!({ "auth": { "session": uia } });
    let given = server.request(Method::POST, get_token, Some(access), Some(&auth)).await.ok();
    assert!(given["login_token"].is_string());

    // Signing out leads to the provider.
    let bye = other.submit(&account, 0, &[]).await;
    let end = bye.link("identity provider").unwrap();
    assert!(end.starts_with(&format!("{}/end?id_token_hint=", provider.issuer)), "{end}");
    assert_eq!(other.open("/_pli/account").await.status, 303);
    let seen = provider.seen();
    assert!(
        seen.iter().any(|line| line.starts_with("POST /token") && line.contains("code_verifier="))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn single_sign_on_leads_to_a_page_and_keeps_where_to_go_back_to() {
    const PATH: &str = "/_matrix/client/v3/login/sso/redirect";
    let provider = FakeProvider::start().await.unwrap();
    let server = with_provider(&provider, |_| {}).await;
    let back = "https://client.example/?a=1&b=é#x";
    let asked = format!("?redirectUrl={}", encode(back));
    for (path, named) in [(PATH.to_owned(), None), (format!("{PATH}/fake"), Some("fake"))] {
        let reply = server.get_redirect(&format!("{path}{asked}")).await;
        assert_eq!(reply.status, 302, "{path}");
        let place = reply.headers["location"].to_str().unwrap();
        assert!(place.starts_with('/') && !place.starts_with("//"), "{place}");
        assert_eq!(parameter(place, "redirectUrl").as_deref(), Some(back), "{place}");
        assert_eq!(parameter(place, "provider").as_deref(), named, "{place}");
        // Without an address to go back to there is nothing to do.
        server.get_redirect(&path).await.refused(400, "M_MISSING_PARAM");
    }
    let unknown = server.get_redirect(&format!("{PATH}/other{asked}")).await;
    assert_eq!(unknown.status, 404);
    let off = with_provider(&provider, |config| config.oauth.enabled = false).await;
    off.get_redirect(&format!("{PATH}{asked}")).await.refused(404, "M_UNRECOGNIZED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_matched_by_a_verified_address_only() {
    let provider = FakeProvider::start().await.unwrap();
    let server = with_provider(&provider, |_| {}).await;
    allow(&server).await;
    for verified in [json!(false), Value::Null, json!("false"), json!(1)] {
        jane(&provider, verified.clone());
        let refused = arrive(&mut Browser::new(&server.url), "/_pli/account").await;
        assert!(refused.status == 403 && refused.has("has not verified"), "{verified}");
    }
    jane(&provider, json!(true));
    provider.says(|says| (says.signed_userinfo, says.rsa) = (true, false));
    let mut browser = Browser::new(&server.url);
    let welcome = arrive(&mut browser, "/_pli/account").await;
    browser.submit(&welcome, 0, &[]).await;
    // Another subject with the same verified address is the same person.
    provider.says(|says| {
        says.userinfo["sub"] = json!("43");
        says.id_token = json!({ "sub": "43" });
    });
    let account = arrive(&mut Browser::new(&server.url), "/_pli/account").await;
    assert!(account.has("@jane.doe-agents.example:pli.test"), "{}", account.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_registration_is_closed_on_this_way_too() {
    let provider = FakeProvider::start().await.unwrap();
    let server = with_provider(&provider, |config| config.registration.enabled = false).await;
    allow(&server).await;
    jane(&provider, json!(true));
    let refused = arrive(&mut Browser::new(&server.url), "/_pli/account").await;
    assert!(refused.status == 403 && refused.has("Registration is closed"), "{}", refused.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_account_stays_closed() {
    let provider = FakeProvider::start().await.unwrap();
    let server = with_provider(&provider, |_| {}).await;
    allow(&server).await;
    jane(&provider, json!(true));
    let mut browser = Browser::new(&server.url);
    let welcome = arrive(&mut browser, "/_pli/account").await;
    browser.submit(&welcome, 0, &[]).await;
    let page = browser.go("/_pli/account?action=org.matrix.account_deactivate").await;
    let closed = browser.submit(&page, 0, &[("sure", "yes")]).await;
    assert!(closed.has("has been closed"), "{}", closed.html);
    let refused = arrive(&mut Browser::new(&server.url), "/_pli/account").await;
    assert!(refused.status == 403 && refused.has("has been closed"), "{}", refused.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_do_not_hold_are_refused() {
    let provider = FakeProvider::start().await.unwrap();
    let server = with_provider(&provider, |_| {}).await;
    allow(&server).await;
    jane(&provider, json!(true));
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    for claims in [
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "somebody else" }),
        json!({ "aud": ["pli", "other"] }),
        json!({ "azp": "other" }),
        json!({ "exp": now - 120 }),
        json!({ "exp": null }),
        json!({ "iat": now + 600 }),
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "sub": "41" }),
        json!({ "sub": null }),
    ] {
        provider.says(|says| says.id_token = claims.clone());
        let refused = arrive(&mut Browser::new(&server.url), "/_pli/account").await;
        assert!(refused.status == 400 && refused.has("did not succeed"), "{claims}");
    }
    provider.says(|says| (says.id_token, says.break_signature) = (json!({}), true));
    let refused = arrive(&mut Browser::new(&server.url), "/_pli/account").await;
    assert_eq!(refused.status, 400, "the signature is wrong");
    provider.says(|says| says.break_signature = false);

    // The answer for one browser is no use in another.
    let mut mine = Browser::new(&server.url);
    let away = mine.open("/_pli/upstream/start/fake").await.location.unwrap();
    let [state, nonce] = ["state", "nonce"].map(|name| parameter(&away, name).unwrap());
    let callback = format!("/_pli/upstream/callback?state={state}&code={nonce}");
    let mut theirs = Browser::new(&server.url);
    theirs.open("/_pli/account/sign-in").await;
    assert_eq!(theirs.go(&callback).await.status, 400);
    assert_eq!(mine.go(&callback).await.status, 400, "and it is used up");
}
