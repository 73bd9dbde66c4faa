//! The binary as scripts meet it: arguments, exit codes, JSON, and what it sends to a server.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

mod fake_server;

use std::path::Path;
use std::process::{Command, Output};

use fake_server::FakeServer;
use serde_json::{Value, json};

struct Machine {
    home: tempfile::TempDir,
    server: FakeServer,
}

impl Machine {
    fn new(answer: fn(&fake_server::Request) -> (u16, Value)) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("password"), "correct horse\n").unwrap();
        Self { home, server: FakeServer::start(answer) }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    fn pli(&self, args: &[&str]) -> Output {
        pli(self.home.path(), &self.server.url, args)
    }

    /// A session as a sign-in would have left it.
    fn signed_in(&self) {
        let dir = self.home.path().join("default");
        std::fs::create_dir(&dir).unwrap();
        std::fs::create_dir(dir.join("store")).unwrap();
        let session = json!({
            "homeserver": self.server.url, "user_id": "@admin:x", "device_id": "D",
            "access_token": "s3cret-token", "store_key": vec![7; 32],
        });
        std::fs::write(dir.join("session.json"), session.to_string()).unwrap();
    }
}

fn pli(home: &Path, server: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pli"))
        .args(args)
        .env_clear()
        .env("PLI_HOME", home)
        .env("PLI_HOMESERVER", server)
        .env("LANG", "C")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn error(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.starts_with('{'));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no JSON in {text}"))).unwrap()
}

fn nothing(_: &fake_server::Request) -> (u16, Value) {
    (404, json!({"errcode": "M_UNRECOGNIZED", "error": "no"}))
}

#[test]
fn a_wrong_command_line_is_2_in_the_language_of_the_person() {
    let machine = Machine::new(nothing);
    let output = machine.pli(&["sned", "--lang", "fr"]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("Commande inconnue : sned"));
    assert_eq!(code(&machine.pli(&["--profile", "../x", "whoami"])), 2);
    assert_eq!(code(&machine.pli(&["help", "nonsense"])), 2);
}

#[test]
fn without_a_session_it_is_3_and_says_what_to_do() {
    let machine = Machine::new(nothing);
    for args in [
        &["whoami"][..],
        &["send", "!r:x", "text"],
        &["listen"],
        &["history", "!r:x"],
        &["room", "list"],
        &["devices"],
        &["verify"],
        &["call", "start", "!r:x"],
        &["admin", "domains", "list"],
        &["logout"],
    ] {
        let output = machine.pli(&[args, &["--json"]].concat());
        assert_eq!(code(&output), 3, "{args:?}");
        assert_eq!(error(&output)["error"]["code"], "not_logged_in");
    }
}

#[test]
fn a_server_that_is_not_there_is_5() {
    let home = tempfile::tempdir().unwrap();
    let output = pli(home.path(), "http://127.0.0.1:9", &["register", "--json"]);
    assert_eq!(code(&output), 5);
    assert!(!home.path().join("default/session.json").exists());
}

