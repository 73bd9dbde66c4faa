//! `pli admin federation …`: with whom the server federates.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::args::{BadKeysCommand, Exchange, FederationCommand, PartnerAddArgs, ServerNameArgs};
use crate::context::{Context, line, printable};
use crate::error::{CliError, Result};
use crate::text::messages::Msg;

const FEDERATION: [&str; 4] = ["_pli", "admin", "v1", "federation"];

/// Runs one of the commands.
///
/// # Errors
/// A refusal; a check that found a problem.
pub async fn run(context: &Context, api: &Api, command: &FederationCommand) -> Result<()> {
    match command {
        FederationCommand::Add(args) => add(context, api, args).await,
        FederationCommand::List => list(context, api).await,
        FederationCommand::Show(ServerNameArgs { server }) => {
            let answer =
                api.call(Method::GET, &path(&["partners", server]), &[], None).await?.ok()?;
            context.answer(&answer, &human_partner(context, &answer))
        }
        FederationCommand::Remove(ServerNameArgs { server }) => {
            change(context, api, (Method::DELETE, &["partners", server]), None, Msg::PartnerRemoved)
                .await
        }
        FederationCommand::Suspend(args) => suspend(context, api, &args.server, true).await,
        FederationCommand::Resume(args) => suspend(context, api, &args.server, false).await,
        FederationCommand::Check(args) => check(context, api, &args.server).await,
        FederationCommand::Status => status(context, api).await,
        FederationCommand::Block(args) => {
            let (to, body) = (["blocked", args.server.as_str()], noted(args.note.as_deref()));
            change(context, api, (Method::PUT, &to), Some(&body), Msg::ServerBlocked).await
        }
        FederationCommand::Unblock(ServerNameArgs { server }) => {
            change(context, api, (Method::DELETE, &["blocked", server]), None, Msg::ServerUnblocked)
                .await
        }
        FederationCommand::Blocked => refused(context, api, "blocked", "server").await,
        FederationCommand::BadKeys(command) => bad_keys(context, api, command).await,
    }
}

async fn bad_keys(context: &Context, api: &Api, command: &BadKeysCommand) -> Result<()> {
    match command {
        BadKeysCommand::Add(args) => {
            let (to, body) = (["bad_keys", args.key.as_str()], noted(args.note.as_deref()));
            change(context, api, (Method::PUT, &to), Some(&body), Msg::KeyRefused).await
        }
        BadKeysCommand::List => refused(context, api, "bad_keys", "key").await,
        BadKeysCommand::Remove(args) => {
            let to = ["bad_keys", args.key.as_str()];
            change(context, api, (Method::DELETE, &to), None, Msg::KeyAccepted).await
        }
    }
}

fn path<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [FEDERATION.as_slice(), rest].concat()
}

fn noted(note: Option<&str>) -> Value {
    note.map_or_else(|| json!({}), |note| json!({ "note": note }))
}

/// A change whose answer says nothing but that it was made.
async fn change(
    context: &Context,
    api: &Api,
    (method, to): (Method, &[&str]),
    body: Option<&Value>,
    done: Msg,
) -> Result<()> {
    let answer = api.call(method, &path(to), &[], body).await?.ok()?;
    let subject = to.last().copied().unwrap_or_default();
    context.answer(&answer, &context.text(done, &[&printable(subject)]))
}

async fn add(context: &Context, api: &Api, args: &PartnerAddArgs) -> Result<()> {
    let pinned = match args.pin {
        true => published(context, api, &args.server).await?,
        false => args.keys.iter().map(|key| pinned_key(key)).collect::<Result<_>>()?,
    };
    let body = entry(args, &pinned);
    let to = ["partners", args.server.as_str()];
    change(context, api, (Method::PUT, &to), Some(&body), Msg::PartnerAdded).await
}

/// The keys that a server publishes, shown so that they can be compared on another way.
async fn published(context: &Context, api: &Api, server: &str) -> Result<Vec<Value>> {
    let answer = api.call(Method::POST, &path(&["check", server]), &[], None).await?.ok()?;
    let keys = answer.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
    if keys.is_empty() {
        return Err(CliError::Other(context.text(Msg::PartnerNoKeys, &[&printable(server)])));
    }
    for key in &keys {
        let part =
            |name: &str| printable(key.get(name).and_then(Value::as_str).unwrap_or_default());
        context.note(Msg::PartnerPinned, &[&part("key_id"), &part("key")]);
    }
    Ok(keys)
}

