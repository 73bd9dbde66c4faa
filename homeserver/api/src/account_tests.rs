//! The endpoints of accounts over HTTP: status codes, errcodes, bodies.

use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use std::sync::Arc;

use pli_core::{Clock, Random, SigningKey, Store};
use pli_schema::{account_settings::PasswordSettings, config::Config};
use ruma::server_name;

use crate::{
    AppState,
    assemble::{Parts, assemble},
    whole::routes,
};

pub(crate) fn state() -> AppState {
    let mut config = Config::default();
    config.server.test_deployment.open_registration = true;
    config.server.test_deployment.no_limits = true;
    config.passwords = PasswordSettings::cheap();
    assemble(Parts {
        store: Store::in_memory(),
        clock: Clock::system(),
        random: Random::seeded(1),
        signing_key: Arc::new(SigningKey::from_seed(&[7; 32], "1").unwrap()),
        old_keys: Default::default(),
        server_name: server_name!("pli.example").to_owned(),
        base_url: "http://localhost:8008".into(),
        data_dir: "nowhere".into(),
        config: Arc::new(config),
        appservices: Default::default(),
    })
    .unwrap()
    .state
}

pub(crate) async fn call(
    state: &AppState,
    method: &str,
    uri: &str,
    token: &str,
    body: Value,
) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(uri);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = request.header("content-type", "application/json").body(body).unwrap();
    let response = routes().into_router().with_state(state.clone()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1_000_000).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

pub(crate) async fn register(state: &AppState, name: &str) -> (String, String) {
    let body = json!({
        "username": name, "password": "pass word", "auth": { "type": "m.login.dummy" },
    });
    let (status, answer) = call(state, "POST", "/_matrix/client/v3/register", "", body).await;
    assert_eq!(status, 200, "{answer}");
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    (text("access_token"), text("device_id"))
}

#[tokio::test]
async fn register_log_in_log_out() {
    let state = state();
    let (status, answer) = call(&state, "POST", "/_matrix/client/v3/register", "", json!({})).await;
    assert_eq!(status, 401);
    assert!(answer["session"].is_string() && answer["flows"].is_array());
    let (token, device) = register(&state, "alice").await;
    let (status, answer) =
        call(&state, "GET", "/_matrix/client/v3/account/whoami", &token, Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(answer, json!({ "user_id": "@alice:pli.example", "device_id": device }));
    let (status, answer) = call(
        &state,
        "POST",
        "/_matrix/client/r0/login",
        "",
        json!({ "type": "m.login.password", "user": "alice", "password": "pass word",
                "refresh_token": true }),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["expires_in_ms"].is_u64());
    let refresh = json!({ "refresh_token": answer["refresh_token"] });
    let (status, answer) = call(&state, "POST", "/_matrix/client/v3/refresh", "", refresh).await;
    assert_eq!(status, 200, "{answer}");
    let second = answer["access_token"].as_str().unwrap().to_owned();
    let (_, answer) = call(&state, "GET", "/_matrix/client/v3/devices", &second, Value::Null).await;
    assert_eq!(answer["devices"].as_array().unwrap().len(), 2);
    for (path, token) in [("logout/all", &second), ("logout", &second)] {
        let path = format!("/_matrix/client/v3/{path}");
        let (status, _) = call(&state, "POST", &path, token, json!({})).await;
        assert_eq!(status, if path.ends_with("all") { 200 } else { 401 });
    }
    let (status, answer) =
        call(&state, "GET", "/_matrix/client/v3/account/whoami", &token, Value::Null).await;
    assert_eq!((status, &answer["errcode"]), (401, &json!("M_UNKNOWN_TOKEN")));
}

#[tokio::test]
async fn wrong_logins_are_clear_errors() {
    let state = state();
    register(&state, "alice").await;
    let user = json!({ "type": "m.id.user", "user": "alice" });
    for (body, status, errcode) in [
        (json!({}), 400, "M_BAD_JSON"),
        (json!([]), 400, "M_BAD_JSON"),
        (json!({ "type": 3 }), 400, "M_BAD_JSON"),
        (json!({ "type": "m.login.magic" }), 400, "M_INVALID_PARAM"),
        (json!({ "type": "m.login.password" }), 400, "M_MISSING_PARAM"),
        (json!({ "type": "m.login.password", "identifier": user }), 400, "M_MISSING_PARAM"),
        (
            json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": 3 },
                    "password": "x" }),
            400,
            "M_BAD_JSON",
        ),
        (
            json!({ "type": "m.login.password", "identifier": { "type": "x" }, "password": "x" }),
            400,
            "M_INVALID_PARAM",
        ),
        (
            json!({ "type": "m.login.password", "identifier": user, "password": "wrong" }),
            403,
            "M_FORBIDDEN",
        ),
        (json!({ "type": "m.login.token", "token": "wrong" }), 403, "M_FORBIDDEN"),
    ] {
        let (got, answer) =
            call(&state, "POST", "/_matrix/client/v3/login", "", body.clone()).await;
        assert_eq!((got, answer["errcode"].as_str()), (status, Some(errcode)), "{body}");
    }
}