#[test]
fn help_and_completions_need_no_server() {
    let machine = Machine::new(nothing);
    let output = machine.pli(&["help", "send", "--lang", "fr"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Utilisation : pli send"));
    for shell in ["bash", "zsh", "fish"] {
        let output = machine.pli(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(output.stdout.len() > 1_000);
    }
}

const VERSIONS: &str = "/_matrix/client/versions";
const REGISTER: &str = "/_matrix/client/v3/register";
const REQUEST_TOKEN: &str = "/_matrix/client/v3/register/email/requestToken";

fn by_mail(request: &fake_server::Request) -> (u16, Value) {
    match request.path.as_str() {
        VERSIONS => (200, json!({"versions": ["v1.11"]})),
        REGISTER if request.body.get("auth").is_some() => {
            (403, json!({"errcode": "M_FORBIDDEN", "error": "as far as this test goes"}))
        }
        REGISTER => {
            (401, json!({"session": "s", "flows": [{"stages": ["m.login.email.identity"]}]}))
        }
        REQUEST_TOKEN if request.body["email"] == "eve@evil.example" => {
            (403, json!({"errcode": "M_THREEPID_DENIED", "error": "domain not allowed"}))
        }
        REQUEST_TOKEN => {
            let submit = format!("http://{}/submit", request.host);
            (200, json!({"sid": "sid1", "submit_url": submit}))
        }
        "/submit" if request.body["token"] == "123456" => (200, json!({"success": true})),
        "/submit" => (400, json!({"errcode": "M_TOKEN_INCORRECT", "error": "wrong"})),
        _ => nothing(request),
    }
}

#[test]
fn a_refused_address_is_4_with_the_words_of_the_server() {
    let machine = Machine::new(by_mail);
    let output = machine.pli(&["register", "--email", "eve@evil.example", "--json"]);
    assert_eq!(code(&output), 4);
    let error = error(&output);
    assert_eq!(error["error"]["code"], "M_THREEPID_DENIED");
    assert!(error["error"]["text"].as_str().unwrap().contains("domain not allowed"));
    assert!(!machine.home.path().join("default").exists(), "nothing is left behind");
}

#[test]
fn the_code_of_the_mail_goes_to_the_address_that_the_server_named() {
    let machine = Machine::new(by_mail);
    std::fs::write(machine.path("code"), "123 456\n").unwrap();
    let (code_file, password) = (machine.path("code"), machine.path("password"));
    let args = ["register", "--email", "a@agents.example", "--json", "--code-file", &code_file];
    machine.pli(&[&args[..], &["--password-file", &password]].concat());
    let requests = machine.server.requests();
    let asked = requests.iter().find(|r| r.path == REQUEST_TOKEN).unwrap();
    let secret = asked.body["client_secret"].as_str().unwrap();
    assert!(secret.len() >= 32);
    assert_eq!(asked.language, "en", "the mail is written in the language of the person");
    let submitted = requests.iter().find(|r| r.path == "/submit").unwrap();
    assert_eq!(submitted.body, json!({"sid": "sid1", "client_secret": secret, "token": "123456"}));
    let last = requests.iter().rfind(|r| r.path == REGISTER).unwrap();
    assert_eq!(last.body["password"], "correct horse");
    assert_eq!(last.body["auth"]["type"], "m.login.email.identity");
    assert_eq!(last.body["auth"]["session"], "s");
    assert_eq!(last.body["auth"]["threepid_creds"]["sid"], "sid1");
    assert_eq!(last.body["auth"]["threepid_creds"]["client_secret"], secret);
}

#[test]
fn a_wrong_code_creates_no_account() {
    let machine = Machine::new(by_mail);
    std::fs::write(machine.path("code"), "000000").unwrap();
    let code_file = machine.path("code");
    let args = ["register", "--email", "a@agents.example", "--json", "--code-file", &code_file];
    let output = machine.pli(&args);
    assert_eq!(code(&output), 4);
    assert_eq!(error(&output)["error"]["code"], "M_TOKEN_INCORRECT");
    let requests = machine.server.requests();
    assert!(requests.iter().all(|request| request.body.get("auth").is_none()));
}

fn domains(request: &fake_server::Request) -> (u16, Value) {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_pli/admin/v1/domains") => {
            (200, json!({"domains": [{"domain": "agents.example", "kind": "agent"}]}))
        }
        ("POST", "/_pli/admin/v1/domains/check") => {
            (200, json!({"allowed": false, "reason": "not on the list"}))
        }
        (_, VERSIONS) => (200, json!({"versions": ["v1.11"]})),
        ("PUT" | "DELETE", _) => (200, json!({})),
        _ => nothing(request),
    }
}

#[test]
fn the_admin_commands_speak_the_admin_interface() {
    let machine = Machine::new(domains);
    machine.signed_in();
    let add = ["admin", "domains", "add", "agents.example", "--sub-domains", "--note", "n"];
    assert_eq!(code(&machine.pli(&[&add[..], &["--dry-run"]].concat())), 0);
    let list = machine.pli(&["admin", "domains", "list"]);
    assert_eq!(String::from_utf8_lossy(&list.stdout), "agents.example  agent\n");
    let check = machine.pli(&["admin", "domains", "check", "x@y", "--json"]);
    assert!(String::from_utf8_lossy(&check.stdout).contains("\"allowed\":false"));
    assert_eq!(code(&machine.pli(&["admin", "domains", "remove", "agents.example"])), 0);
    let requests = machine.server.requests();
    let of = |method: &str| requests.iter().find(|r| r.method == method).unwrap();
    let put = of("PUT");
    assert_eq!(put.path, "/_pli/admin/v1/domains/agents.example");
    assert_eq!(put.query, "dry_run=true");
    assert_eq!(put.body, json!({"sub_domains": true, "kind": "agent", "note": "n"}));
    assert_eq!(put.authorization, "Bearer s3cret-token");
    assert_eq!(of("DELETE").query, "");
}

fn moderation(request: &fake_server::Request) -> (u16, Value) {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_pli/admin/v1/reports") => (
            200,
            json!({"reports": [{
                "number": 7, "reporter": "@bob:x", "reason": "rude",
                "subject": {"kind": "user", "user_id": "@eve:x"},
            }]}),
        ),
        (_, VERSIONS) => (200, json!({"versions": ["v1.11"]})),
        ("POST", _) => (200, json!({})),
        _ => nothing(request),
    }
}