/// `ed25519:NAME=BASE64`; the base64 may end with `=` too.
fn pinned_key(text: &str) -> Result<Value> {
    let (key_id, key) = text
        .split_once('=')
        .filter(|(key_id, key)| key_id.starts_with("ed25519:") && !key.is_empty())
        .ok_or_else(|| CliError::Other(format!("{text}: ed25519:NAME=BASE64")))?;
    Ok(json!({ "key_id": key_id, "key": key }))
}

/// The body of an entry.
fn entry(args: &PartnerAddArgs, pinned: &[Value]) -> Value {
    let allowed: Map<String, Value> = Exchange::ALL
        .iter()
        .map(|(exchange, word)| ((*word).to_owned(), json!(!args.deny.contains(exchange))))
        .collect();
    let mut body = json!({
        "pinned_keys": pinned,
        "allowed": allowed,
        "room_rules_required": args.room_rules,
        "organisations": args.labels,
        "suspended": args.suspended,
    });
    if let (Some(note), Value::Object(body)) = (&args.note, &mut body) {
        body.insert("note".to_owned(), json!(note));
    }
    body
}

async fn suspend(context: &Context, api: &Api, server: &str, suspended: bool) -> Result<()> {
    let to = ["partners", server];
    let known = api.call(Method::GET, &path(&to), &[], None).await?.ok()?;
    let kept = ["pinned_keys", "allowed", "room_rules_required", "organisations", "note"];
    let mut body: Map<String, Value> = Map::new();
    for key in kept {
        if let Some(value) = known.get(key) {
            body.insert(key.to_owned(), value.clone());
        }
    }
    body.insert("suspended".to_owned(), json!(suspended));
    let done = if suspended { Msg::PartnerSuspended } else { Msg::PartnerResumed };
    change(context, api, (Method::PUT, &to), Some(&Value::Object(body)), done).await
}

async fn list(context: &Context, api: &Api) -> Result<()> {
    let answer = api.call(Method::GET, &path(&["partners"]), &[], None).await?.ok()?;
    if context.json {
        return line(&answer.to_string());
    }
    let flag = |key: &str| answer.get(key).and_then(Value::as_bool).unwrap_or_default();
    line(&context.text(
        match (flag("enabled"), flag("open")) {
            (false, _) => Msg::FederationOff,
            (true, true) => Msg::FederationOpen,
            (true, false) => Msg::FederationClosed,
        },
        &[],
    ))?;
    let partners = answer.get("partners").and_then(Value::as_array);
    partners.into_iter().flatten().try_for_each(|it| line(&human_partner(context, it)))
}

/// A partner on one line.
fn human_partner(context: &Context, partner: &Value) -> String {
    let text = |key: &str| partner.get(key).and_then(Value::as_str).unwrap_or_default();
    let flag = |key: &str| partner.get(key).and_then(Value::as_bool).unwrap_or_default();
    let texts = |key: &str, inner: Option<&str>| -> Vec<String> {
        let all = partner.get(key).and_then(Value::as_array);
        let one =
            |it: &Value| inner.map_or(Some(it), |inner| it.get(inner))?.as_str().map(str::to_owned);
        all.into_iter().flatten().filter_map(one).collect()
    };
    let mut parts = vec![text("server").to_owned()];
    if flag("suspended") {
        parts.push(context.text(Msg::PartnerIsSuspended, &[]));
    }
    let keys = texts("pinned_keys", Some("key_id"));
    if !keys.is_empty() {
        parts.push(context.text(Msg::PartnerKeys, &[&keys.join(" ")]));
    }
    let denied = partner.get("allowed").and_then(Value::as_object);
    let denied = denied.into_iter().flatten().filter(|(_, allowed)| *allowed == &json!(false));
    let denied: Vec<&str> = denied.map(|(name, _)| name.as_str()).collect();
    if !denied.is_empty() {
        parts.push(context.text(Msg::PartnerDenied, &[&denied.join(" ")]));
    }
    if flag("room_rules_required") {
        parts.push(context.text(Msg::PartnerRoomRules, &[]));
    }
    parts.extend(texts("organisations", None).iter().map(|label| format!("[{label}]")));
    parts.push(text("note").to_owned());
    parts.retain(|part| !part.is_empty());
    printable(&parts.join("  "))
}