#[tokio::test]
async fn deleting_a_device_needs_the_password() {
    let state = state();
    let (token, _) = register(&state, "alice").await;
    let (_, other) = {
        let body = json!({ "type": "m.login.password", "user": "alice", "password": "pass word" });
        let (_, answer) = call(&state, "POST", "/_matrix/client/v3/login", "", body).await;
        (answer["access_token"].clone(), answer["device_id"].as_str().unwrap().to_owned())
    };
    let path = format!("/_matrix/client/v3/devices/{other}");
    let (status, answer) = call(&state, "DELETE", &path, &token, json!({})).await;
    assert_eq!(status, 401);
    let auth = |password: &str| {
        json!({ "auth": { "type": "m.login.password", "session": answer["session"],
            "identifier": { "type": "m.id.user", "user": "alice" }, "password": password } })
    };
    let (status, refused) = call(&state, "DELETE", &path, &token, auth("wrong")).await;
    assert_eq!((status, &refused["errcode"]), (401, &json!("M_FORBIDDEN")));
    assert_eq!(refused["session"], answer["session"]);
    let (status, _) = call(&state, "DELETE", &path, &token, auth("pass word")).await;
    assert_eq!(status, 200);
    let (status, _) = call(&state, "GET", &path, &token, Value::Null).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn profiles_are_read_by_all_and_changed_by_their_owner() {
    let state = state();
    let (token, _) = register(&state, "alice").await;
    let (mallory, _) = register(&state, "mallory").await;
    let field = "/_matrix/client/v3/profile/@alice:pli.example/displayname";
    let body = json!({ "displayname": "Alice" });
    assert_eq!(call(&state, "PUT", field, &mallory, body.clone()).await.0, 403);
    assert_eq!(call(&state, "PUT", field, &token, json!({})).await.0, 400);
    assert_eq!(call(&state, "PUT", field, &token, body.clone()).await.0, 200);
    assert_eq!(call(&state, "GET", field, &mallory, Value::Null).await, (200, body.clone()));
    let whole = "/_matrix/client/r0/profile/@alice:pli.example";
    assert_eq!(call(&state, "GET", whole, &mallory, Value::Null).await, (200, body.clone()));
    // Without a token nobody learns who has an account, unless the server says so.
    for who in ["alice", "nobody"] {
        let uri = format!("/_matrix/client/v3/profile/@{who}:pli.example");
        for uri in [uri.clone(), format!("{uri}/displayname")] {
            let (status, answer) = call(&state, "GET", &uri, "", Value::Null).await;
            assert_eq!((status, &answer["errcode"]), (403, &json!("M_FORBIDDEN")));
        }
    }
    let mut open = state.clone();
    let mut config = pli_schema::config::Config::clone(&open.server.config);
    config.profiles.lookup_without_token = true;
    open.server.config = std::sync::Arc::new(config);
    assert_eq!(call(&open, "GET", whole, "", Value::Null).await, (200, body));
    for (uri, status) in [
        ("/_matrix/client/v3/profile/@nobody:pli.example", 404),
        ("/_matrix/client/v3/profile/nonsense", 400),
        ("/_matrix/client/v3/profile/@alice:pli.example/m.tz", 404),
    ] {
        assert_eq!(call(&state, "GET", uri, &token, Value::Null).await.0, status, "{uri}");
    }
}

#[tokio::test]
async fn admins_change_the_list_of_domains_and_others_do_not() {
    let state = state();
    let (token, _) = register(&state, "alice").await;
    let path = "/_pli/admin/v1/domains/Agents.Example";
    let body = json!({ "sub_domains": true, "kind": "agent", "organisation": "Agence" });
    let (status, answer) = call(&state, "PUT", path, &token, body.clone()).await;
    assert_eq!((status, &answer["errcode"]), (403, &json!("M_FORBIDDEN")));
    state.accounts.create_account("root", Some(&"pass word".into()), true).await.unwrap();
    let login = json!({ "type": "m.login.password", "user": "root", "password": "pass word" });
    let (_, answer) = call(&state, "POST", "/_matrix/client/v3/login", "", login).await;
    let admin = answer["access_token"].as_str().unwrap().to_owned();

    let dry = format!("{path}?dry_run=true");
    let (status, answer) = call(&state, "PUT", &dry, &admin, body.clone()).await;
    assert_eq!((status, &answer["accounts_affected"]), (200, &json!(0)));
    let (_, list) = call(&state, "GET", "/_pli/admin/v1/domains", &admin, Value::Null).await;
    assert_eq!(list["domains"], json!([]));
    assert_eq!(call(&state, "PUT", path, &admin, body).await.0, 200);
    let (_, list) = call(&state, "GET", "/_pli/admin/v1/domains", &admin, Value::Null).await;
    assert_eq!(list["domains"][0]["domain"], "agents.example");
    assert_eq!(list["domains"][0]["added_by"], "@root:pli.example");

    let check = |address: &str| json!({ "address": address });
    let path_of_check = "/_pli/admin/v1/domains/check";
    let (_, answer) =
        call(&state, "POST", path_of_check, &admin, check("Jane.Doe@sub.agents.example")).await;
    assert_eq!(answer["allowed"], true);
    assert_eq!(answer["user_id"], "@jane.doe-sub.agents.example:pli.example");
    assert_eq!(answer["display_name"], "Jane Doe [Agence]");
    let (_, answer) = call(&state, "POST", path_of_check, &admin, check("a@b@c.example")).await;
    assert_eq!((&answer["allowed"], &answer["reason_key"]), (&json!(false), &json!("no_address")));

    assert_eq!(call(&state, "DELETE", path, &admin, Value::Null).await.0, 200);
    assert_eq!(call(&state, "DELETE", path, &admin, Value::Null).await.0, 404);
    assert_eq!(call(&state, "PUT", "/_pli/admin/v1/domains/-", &admin, json!({})).await.0, 400);
    let (_, log) = call(&state, "GET", "/_pli/admin/v1/audit", &admin, Value::Null).await;
    let actions: Vec<_> = log["entries"].as_array().unwrap().iter().map(|e| &e["action"]).collect();
    assert_eq!(actions, ["domain.remove", "domain.put"]);
}

#[tokio::test]
async fn clients_find_their_server_by_address() {
    let state = state();
    let info = |query: &str| format!("/_matrix/identity/api/v1/info{query}");
    let get = |uri: String| {
        let state = state.clone();
        async move { call(&state, "GET", &uri, "", Value::Null).await }
    };
    let (status, answer) = get(info("?medium=email&address=a%40agents.example")).await;
    assert_eq!((status, answer), (200, json!({ "hs": "pli.example" })));
    assert_eq!(get(info("?medium=email&address=nonsense")).await.0, 404);
    assert_eq!(get(info("?medium=email")).await.0, 400);
    assert_eq!(get(info("?medium=msisdn&address=3")).await.0, 400);
    let internal = "/_matrix/identity/api/v1/internal-info?medium=email&address=a%40b.example";
    let (status, answer) = get(internal.to_owned()).await;
    let expected = json!({ "hs": "pli.example", "invited": false, "requires_invite": false });
    assert_eq!((status, answer), (200, expected));
}

#[tokio::test]
async fn tokens_for_mails_are_asked_for_and_links_show_a_page() {
    let state = state();
    let body = json!({ "client_secret": "abc", "email": "a@agents.example", "send_attempt": 1 });
    let path = "/_matrix/client/v3/register/email/requestToken";
    let (status, answer) = call(&state, "POST", path, "", body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["submit_url"], "http://localhost:8008/_pli/email/validate");
    let submit = json!({ "sid": answer["sid"], "client_secret": "abc", "token": "000000" });
    let (status, refused) = call(&state, "POST", "/_pli/email/validate", "", submit).await;
    assert_eq!(status, 400);
    assert_eq!(refused["errcode"], "M_THREEPID_AUTH_FAILED");
    let nonsense = json!({ "sid": 3 });
    let (status, refused) = call(&state, "POST", "/_pli/email/validate", "", nonsense).await;
    assert_eq!((status, &refused["errcode"]), (400, &json!("M_BAD_JSON")));
    let (status, _) =
        call(&state, "GET", "/_pli/email/validate?sid=x&token=y", "", Value::Null).await;
    assert_eq!(status, 400);
    let bad = json!({ "client_secret": "a b", "email": "a@agents.example", "send_attempt": 1 });
    assert_eq!(call(&state, "POST", path, "", bad).await.0, 400);
}
