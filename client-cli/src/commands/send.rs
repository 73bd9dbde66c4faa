//! `pli send`

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use matrix_sdk::Room;
use matrix_sdk::attachment::{AttachmentConfig, AttachmentInfo, BaseFileInfo};
use matrix_sdk::room::reply::{EnforceThread, Reply};
use matrix_sdk::ruma::events::room::message::{
    AddMentions, MessageType, NoticeMessageEventContent, RoomMessageEventContent,
    RoomMessageEventContentWithoutRelation, TextMessageEventContent,
};
use matrix_sdk::ruma::{EventId, OwnedEventId, OwnedTransactionId, TransactionId, UInt};
use serde_json::json;

use crate::args::SendArgs;
use crate::commands::online;
use crate::connection::turn;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::files::content_type;
use crate::room_ref::find;
use crate::sync::Syncer;
use crate::text::messages::Msg;

/// The longest text that is read from standard input; an event may have 65,536 bytes in all.
const TEXT_MAX_BYTES: u64 = 48 * 1024;
/// How long `--wait-ack` waits for the message to come back.
const ACK_PATIENCE: Duration = Duration::from_secs(60);

/// Sends one message or one file.
///
/// # Errors
/// No session, no such room, a refusal; `Timeout` when the acknowledgement does not come.
pub async fn run(context: &Context, args: SendArgs) -> Result<()> {
    let body = read_body(&args)?;
    let txn_id = match &args.txn_id {
        Some(id) => OwnedTransactionId::from(id.as_str()),
        None => TransactionId::new(),
    };
    let online = online(context).await?;
    let room = find(&online.client, &args.room).await?;
    let mut syncer = Syncer::resume(&online.client).await?;
    let event_id = match &body {
        Body::Text(text) => send_text(&room, text, &args, txn_id.clone()).await?,
        Body::File(path) => send_file(&room, path, &args, txn_id.clone()).await?,
    };
    let encrypted = room.encryption_state().is_encrypted();
    let client = online.client.clone();
    online.finish().await;
    if args.wait_ack {
        wait_for(&mut syncer, &room, &event_id).await?;
    } else {
        drop(client);
    }
    context.answer(
        &json!({
            "event_id": event_id, "room_id": room.room_id(), "txn_id": txn_id,
            "encrypted": encrypted, "acknowledged": args.wait_ack,
        }),
        &context.text(Msg::Sent, &[event_id.as_str()]),
    )
}

#[derive(Debug, PartialEq)]
enum Body {
    Text(String),
    File(std::path::PathBuf),
}

fn read_body(args: &SendArgs) -> Result<Body> {
    match (args.text.as_deref(), &args.file) {
        (Some(_), Some(_)) => Err(CliError::Usage(Msg::UsageTextOrFile, Vec::new())),
        (None, Some(path)) => Ok(Body::File(path.clone())),
        (Some("-"), None) => {
            let mut text = String::new();
            let mut input = std::io::stdin().lock().take(TEXT_MAX_BYTES);
            input.read_to_string(&mut text).map_err(|_| CliError::NoInput)?;
            let text = text.trim_end_matches('\n').to_owned();
            if text.is_empty() { Err(CliError::NoInput) } else { Ok(Body::Text(text)) }
        }
        (Some(text), None) if !text.is_empty() => Ok(Body::Text(text.to_owned())),
        _ => Err(CliError::Usage(Msg::UsageNothingToSend, Vec::new())),
    }
}

/// The message that the flags describe.
fn message(text: &str, html: bool, notice: bool) -> MessageType {
    match (html, notice) {
        (false, false) => MessageType::Text(TextMessageEventContent::plain(text)),
        (true, false) => MessageType::Text(TextMessageEventContent::html(plain(text), text)),
        (false, true) => MessageType::Notice(NoticeMessageEventContent::plain(text)),
        (true, true) => MessageType::Notice(NoticeMessageEventContent::html(plain(text), text)),
    }
}

/// The text of an HTML fragment for clients that show no HTML: tags gone, common entities read.
fn plain(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            c if !in_tag => out.push(c),
            _ => {}
        }
    }
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn reply_of(args: &SendArgs) -> Result<Option<Reply>> {
    let Some(text) = &args.reply_to else {
        return Ok(None);
    };
    let event_id = EventId::parse(text)
        .map_err(|_| CliError::Usage(Msg::UsageBadEvent, vec![text.clone()]))?;
    Ok(Some(Reply {
        event_id,
        enforce_thread: EnforceThread::MaybeThreaded,
        add_mentions: AddMentions::Yes,
    }))
}

