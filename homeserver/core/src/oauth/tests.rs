//! Clients, codes, device codes and tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pli_store::Store;
use ruma::{OwnedUserId, device_id, server_name};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::{Clock, Error, Random, TestClock, accounts::AccountSettings};

const VERIFIER: &str = "ogie4iVaeteeKeeLaid0aizuimairaChogie4iVaeteeKee";

struct World {
    clock: TestClock,
    accounts: Accounts,
    oauth: Oauth,
    alice: OwnedUserId,
}

async fn world() -> World {
    let clock = TestClock::new(1_700_000_000_000);
    let (store, random) = (Store::in_memory(), Random::seeded(1));
    let mut settings = AccountSettings::for_tests(server_name!("pli.example").to_owned());
    settings.test_deployment.no_limits = false;
    let time = Clock::Test(clock.clone());
    let accounts = Accounts::new(store.clone(), time.clone(), random.clone(), settings).unwrap();
    let oauth = Oauth::new((store, time, random), accounts.clone(), &[]).unwrap();
    let password = "pass word".into();
    let alice = accounts.create_account("alice", Some(&password), false).await.unwrap();
    World { clock, accounts, oauth, alice }
}

fn metadata() -> Value {
    json!({
        "client_name": "App", "client_name#fr": "Appli", "client_uri": "https://example.com/",
        "redirect_uris": ["https://app.example.com/cb"], "unknown": { "a": 1 },
        "grant_types": ["authorization_code", "refresh_token", "x",
                        "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code", "token"], "token_endpoint_auth_method": "none",
    })
}

impl World {
    async fn client(&self) -> Client {
        let given = metadata();
        self.oauth.register_client(given.as_object().unwrap()).await.unwrap()
    }

    fn request(client: &Client, changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut pairs = vec![
            ("response_type", "code".to_owned()),
            ("client_id", client.client_id.clone()),
            ("redirect_uri", "https://app.example.com/cb".to_owned()),
            ("scope", "urn:matrix:client:api:* openid urn:matrix:client:device:DEVICE".to_owned()),
            ("state", "st".to_owned()),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256".to_owned()),
        ];
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            if !value.is_empty() {
                pairs.push((name, (*value).to_owned()));
            }
        }
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    async fn code(&self, client: &Client) -> String {
        let request = self.oauth.authorization(&Self::request(client, &[])).await.unwrap();
        let location = self.oauth.grant(&request, &self.alice);
        let rest = location.strip_prefix("https://app.example.com/cb?code=").unwrap();
        rest.strip_suffix("&state=st").unwrap().to_owned()
    }

    async fn exchange(&self, client: &Client, code: &str, verifier: &str) -> OauthResult<Issued> {
        let given = CodeExchange {
            client_id: &client.client_id,
            code,
            redirect_uri: "https://app.example.com/cb",
            code_verifier: verifier,
        };
        self.oauth.exchange_code(&given).await
    }
}

