//! The OAuth 2.0 API, the way clients go: registration, sign-in in a browser, tokens, refresh,
//! revocation, a device with a code.

use pli_tests::{
    browser::{Browser, Shown, encode, form, parameter},
    server::{TestServer, TestUser},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

const VERIFIER: &str = "ogie4iVaeteeKeeLaid0aizuimairaChogie4iVaeteeKee";
/// The hash of [`VERIFIER`].
const CHALLENGE: &str = "tdOEqLsNFKq_irQmtzFq5d_O_cF_D5Go5zlkPS5F_aM";
const REDIRECT: &str = "https://app.example.com/cb";

/// A client with the metadata of the server.
pub struct App {
    pub metadata: Value,
    pub client_id: String,
    client: Client,
}

impl App {
    /// Discovers the server and registers.
    pub async fn register(server: &TestServer) -> Self {
        let metadata = server.get("/_matrix/client/v1/auth_metadata").await.ok();
        let given = json!({
            "client_name": "Appli <b>", "client_uri": "https://example.com/",
            "tos_uri": "https://example.com/tos", "policy_uri": "https://example.com/privacy",
            "redirect_uris": [REDIRECT, "https://example.com/other"],
            "grant_types": ["authorization_code", "refresh_token",
                            "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"], "token_endpoint_auth_method": "none",
        });
        let client = Client::new();
        let endpoint = metadata["registration_endpoint"].as_str().unwrap();
        let answer = client.post(endpoint).json(&given).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["redirect_uris"], given["redirect_uris"]);
        let client_id = answer["client_id"].as_str().unwrap().to_owned();
        Self { metadata, client_id, client }
    }

    /// The address of the authorization request for a device.
    pub fn authorization(&self, device: &str, more: &str) -> String {
        let scope = format!("urn:matrix:client:api:* urn:matrix:client:device:{device}");
        let endpoint = self.metadata["authorization_endpoint"].as_str().unwrap();
        format!(
            "{endpoint}?response_type=code&client_id={}&redirect_uri={}&scope={}&state=st%20ate\
             &code_challenge={CHALLENGE}&code_challenge_method=S256{more}",
            self.client_id,
            encode(REDIRECT),
            encode(&scope),
        )
    }

    /// Posts a form to an endpoint of the metadata.
    pub async fn post(&self, endpoint: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
        let url = self.metadata[endpoint].as_str().unwrap();
        let request = self.client.post(url).body(form(pairs));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Tokens for a code.
    pub async fn exchange(&self, code: &str) -> (u16, Value) {
        self.post(
            "token_endpoint",
            &[
                ("grant_type", "authorization_code"),
                ("client_id", &self.client_id),
                ("code", code),
                ("redirect_uri", REDIRECT),
                ("code_verifier", VERIFIER),
            ],
        )
        .await
    }

    async fn refresh(&self, token: &Value) -> (u16, Value) {
        self.post(
            "token_endpoint",
            &[
                ("grant_type", "refresh_token"),
                ("client_id", &self.client_id),
                ("refresh_token", token.as_str().unwrap()),
            ],
        )
        .await
    }

    async fn whoami(&self, server: &TestServer, tokens: &Value) -> (u16, Value) {
        let token = tokens["access_token"].as_str().unwrap();
        let path = "/_matrix/client/v3/account/whoami";
        let reply = server.request(Method::GET, path, Some(token), None).await;
        (reply.status, reply.body)
    }
}

/// Signs in on the page that is shown.
pub async fn sign_in(browser: &mut Browser, page: &Shown, user: &str) -> Shown {
    let password = format!("password of {user}");
    let shown = browser.submit(page, 0, &[("user", user), ("password", &password)]).await;
    assert_eq!(shown.status, 303, "{}", shown.html);
    browser.follow(shown).await
}

/// Signs in, agrees, and returns where the browser is sent.
async fn authorize(browser: &mut Browser, app: &App, device: &str, more: &str) -> String {
    let mut page = browser.go(&app.authorization(device, more)).await;
    if page.path.contains("/sign-in") {
        page = sign_in(browser, &page, "alice").await;
    }
    assert!(page.has("Appli <b>") && page.has("example.com") && page.has(device), "{}", page.html);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'self' https://app.example.com;"), "{policy}");
    browser.submit(&page, 0, &[("answer", "yes")]).await.location.unwrap()
}

async fn devices(user: &TestUser) -> Vec<String> {
    let list = user.get("/_matrix/client/v3/devices").await.ok();
    let ids = list["devices"].as_array().unwrap().iter();
    ids.map(|device| device["device_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_are_whole_and_where_clients_look() {
    let server = TestServer::start().await;
    let metadata = server.get("/_matrix/client/v1/auth_metadata").await.ok();
    for path in [
        "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata",
        "/.well-known/openid-configuration",
    ] {
        let document = server.get(path).await.ok();
        assert_eq!(document["token_endpoint"], metadata["token_endpoint"], "{path}");
        let actions = document["account_management_actions_supported"].as_array().unwrap();
        assert!(actions.contains(&json!("org.matrix.session_end")), "{path}");
    }
    assert_eq!(metadata["issuer"], format!("{}/", server.url));
    assert_eq!(metadata["prompt_values_supported"], json!(["create"]));
    let flows = server.get("/_matrix/client/v3/login").await.ok();
    let sso = flows["flows"].as_array().unwrap().iter().find(|it| it["type"] == "m.login.sso");
    assert_eq!(sso.unwrap()["oauth_aware_preferred"], true);
    let off = TestServer::start_with(|config| config.oauth.enabled = false).await;
    off.get("/_matrix/client/v1/auth_metadata").await.refused(404, "M_UNRECOGNIZED");
    let flows = off.get("/_matrix/client/v3/login").await.ok();
    assert!(!flows.to_string().contains("m.login.sso"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_in_refreshes_and_signs_out() {
    let server = TestServer::start().await;
    let alice = server.register("alice").await;
    let app = App::register(&server).await;
    assert_eq!(App::register(&server).await.client_id, app.client_id);
    let mut browser = Browser::new(&server.url);

    let page = browser.go(&app.authorization("PHONE", "")).await;
    let wrong = [("user", "alice"), ("password", "wrong")];
    let refused = browser.submit(&page, 0, &wrong).await;
    assert_eq!(refused.status, 403);
    assert!(refused.has("There is a problem") && refused.has("href=\"#user\""));

    let place = authorize(&mut browser, &app, "PHONE", "").await;
    assert!(place.starts_with(&format!("{REDIRECT}?code=")), "{place}");
    assert_eq!(parameter(&place, "state").as_deref(), Some("st ate"));
    let code = parameter(&place, "code").unwrap();
    let (status, tokens) = app.exchange(&code).await;
    assert_eq!(
        (status, &tokens["token_type"], &tokens["expires_in"]),
        (200, &json!("Bearer"), &json!(300))
    );
    let (status, who) = app.whoami(&server, &tokens).await;
    assert_eq!(status, 200);
    assert_eq!(who, json!({ "user_id": "@alice:pli.test", "device_id": "PHONE" }));

    let (status, fresh) = app.refresh(&tokens["refresh_token"]).await;
    assert_eq!(status, 200, "{fresh}");
    assert_eq!(app.whoami(&server, &fresh).await.0, 200);
    assert_eq!(app.whoami(&server, &tokens).await.0, 401, "the first pair has ended");
    let (status, error) = app.refresh(&tokens["refresh_token"]).await;
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
    assert_eq!(app.whoami(&server, &fresh).await.0, 401, "a copied token ends the session");
    assert_eq!(devices(&alice).await, std::slice::from_ref(&alice.device_id));

    // The browser is still signed in: one click is enough.
    let place = authorize(&mut browser, &app, "TABLET", "&response_mode=fragment").await;
    assert!(place.starts_with(&format!("{REDIRECT}#code=")), "{place}");
    let (_, tokens) = app.exchange(&parameter(&place, "code").unwrap()).await;
    assert_eq!(app.whoami(&server, &tokens).await.0, 200);
    let token = tokens["refresh_token"].as_str().unwrap();
    let revoke = [("token", token), ("client_id", app.client_id.as_str())];
    for _ in 0..2 {
        assert_eq!(app.post("revocation_endpoint", &revoke).await.0, 200);
    }
    assert_eq!(app.whoami(&server, &tokens).await.0, 401);

    let place = authorize(&mut browser, &app, "LAPTOP", "").await;
    let (_, tokens) = app.exchange(&parameter(&place, "code").unwrap()).await;
    let token = tokens["access_token"].as_str().unwrap();
    let path = "/_matrix/client/v3/logout";
    server.request(Method::POST, path, Some(token), Some(&json!({}))).await.ok();
    let (status, _) = app.refresh(&tokens["refresh_token"]).await;
    assert_eq!(status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_clients_survive_a_restart() {
    let mut server = TestServer::start().await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server.url);
    let place = authorize(&mut browser, &app, "PHONE", "").await;
    let (_, tokens) = app.exchange(&parameter(&place, "code").unwrap()).await;
    server.restart().await;
    assert_eq!(app.whoami(&server, &tokens).await.0, 200);
    assert_eq!(app.refresh(&tokens["refresh_token"]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_sent_only_where_they_may_go() {
    let server = TestServer::start().await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server.url);
    let good = app.authorization("PHONE", "");
    for (from, to) in [
        (encode(REDIRECT), encode("https://evil.example/")),
        (encode(REDIRECT), encode("https://app.example.com/cb/")),
        (app.client_id.clone(), "nobody".to_owned()),
    ] {
        let shown = browser.open(&good.replace(&from, &to)).await;
        assert_eq!((shown.status, shown.location), (400, None), "{to}");
    }
    let shown = browser.open(&good.replace("S256", "plain")).await;
    let place = shown.location.unwrap();
    assert!(place.starts_with(&format!("{REDIRECT}?error=invalid_request")), "{place}");
    assert_eq!(parameter(&place, "state").as_deref(), Some("st ate"));

    // A form of another site has no token; one with another browser's is refused too.
    let page = browser.go(&good).await;
    let signed_in = sign_in(&mut browser, &page, "alice").await;
    let path = signed_in.path.clone();
    let shown = browser.post(&path, &[("answer", "yes")]).await;
    assert_eq!((shown.status, shown.location), (403, None));
    let mut other = Browser::new(&server.url);
    let page = other.go("/_pli/account").await;
    let (_, fields) = page.form(0);
    let token = fields.iter().find(|(name, _)| name == "form_token").unwrap().1.clone();
    let shown = browser.post(&path, &[("answer", "yes"), ("form_token", &token)]).await;
    assert_eq!(shown.status, 403);

    let denied = browser.submit(&signed_in, 0, &[("answer", "no")]).await.location.unwrap();
    assert!(denied.starts_with(&format!("{REDIRECT}?error=access_denied")), "{denied}");
    for next in ["https://evil.example/", "//evil.example", "/_matrix/client/versions"] {
        let mut visitor = Browser::new(&server.url);
        let place = format!("/_pli/account/sign-in?next={}", encode(next));
        let page = visitor.open(&place).await;
        let password = [("user", "alice"), ("password", "password of alice")];
        let shown = visitor.submit(&page, 0, &password).await;
        assert_eq!(shown.location.as_deref(), Some("/_pli/account"), "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_connected_with_a_code() {
    let server = TestServer::start().await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let scope = "urn:matrix:org.matrix.msc2967.client:api:* \
                 urn:matrix:org.matrix.msc2967.client:device:TV";
    let ask = [("client_id", app.client_id.as_str()), ("scope", scope)];
    let (status, asked) = app.post("device_authorization_endpoint", &ask).await;
    assert_eq!(status, 200, "{asked}");
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", app.client_id.as_str()),
        ("device_code", asked["device_code"].as_str().unwrap()),
    ];
    let (status, pending) = app.post("token_endpoint", &poll).await;
    assert_eq!((status, &pending["error"]), (400, &json!("authorization_pending")));
    let (_, hasty) = app.post("token_endpoint", &poll).await;
    assert_eq!(hasty["error"], "slow_down");

    let mut browser = Browser::new(&server.url);
    let page = browser.go(asked["verification_uri"].as_str().unwrap()).await;
    let page = sign_in(&mut browser, &page, "alice").await;
    assert!(page.has("Code that the application shows"));
    let wrong = browser.open("/_pli/oauth/link?user_code=BCDF-GHJK").await;
    assert_eq!(wrong.status, 404);
    let code = asked["user_code"].as_str().unwrap();
    let page = browser.open(asked["verification_uri_complete"].as_str().unwrap()).await;
    assert!(page.has(code) && page.has("TV"));
    let done = browser.submit(&page, 0, &[("answer", "yes")]).await;
    assert!(done.status == 200 && done.has("Device connected"), "{}", done.html);
    let (status, tokens) = app.post("token_endpoint", &poll).await;
    assert_eq!((status, &tokens["scope"]), (200, &json!(scope)));
    assert_eq!(app.whoami(&server, &tokens).await.1["device_id"], "TV");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_the_identity_is_approved_on_the_page_of_the_account() {
    let server = TestServer::start().await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server.url);
    let place = authorize(&mut browser, &app, "PHONE", "").await;
    let (_, tokens) = app.exchange(&parameter(&place, "code").unwrap()).await;
    let token = tokens["access_token"].as_str().unwrap();
    let path = "/_matrix/client/v3/keys/device_signing/upload";
    let upload = |key: &str| {
        let id = format!("ed25519:{key}");
        json!({ "master_key": {
            "user_id": "@alice:pli.test", "usage": ["master"], "keys": { id: key },
        } })
    };
    let first = upload("nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk");
    server.request(Method::POST, path, Some(token), Some(&first)).await.ok();
    let mut second = upload("dOTtL2lTXsSH1hMRpnLnlCVQrHMfuFPLwTHXw7HDxJQ");
    let asked = server.request(Method::POST, path, Some(token), Some(&second)).await;
    assert_eq!(asked.status, 401, "{}", asked.body);
    assert_eq!(asked.body["flows"], json!([{ "stages": ["m.oauth"] }]));
    let url = asked.body["params"]["m.oauth"]["url"].as_str().unwrap().to_owned();
    second["auth"] = json!({ "session": asked.body["session"] });
    let again = server.request(Method::POST, path, Some(token), Some(&second)).await;
    assert_eq!(again.status, 401);
    let page = browser.go(&url).await;
    assert!(page.has("Reset the digital identity"));
    let done = browser.submit(&page, 0, &[]).await;
    assert!(done.has("approved"), "{}", done.html);
    server.request(Method::POST, path, Some(token), Some(&second)).await.ok();
    let third = upload("l8MKVKOqFCdYKtrTVcWLyTvM5qJGGVYUJkF5gG0mTdU");
    let asked = server.request(Method::POST, path, Some(token), Some(&third)).await;
    assert_eq!(asked.status, 401, "an approval is good for one upload");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_those_of_the_standards() {
    let server = TestServer::start().await;
    let app = App::register(&server).await;
    let id = app.client_id.as_str();
    for (endpoint, pairs, status, code) in [
        (
            "token_endpoint",
            vec![("grant_type", "password"), ("client_id", id)],
            400,
            "unsupported_grant_type",
        ),
        ("token_endpoint", vec![("client_id", id)], 400, "invalid_request"),
        ("token_endpoint", vec![("grant_type", "refresh_token")], 401, "invalid_client"),
        (
            "token_endpoint",
            vec![("grant_type", "refresh_token"), ("client_id", id), ("refresh_token", "x.y")],
            400,
            "invalid_grant",
        ),
        ("revocation_endpoint", vec![("client_id", id)], 400, "invalid_request"),
        (
            "revocation_endpoint",
            vec![("token", "x"), ("token_type_hint", "y")],
            400,
            "invalid_request",
        ),
        (
            "device_authorization_endpoint",
            vec![("client_id", id), ("scope", "x")],
            400,
            "invalid_scope",
        ),
        (
            "device_authorization_endpoint",
            vec![("client_id", "x"), ("scope", "x")],
            401,
            "invalid_client",
        ),
    ] {
        let (got, body) = app.post(endpoint, &pairs).await;
        assert_eq!((got, body["error"].as_str()), (status, Some(code)), "{endpoint} {pairs:?}");
    }
    let url = app.metadata["registration_endpoint"].as_str().unwrap();
    let answer = app.client.post(url).body("{").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"], "invalid_client_metadata");
}