async fn send_text(
    room: &Room,
    text: &str,
    args: &SendArgs,
    txn_id: OwnedTransactionId,
) -> Result<OwnedEventId> {
    let message = message(text, args.html, args.notice);
    let content = match reply_of(args)? {
        Some(reply) => reply_content(room, message, reply).await?,
        None => RoomMessageEventContent::new(message),
    };
    let sent = room.send(content).with_transaction_id(txn_id).await?;
    Ok(sent.response.event_id)
}

/// A message that answers another one.
///
/// # Errors
/// `NotFound` when the other one cannot be had.
pub async fn reply_content(
    room: &Room,
    message: MessageType,
    reply: Reply,
) -> Result<RoomMessageEventContent> {
    let event = reply.event_id.to_string();
    let content = RoomMessageEventContentWithoutRelation::new(message);
    let made = room.make_reply_event(content, reply).await;
    made.map_err(|_| CliError::NotFound(Msg::ErrNoEvent, event))
}

async fn send_file(
    room: &Room,
    path: &Path,
    args: &SendArgs,
    txn_id: OwnedTransactionId,
) -> Result<OwnedEventId> {
    let bytes = tokio::fs::read(path).await.map_err(|error| CliError::file(path, error))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| "file".to_owned());
    let mime = content_type(path).parse().map_err(|_| CliError::file(path, "content type"))?;
    let size = u64::try_from(bytes.len()).ok().and_then(|size| UInt::try_from(size).ok());
    let mut config =
        AttachmentConfig::new().txn_id(txn_id).info(AttachmentInfo::File(BaseFileInfo { size }));
    config = config.reply(reply_of(args)?);
    let sent = room.send_attachment(name, &mime, bytes, config).await?;
    Ok(sent.event_id)
}

/// Waits until the message is in what the server tells: stored, ordered, on its way to everybody.
async fn wait_for(syncer: &mut Syncer, room: &Room, event_id: &EventId) -> Result<()> {
    let client = room.client();
    let deadline = Instant::now() + ACK_PATIENCE;
    while Instant::now() < deadline {
        let _turn = turn(&client).await?;
        let response = syncer.step(Duration::from_secs(2)).await?;
        let events =
            response.rooms.joined.get(room.room_id()).map(|update| &update.timeline.events);
        let seen = |event: &matrix_sdk::deserialized_responses::TimelineEvent| {
            event.event_id().as_deref() == Some(event_id)
        };
        if events.is_some_and(|events| events.iter().any(seen)) {
            return Ok(());
        }
    }
    Err(CliError::Timeout(Msg::ErrTimeoutAck))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> SendArgs {
        SendArgs {
            room: "r".to_owned(),
            text: None,
            file: None,
            html: false,
            notice: false,
            reply_to: None,
            txn_id: None,
            wait_ack: false,
        }
    }

    #[test]
    fn exactly_one_thing_is_sent() {
        assert_eq!(read_body(&args()).unwrap_err().exit().code(), 2);
        let text = SendArgs { text: Some("x".to_owned()), ..args() };
        assert_eq!(read_body(&text).unwrap(), Body::Text("x".to_owned()));
        let both = SendArgs { file: Some("f".into()), ..text };
        assert_eq!(read_body(&both).unwrap_err().exit().code(), 2);
        let empty = SendArgs { text: Some(String::new()), ..args() };
        assert!(read_body(&empty).is_err());
    }

    #[test]
    fn html_has_a_plain_text_too() {
        assert_eq!(plain("<b>a</b> &lt;c&gt; &amp;lt;"), "a <c> &lt;");
        let MessageType::Notice(content) = message("<i>x</i>", true, true) else {
            panic!("a notice was asked for")
        };
        assert_eq!(content.body, "x");
        assert_eq!(content.formatted.unwrap().body, "<i>x</i>");
    }

    #[test]
    fn a_reply_needs_an_event_id() {
        let bad = SendArgs { reply_to: Some("x".to_owned()), ..args() };
        assert_eq!(reply_of(&bad).unwrap_err().exit().code(), 2);
        assert!(reply_of(&args()).unwrap().is_none());
    }
}