#[test]
fn reports_are_listed_and_closed_and_notices_sent() {
    let machine = Machine::new(moderation);
    machine.signed_in();
    let list = machine.pli(&["admin", "reports", "list", "--all", "--lang", "fr"]);
    assert_eq!(String::from_utf8_lossy(&list.stdout), "7  user  @eve:x  par @bob:x  rude\n");
    let close = ["admin", "reports", "close", "7", "--note", "seen"];
    assert_eq!(code(&machine.pli(&close)), 0);
    assert_eq!(code(&machine.pli(&["admin", "notice", "send", "@eve:x", "Hello"])), 0);
    let requests = machine.server.requests();
    let of = |path: &str| requests.iter().find(|r| r.path == path).unwrap();
    assert_eq!(of("/_pli/admin/v1/reports").query, "closed=true");
    assert_eq!(of("/_pli/admin/v1/reports/7/close").body, json!({"note": "seen"}));
    let notice = &of("/_pli/admin/v1/notices").body;
    assert_eq!(*notice, json!({"user_id": "@eve:x", "body": "Hello"}));
}

fn federation(request: &fake_server::Request) -> (u16, Value) {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/_pli/admin/v1/federation/check/partner.example") => (
            200,
            json!({
                "server": "partner.example", "result": "problem",
                "keys": [{"key_id": "ed25519:a", "key": "AAAA"}],
                "steps": [{"step": "tls", "result": "problem", "text": "No.", "advice": "Look."}],
            }),
        ),
        ("GET", "/_pli/admin/v1/federation/partners") => (
            200,
            json!({"enabled": true, "open": false, "partners": [{
                "server": "partner.example", "suspended": true, "organisations": ["Education"],
                "allowed": {"media": true, "presence": false},
                "pinned_keys": [{"key_id": "ed25519:a", "key": "AAAA"}],
            }]}),
        ),
        (_, VERSIONS) => (200, json!({"versions": ["v1.11"]})),
        ("PUT" | "DELETE", _) => (200, json!({})),
        _ => nothing(request),
    }
}

#[test]
fn partners_are_checked_pinned_and_listed() {
    let machine = Machine::new(federation);
    machine.signed_in();
    let check = machine.pli(&["admin", "federation", "check", "partner.example"]);
    assert_eq!(String::from_utf8_lossy(&check.stdout), "✗ No.\n    → Look.\n");
    assert_ne!(code(&check), 0);
    let add = ["admin", "federation", "add", "partner.example", "--pin", "--deny", "presence"];
    assert_eq!(code(&machine.pli(&add)), 0);
    let list = machine.pli(&["admin", "federation", "list", "--lang", "fr"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let line =
        "partner.example  suspendu  épinglées : ed25519:a  non échangé : presence  [Education]";
    assert_eq!(list.lines().nth(1), Some(line));
    let block = ["admin", "federation", "block", "spam.example", "--note", "spam"];
    assert_eq!(code(&machine.pli(&block)), 0);
    let requests = machine.server.requests();
    let of = |path: &str| requests.iter().rfind(|r| r.path.ends_with(path)).unwrap();
    let put = &of("/federation/partners/partner.example").body;
    assert_eq!(put["pinned_keys"], json!([{"key_id": "ed25519:a", "key": "AAAA"}]));
    assert_eq!(put["allowed"]["presence"], json!(false));
    assert_eq!(of("/federation/blocked/spam.example").body, json!({"note": "spam"}));
}

#[test]
fn an_ended_session_is_3() {
    let machine = Machine::new(|_| (401, json!({"errcode": "M_UNKNOWN_TOKEN", "error": "gone"})));
    machine.signed_in();
    let output = machine.pli(&["admin", "domains", "list", "--json"]);
    assert_eq!(code(&output), 3);
    assert_eq!(error(&output)["error"]["code"], "session_ended");
}

#[test]
fn profiles_are_listed_without_a_server() {
    let machine = Machine::new(nothing);
    machine.signed_in();
    let output = machine.pli(&["profiles", "list", "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["profiles"][0]["user_id"], "@admin:x");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("s3cret-token"));
}