async fn refused(context: &Context, api: &Api, list: &str, name: &str) -> Result<()> {
    let answer = api.call(Method::GET, &path(&[list]), &[], None).await?.ok()?;
    if context.json {
        return line(&answer.to_string());
    }
    let rows = answer.get(list).and_then(Value::as_array);
    let Some(rows) = rows.filter(|rows| !rows.is_empty()) else {
        return line(&context.text(Msg::ListEmpty, &[]));
    };
    rows.iter().try_for_each(|row| {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        line(&printable([text(name), text("by"), text("note")].join("  ").trim_end()))
    })
}

async fn check(context: &Context, api: &Api, server: &str) -> Result<()> {
    let answer = api.call(Method::POST, &path(&["check", server]), &[], None).await?.ok()?;
    if context.json {
        line(&answer.to_string())?;
    } else {
        let steps = answer.get("steps").and_then(Value::as_array);
        steps.into_iter().flatten().try_for_each(|step| line(&human_step(step)))?;
    }
    match answer.get("result").and_then(Value::as_str) {
        Some("problem") => {
            Err(CliError::Other(context.text(Msg::CheckProblem, &[&printable(server)])))
        }
        _ => Ok(()),
    }
}

/// A step, with what to do below it.
fn human_step(step: &Value) -> String {
    let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default();
    let mark = match text("result") {
        "ok" => "✓",
        "warning" => "!",
        _ => "✗",
    };
    let advice = match text("advice") {
        "" => String::new(),
        advice => format!("\n    → {advice}"),
    };
    printable(&format!("{mark} {}{advice}", text("text")))
}

async fn status(context: &Context, api: &Api) -> Result<()> {
    let answer = api.call(Method::GET, &path(&["status"]), &[], None).await?.ok()?;
    if context.json {
        return line(&answer.to_string());
    }
    let servers = answer.get("servers").and_then(Value::as_array);
    let Some(servers) = servers.filter(|servers| !servers.is_empty()) else {
        return line(&context.text(Msg::ListEmpty, &[]));
    };
    servers.iter().try_for_each(|server| line(&human_status(context, server)))
}

fn human_status(context: &Context, server: &Value) -> String {
    let time = |key: &str| server.get(key).and_then(Value::as_u64);
    let shown = |msg: Msg, at: Option<u64>| at.map(|at| context.text(msg, &[&utc(at)]));
    let mut parts = vec![server.get("server").and_then(Value::as_str).map(str::to_owned)];
    parts.push(shown(Msg::StatusHeard, time("heard_ms")));
    parts.push(shown(Msg::StatusAnswered, time("answered_ms")));
    let waiting = time("waiting").filter(|waiting| *waiting > 0);
    parts.push(waiting.map(|waiting| context.text(Msg::StatusWaiting, &[&waiting.to_string()])));
    if server.get("failing").and_then(Value::as_bool).unwrap_or_default() {
        let error = server.get("error").and_then(Value::as_str).unwrap_or_default();
        let at = time("failed_ms").map(utc).unwrap_or_default();
        parts.push(Some(context.text(Msg::StatusFailed, &[&at, error])));
    }
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    printable(&parts.join("  "))
}

/// A time as `2026-11-22T12:00:00Z`.
fn utc(ms: u64) -> String {
    i64::try_from(ms).ok().and_then(super::devices::date).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(server: &str) -> PartnerAddArgs {
        PartnerAddArgs {
            server: server.to_owned(),
            keys: Vec::new(),
            pin: false,
            deny: vec![Exchange::Profiles],
            room_rules: true,
            labels: vec!["Education".to_owned()],
            suspended: false,
            note: None,
        }
    }

    #[test]
    fn an_entry_says_what_is_exchanged() {
        let key = pinned_key("ed25519:a=AAAA=").unwrap();
        let body = entry(&args("partner.example"), &[key]);
        assert_eq!(body["allowed"]["profiles"], json!(false));
        assert_eq!(body["allowed"]["media"], json!(true));
        assert_eq!(body["pinned_keys"], json!([{ "key_id": "ed25519:a", "key": "AAAA=" }]));
        assert!(body.get("note").is_none());
        for bad in ["ed25519:a", "a=b", "ed25519:a="] {
            assert!(pinned_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_step_has_its_mark_and_its_advice() {
        let step = json!({ "result": "problem", "text": "No\u{1b} answer.", "advice": "Look." });
        assert_eq!(human_step(&step), "✗ No\u{fffd} answer.\n    → Look.");
        assert_eq!(human_step(&json!({ "result": "ok", "text": "Fine." })), "✓ Fine.");
    }
}
