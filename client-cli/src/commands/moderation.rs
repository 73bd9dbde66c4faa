//! `pli admin reports list|close` and `pli admin notice send`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::args::{NoticeCommand, ReportsCommand};
use crate::context::{Context, line, printable};
use crate::error::Result;
use crate::text::messages::Msg;

const REPORTS: [&str; 4] = ["_pli", "admin", "v1", "reports"];
const NOTICES: [&str; 4] = ["_pli", "admin", "v1", "notices"];

/// Lists or closes what people have reported.
///
/// # Errors
/// A refusal.
pub async fn reports(context: &Context, api: &Api, command: &ReportsCommand) -> Result<()> {
    match command {
        ReportsCommand::List(args) => {
            let query: &[(&str, &str)] = if args.all { &[("closed", "true")] } else { &[] };
            let answer = api.call(Method::GET, &REPORTS, query, None).await?.ok()?;
            list(context, &answer)
        }
        ReportsCommand::Close(args) => {
            let number = args.number.to_string();
            let path = [REPORTS.as_slice(), &[number.as_str(), "close"]].concat();
            let body = match &args.note {
                Some(note) => json!({ "note": note }),
                None => json!({}),
            };
            let answer = api.call(Method::POST, &path, &[], Some(&body)).await?.ok()?;
            context.answer(&answer, &context.text(Msg::ReportClosed, &[&number]))
        }
    }
}

fn list(context: &Context, answer: &Value) -> Result<()> {
    if context.json {
        return line(&answer.to_string());
    }
    let reports = answer.get("reports").and_then(Value::as_array);
    let Some(reports) = reports.filter(|reports| !reports.is_empty()) else {
        return line(&context.text(Msg::ReportNone, &[]));
    };
    reports.iter().try_for_each(|report| line(&human(context, report)))
}

/// Number, what is reported, by whom and why, on one line.
fn human(context: &Context, report: &Value) -> String {
    let text = |path: &str| report.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let number = report.get("number").and_then(Value::as_u64).unwrap_or_default();
    let subject = ["/subject/user_id", "/subject/room_id", "/subject/event_id", "/subject/sender"];
    let mut parts = vec![number.to_string(), text("/subject/kind").to_owned()];
    parts.extend(subject.map(|path| text(path).to_owned()));
    parts.push(context.text(Msg::ReportBy, &[text("/reporter")]));
    parts.push(text("/reason").to_owned());
    if report.get("closed").is_some() {
        parts.push(context.text(Msg::ReportIsClosed, &[text("/closed/by")]));
        parts.push(text("/closed/note").to_owned());
    }
    parts.retain(|part| !part.is_empty());
    printable(&parts.join("  "))
}

/// Sends a notice of the server to a user.
///
/// # Errors
/// A refusal.
pub async fn notice(context: &Context, api: &Api, command: &NoticeCommand) -> Result<()> {
    let NoticeCommand::Send(args) = command;
    let body = json!({ "user_id": args.user, "body": args.text });
    let answer = api.call(Method::POST, &NOTICES, &[], Some(&body)).await?.ok()?;
    context.answer(&answer, &context.text(Msg::NoticeSent, &[&args.user]))
}