#[tokio::test]
async fn the_same_metadata_is_the_same_client() {
    let world = world().await;
    let (first, second) = (world.client().await, world.client().await);
    assert_eq!(first, second);
    let answer = first.answer().unwrap();
    assert_eq!(answer["client_name#fr"], "Appli");
    assert_eq!(answer["response_types"], json!(["code"]));
    assert_eq!(answer["grant_types"].as_array().unwrap().len(), 3);
    assert!(answer.get("unknown").is_none() && answer.get("tos_uri").is_none());
    assert_eq!(world.oauth.client(&first.client_id).await.unwrap(), first);
    assert!(matches!(world.oauth.client("nope").await, Err(OauthError::InvalidClient)));
    for (name, value, code) in [
        ("client_uri", json!("http://example.com/"), "invalid_client_metadata"),
        ("client_uri", Value::Null, "invalid_client_metadata"),
        ("tos_uri", json!("https://evil.example/"), "invalid_client_metadata"),
        ("application_type", json!("toaster"), "invalid_client_metadata"),
        ("token_endpoint_auth_method", json!("private_key_jwt"), "invalid_client_metadata"),
        ("grant_types", json!(["password"]), "invalid_client_metadata"),
        ("client_name", json!("a\u{202e}b"), "invalid_client_metadata"),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        ("redirect_uris", json!(["https://evil.example/"]), "invalid_redirect_uri"),
        ("redirect_uris", json!("https://app.example.com/"), "invalid_client_metadata"),
    ] {
        let mut given = metadata();
        given[name] = value.clone();
        let refused = world.oauth.register_client(given.as_object().unwrap()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{name} {value}");
    }
}

#[tokio::test]
async fn clients_that_are_never_used_are_removed() {
    let world = world().await;
    let used = world.client().await;
    let code = world.code(&used).await;
    world.exchange(&used, &code, VERIFIER).await.unwrap();
    let mut other = metadata();
    other["client_name"] = json!("Other");
    let unused = world.oauth.register_client(other.as_object().unwrap()).await.unwrap();
    world.clock.advance_ms(25 * 3_600_000);
    other["client_name"] = json!("Third");
    world.oauth.register_client(other.as_object().unwrap()).await.unwrap();
    assert!(world.oauth.client(&unused.client_id).await.is_err());
    assert!(world.oauth.client(&used.client_id).await.is_ok());
}

#[tokio::test]
async fn requests_are_refused_on_a_page_until_it_is_sure_who_asks() {
    let world = world().await;
    let client = world.client().await;
    for (changes, code) in [
        (("client_id", "nope"), "invalid_client"),
        (("redirect_uri", "https://app.example.com/cb2"), "invalid_redirect_uri"),
        (("redirect_uri", "https://app.example.com/cb?x=y"), "invalid_redirect_uri"),
        (("redirect_uri", ""), "invalid_redirect_uri"),
        (("response_mode", "form_post"), "invalid_request"),
    ] {
        let refused = world.oauth.authorization(&World::request(&client, &[changes])).await;
        let Err(Refusal::Page(error)) = refused else { panic!("{changes:?}") };
        assert_eq!(error.code(), code, "{changes:?}");
    }
    let scope = "urn:matrix:client:api:* urn:matrix:client:device:";
    for (changes, code) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "urn:matrix:client:api:*"), "invalid_scope"),
        (("scope", "urn:matrix:client:device:DEVICE"), "invalid_scope"),
        (("scope", &format!("{scope}A urn:matrix:client:device:B")), "invalid_scope"),
        (("scope", &format!("{scope}A/B")), "invalid_scope"),
        (("prompt", "none"), "interaction_required"),
    ] {
        let refused = world.oauth.authorization(&World::request(&client, &[changes])).await;
        let Err(Refusal::Redirect(to)) = refused else { panic!("{changes:?}") };
        let start = format!("https://app.example.com/cb?error={code}&");
        assert!(to.starts_with(&start) && to.ends_with("&state=st"), "{changes:?} {to}");
    }
    let mut twice = World::request(&client, &[]);
    twice.push(("scope".to_owned(), "x".to_owned()));
    assert!(matches!(world.oauth.authorization(&twice).await, Err(Refusal::Redirect(_))));
}

