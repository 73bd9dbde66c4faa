//! `pli admin …`: the admin interface of a Pli server. The domains are here.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{federation, moderation};
use crate::api::Api;
use crate::args::{AdminCommand, DomainAddArgs, DomainRemoveArgs, DomainsCommand};
use crate::connection;
use crate::context::{Context, line, printable};
use crate::error::Result;
use crate::text::messages::Msg;

const DOMAINS: [&str; 4] = ["_pli", "admin", "v1", "domains"];

/// Runs one of the admin commands.
///
/// # Errors
/// No session, no admin rights, a refusal.
pub async fn run(context: &Context, command: AdminCommand) -> Result<()> {
    let client = connection::resume(&context.profile).await?;
    let api = Api::of(&client, context.lang);
    match command {
        AdminCommand::Domains(command) => domains(context, &api, command).await,
        AdminCommand::Federation(command) => federation::run(context, &api, &command).await,
        AdminCommand::Notice(command) => moderation::notice(context, &api, &command).await,
        AdminCommand::Reports(command) => moderation::reports(context, &api, &command).await,
    }
}

async fn domains(context: &Context, api: &Api, command: DomainsCommand) -> Result<()> {
    match command {
        DomainsCommand::Add(args) => add(context, api, &args).await,
        DomainsCommand::List => list(context, api).await,
        DomainsCommand::Remove(args) => remove(context, api, &args).await,
        DomainsCommand::Check(args) => check(context, api, &args.address).await,
    }
}

async fn add(context: &Context, api: &Api, args: &DomainAddArgs) -> Result<()> {
    let body = entry(args);
    let path = [DOMAINS.as_slice(), &[args.domain.as_str()]].concat();
    let answer = api.call(Method::PUT, &path, dry_run(args.dry_run), Some(&body)).await?.ok()?;
    changed(context, &answer, args.dry_run, Msg::DomainAdded, &args.domain)
}

/// The body of an entry; what was not given is left out.
fn entry(args: &DomainAddArgs) -> Value {
    let mut body = Map::new();
    body.insert("sub_domains".to_owned(), json!(args.sub_domains));
    body.insert("kind".to_owned(), json!(args.kind.word()));
    for (key, value) in [("organisation", &args.organisation), ("note", &args.note)] {
        if let Some(value) = value {
            body.insert(key.to_owned(), json!(value));
        }
    }
    Value::Object(body)
}

async fn remove(context: &Context, api: &Api, args: &DomainRemoveArgs) -> Result<()> {
    let path = [DOMAINS.as_slice(), &[args.domain.as_str()]].concat();
    let answer = api.call(Method::DELETE, &path, dry_run(args.dry_run), None).await?.ok()?;
    changed(context, &answer, args.dry_run, Msg::DomainRemoved, &args.domain)
}

fn dry_run(wanted: bool) -> &'static [(&'static str, &'static str)] {
    if wanted { &[("dry_run", "true")] } else { &[] }
}

/// Says what was changed, or would be: for people with what the server adds to it.
fn changed(context: &Context, answer: &Value, dry: bool, msg: Msg, domain: &str) -> Result<()> {
    if context.json {
        return line(&answer.to_string());
    }
    let mut text =
        if dry { context.text(Msg::DomainDryRun, &[]) } else { context.text(msg, &[domain]) };
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (accounts, pending) = (number("accounts_affected"), number("pending_affected"));
    if accounts > 0 || pending > 0 || dry {
        let counts = [accounts.to_string(), pending.to_string()];
        text = format!("{text}\n{}", context.text(Msg::DomainImpact, &[&counts[0], &counts[1]]));
    }
    let examples = answer.get("examples").and_then(Value::as_array);
    for example in examples.into_iter().flatten().filter_map(Value::as_str) {
        text = format!("{text}\n  {}", printable(example));
    }
    line(&text)
}

async fn list(context: &Context, api: &Api) -> Result<()> {
    let answer = api.call(Method::GET, &DOMAINS, &[], None).await?.ok()?;
    if context.json {
        return line(&answer.to_string());
    }
    let domains = answer.get("domains").and_then(Value::as_array);
    let Some(domains) = domains.filter(|domains| !domains.is_empty()) else {
        return line(&context.text(Msg::DomainNone, &[]));
    };
    domains.iter().try_for_each(|entry| line(&human_entry(context, entry)))
}

fn human_entry(context: &Context, entry: &Value) -> String {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut parts = vec![text("domain").to_owned(), text("kind").to_owned()];
    if entry.get("sub_domains").and_then(Value::as_bool).unwrap_or_default() {
        parts.push(context.text(Msg::DomainSub, &[]));
    }
    parts.extend(["organisation", "note"].map(|key| text(key).to_owned()));
    parts.retain(|part| !part.is_empty());
    printable(&parts.join("  "))
}

async fn check(context: &Context, api: &Api, address: &str) -> Result<()> {
    let path = [DOMAINS.as_slice(), &["check"]].concat();
    let body = json!({"address": address});
    let answer = api.call(Method::POST, &path, &[], Some(&body)).await?.ok()?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    let allowed = answer.get("allowed").and_then(Value::as_bool).unwrap_or_default();
    let msg = if allowed { Msg::DomainAllowed } else { Msg::DomainDenied };
    let mut parts = vec![context.text(msg, &[&printable(text("reason"))])];
    parts.extend(["kind", "user_id", "display_name"].map(|key| printable(text(key))));
    parts.retain(|part| !part.is_empty());
    context.answer(&answer, &parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::DomainKind;

    #[test]
    fn an_entry_has_only_what_was_given() {
        let args = DomainAddArgs {
            domain: "agents.example".to_owned(),
            sub_domains: true,
            organisation: Some("Agency".to_owned()),
            kind: DomainKind::Guest,
            note: None,
            dry_run: false,
        };
        let expected = json!({"sub_domains": true, "kind": "guest", "organisation": "Agency"});
        assert_eq!(entry(&args), expected);
    }

    #[test]
    fn a_dry_run_is_a_query() {
        assert_eq!(dry_run(true), [("dry_run", "true")]);
        assert!(dry_run(false).is_empty());
    }
}