#[tokio::test]
async fn a_code_is_good_once_and_for_who_has_the_verifier() {
    let world = world().await;
    let client = world.client().await;
    let code = world.code(&client).await;
    let wrong = VERIFIER.replace('o', "0");
    assert!(world.exchange(&client, &code, &wrong).await.is_err());
    assert!(world.exchange(&client, &code, VERIFIER).await.is_err(), "tried once");

    let code = world.code(&client).await;
    let issued = world.exchange(&client, &code, VERIFIER).await.unwrap();
    assert_eq!(issued.expires_in_s, Some(300));
    assert_eq!(issued.scope, "urn:matrix:client:api:* urn:matrix:client:device:DEVICE");
    let who = world.accounts.authenticate(issued.access_token.reveal()).await.unwrap();
    assert_eq!((who.user_id, who.device_id.as_str()), (world.alice.clone(), "DEVICE"));
    let device = world.accounts.device(&world.alice, device_id!("DEVICE")).await.unwrap();
    assert_eq!(device.display_name, "Appli");
    // Somebody has the code too: the session that began with it ends.
    assert!(world.exchange(&client, &code, VERIFIER).await.is_err());
    assert!(world.accounts.authenticate(issued.access_token.reveal()).await.is_err());

    let code = world.code(&client).await;
    world.clock.advance_ms(6 * 60_000);
    assert!(world.exchange(&client, &code, VERIFIER).await.is_err(), "too late");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_copy_ends_the_session() {
    let world = world().await;
    let client = world.client().await;
    let code = world.code(&client).await;
    let first = world.exchange(&client, &code, VERIFIER).await.unwrap();
    let refresh = |issued: &Issued| issued.refresh_token.clone().unwrap();
    let id = client.client_id.as_str();
    world.clock.advance_ms(301_000);
    let expired = world.accounts.authenticate(first.access_token.reveal()).await;
    assert!(matches!(expired, Err(Error::UnknownToken { soft_logout: true })));
    // The answer of the first try is lost.
    world.oauth.refresh(id, refresh(&first).reveal()).await.unwrap();
    let second = world.oauth.refresh(id, refresh(&first).reveal()).await.unwrap();
    assert!(world.oauth.refresh("other", refresh(&second).reveal()).await.is_err());
    assert!(world.accounts.refresh(refresh(&second).reveal()).await.is_err(), "classic");
    world.accounts.authenticate(second.access_token.reveal()).await.unwrap();
    // The second pair is in use: the first token is a copy now.
    let replayed = world.oauth.refresh(id, refresh(&first).reveal()).await.unwrap_err();
    assert_eq!(replayed.code(), "invalid_grant");
    assert!(world.accounts.authenticate(second.access_token.reveal()).await.is_err());
    assert!(world.oauth.refresh(id, refresh(&second).reveal()).await.is_err());
}

#[tokio::test]
async fn a_revoked_token_ends_its_session_and_a_device_too() {
    let world = world().await;
    let client = world.client().await;
    for by_refresh in [true, false] {
        let code = world.code(&client).await;
        let issued = world.exchange(&client, &code, VERIFIER).await.unwrap();
        let refresh = issued.refresh_token.clone().unwrap();
        let access = issued.access_token.clone();
        let token = if by_refresh { &refresh } else { &access };
        world.oauth.revoke(token.reveal()).await.unwrap();
        assert!(world.accounts.authenticate(access.reveal()).await.is_err());
        assert!(world.oauth.refresh(&client.client_id, refresh.reveal()).await.is_err());
        assert!(world.accounts.devices(&world.alice).await.unwrap().is_empty());
        world.oauth.revoke(token.reveal()).await.unwrap();
    }
    let known = world.accounts.oauth_client_of(&world.alice, device_id!("DEVICE")).await.unwrap();
    assert_eq!(known, None);
}

#[tokio::test]
async fn a_device_code_is_answered_once() {
    let world = world().await;
    let client = world.client().await;
    let id = client.client_id.as_str();
    let scope = "urn:matrix:client:api:* urn:matrix:client:device:TV";
    let asked = world.oauth.authorize_device(id, scope).await.unwrap();
    let code = asked.device_code.reveal();
    let poll = || world.oauth.exchange_device_code(id, code);
    assert_eq!(poll().await.unwrap_err().code(), "authorization_pending");
    assert_eq!(poll().await.unwrap_err().code(), "slow_down");
    let typed = asked.user_code.replace('-', " ").to_lowercase();
    assert!(world.oauth.typed_code(&world.alice, "BCDF-GHJK").await.is_err());
    let (shown, scope) = world.oauth.typed_code(&world.alice, &typed).await.unwrap();
    assert_eq!((shown.client_id.as_str(), scope.device_id.as_str()), (id, "TV"));
    world.oauth.answer_code(&world.alice, &typed, true).unwrap();
    assert!(world.oauth.answer_code(&world.alice, &typed, false).is_err(), "answered");
    let issued = poll().await.unwrap();
    world.accounts.authenticate(issued.access_token.reveal()).await.unwrap();
    assert_eq!(poll().await.unwrap_err().code(), "invalid_grant");

    let asked = world.oauth.authorize_device(id, &scope.text).await.unwrap();
    world.oauth.answer_code(&world.alice, &asked.user_code, false).unwrap();
    let refused = world.oauth.exchange_device_code(id, asked.device_code.reveal()).await;
    assert_eq!(refused.unwrap_err().code(), "access_denied");
    let asked = world.oauth.authorize_device(id, &scope.text).await.unwrap();
    world.clock.advance_ms(16 * 60_000);
    let refused = world.oauth.exchange_device_code(id, asked.device_code.reveal()).await;
    assert_eq!(refused.unwrap_err().code(), "expired_token");
    let wrong: Vec<bool> = [0; 30].iter().map(|_| true).collect();
    let mut limited = false;
    for _ in wrong {
        let tried = world.oauth.typed_code(&world.alice, "BCDF-GHJK").await;
        limited |= matches!(tried, Err(Error::LimitExceeded { .. }));
    }
    assert!(limited, "codes cannot be guessed");
}

#[tokio::test]
async fn browsers_are_signed_in_for_a_while() {
    let world = world().await;
    let before = world.oauth.new_browser();
    assert!(before.sent(&before.form_token()) && !before.sent("x"));
    let browser = world.oauth.sign_in(&before, &world.alice, None);
    assert_ne!(browser.cookie(), before.cookie());
    assert_eq!(world.oauth.signed_in(&before).await.unwrap(), None);
    let found = world.oauth.signed_in(&browser).await.unwrap().unwrap();
    assert!(found.is_fresh && found.user_id == world.alice);
    world.clock.advance_ms(20 * 60_000);
    assert!(!world.oauth.signed_in(&browser).await.unwrap().unwrap().is_fresh);
    world.oauth.sign_out_everywhere(&world.alice, Some(&browser));
    assert!(world.oauth.signed_in(&browser).await.unwrap().is_some());
    world.oauth.sign_out_everywhere(&world.alice, None);
    assert_eq!(world.oauth.signed_in(&browser).await.unwrap(), None);
    let browser = world.oauth.sign_in(&browser, &world.alice, None);
    world.clock.advance_ms(31 * 60_000);
    assert_eq!(world.oauth.signed_in(&browser).await.unwrap(), None);
}
