//! A timeline event as scripts and people see it.

use matrix_sdk::Client;
use matrix_sdk::deserialized_responses::{
    TimelineEvent, TimelineEventKind, UnableToDecryptReason, VerificationState,
};
use serde_json::{Map, Value, json};

use crate::context::{Context, printable};
use crate::text::messages::Msg;

/// An event, decrypted where that was possible.
#[derive(Clone, Debug)]
pub struct EventView {
    /// The event's ID.
    pub event_id: String,
    /// Who sent it.
    pub sender: String,
    /// When, in milliseconds since 1970, as the sender's server says.
    pub timestamp_ms: i64,
    /// The type after decryption.
    pub event_type: String,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content after decryption.
    pub content: Value,
    /// Whether it travelled encrypted.
    pub encrypted: bool,
    /// Whether the sender's device is verified; `None` when nothing was encrypted.
    pub verified: Option<bool>,
    /// Why it could not be decrypted.
    pub undecryptable: Option<&'static str>,
}

/// A file that a message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// Its name as the sender gave it.
    pub name: String,
    /// Its type as the sender says.
    pub mimetype: Option<String>,
    /// Its size as the sender says, in bytes.
    pub size_bytes: Option<u64>,
}

impl EventView {
    /// Reads an event of the SDK; `None` for what is not even an event.
    pub fn of(event: &TimelineEvent) -> Option<Self> {
        let raw: Value = serde_json::from_str(event.raw().json().get()).ok()?;
        let (encrypted, verified, undecryptable) = match &event.kind {
            TimelineEventKind::Decrypted(decrypted) => {
                let state = &decrypted.encryption_info.verification_state;
                (true, Some(*state == VerificationState::Verified), None)
            }
            TimelineEventKind::UnableToDecrypt { utd_info, .. } => {
                (true, Some(false), Some(reason(&utd_info.reason)))
            }
            TimelineEventKind::PlainText { .. } => (false, None, None),
        };
        Self::from_json(&raw, encrypted, verified, undecryptable)
    }

    /// As `of`, and looks again whether the sender's device is verified: the event knows only what
    /// was so when its key came.
    pub async fn checked(client: &Client, event: &TimelineEvent) -> Option<Self> {
        let mut view = Self::of(event)?;
        let unsure = view.verified == Some(false) && view.undecryptable.is_none();
        let info = event.encryption_info().filter(|_| unsure);
        if let Some((info, id)) = info.and_then(|i| Some((i, i.sender_device.as_deref()?))) {
            let device = client.encryption().get_device(&info.sender, id).await;
            view.verified = Some(matches!(device, Ok(Some(device)) if device.is_verified()));
        }
        Some(view)
    }

    fn from_json(
        raw: &Value,
        encrypted: bool,
        verified: Option<bool>,
        undecryptable: Option<&'static str>,
    ) -> Option<Self> {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            event_id: text("event_id")?,
            sender: text("sender")?,
            timestamp_ms: raw.get("origin_server_ts").and_then(Value::as_i64).unwrap_or_default(),
            event_type: text("type")?,
            state_key: text("state_key"),
            content: raw.get("content").cloned().unwrap_or(Value::Null),
            encrypted,
            verified,
            undecryptable,
        })
    }

    /// Whether a person reads it as a message: text, file, sticker, or something undecryptable.
    pub fn is_message(&self) -> bool {
        self.state_key.is_none()
            && matches!(
                self.event_type.as_str(),
                "m.room.message" | "m.sticker" | "m.room.encrypted"
            )
            && self.field("msgtype") != Some("m.key.verification.request")
    }

    /// Whether the message was deleted: nothing is left of its content.
    pub fn is_redacted(&self) -> bool {
        self.undecryptable.is_none() && self.content.as_object().is_none_or(Map::is_empty)
    }

    /// A text field of the content.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.content.get(key).and_then(Value::as_str)
    }

    /// The event that this one answers.
    pub fn reply_to(&self) -> Option<&str> {
        self.content.pointer("/m.relates_to/m.in_reply_to/event_id").and_then(Value::as_str)
    }

    /// The file of a message that carries one.
    pub fn file(&self) -> Option<FileView> {
        let carries =
            matches!(self.field("msgtype"), Some("m.file" | "m.image" | "m.audio" | "m.video"));
        if !carries {
            return None;
        }
        let name = self.field("filename").or_else(|| self.field("body")).unwrap_or_default();
        Some(FileView {
            name: name.to_owned(),
            mimetype: self
                .content
                .pointer("/info/mimetype")
                .and_then(Value::as_str)
                .map(str::to_owned),
            size_bytes: self.content.pointer("/info/size").and_then(Value::as_u64),
        })
    }

    /// One object for scripts; docs/user-guide.md lists its keys.
    pub fn json(&self, room_id: &str, saved: Option<&str>) -> Value {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| {
            if !value.is_null() {
                object.insert(key.to_owned(), value);
            }
        };
        put("room_id", json!(room_id));
        put("event_id", json!(self.event_id));
        put("sender", json!(self.sender));
        put("origin_server_ts", json!(self.timestamp_ms));
        put("type", json!(self.event_type));
        put("state_key", json!(self.state_key));
        put("encrypted", json!(self.encrypted));
        put("verified", json!(self.verified));
        put("undecryptable", json!(self.undecryptable));
        put("msgtype", json!(self.field("msgtype")));
        put("body", json!(self.field("body")));
        put("formatted_body", json!(self.field("formatted_body")));
        put("reply_to", json!(self.reply_to()));
        if let Some(file) = self.file() {
            let FileView { name, mimetype, size_bytes } = file;
            put(
                "file",
                json!({"name": name, "mimetype": mimetype, "size": size_bytes, "path": saved}),
            );
        }
        put("content", self.content.clone());
        Value::Object(object)
    }

    /// What a person reads after the sender's name.
    pub fn body(&self, context: &Context) -> String {
        if let Some(reason) = self.undecryptable {
            return context.text(Msg::EventUndecryptable, &[reason]);
        }
        if self.is_redacted() {
            return context.text(Msg::EventRedacted, &[]);
        }
        if let Some(file) = self.file() {
            let size = file.size_bytes.unwrap_or_default().to_string();
            return context.text(Msg::EventFile, &[&printable(&file.name), &size]);
        }
        match self.field("body") {
            Some(body) => printable(body),
            None => {
                format!("{} {}", printable(&self.event_type), printable(&self.content.to_string()))
            }
        }
    }
}

fn reason(reason: &UnableToDecryptReason) -> &'static str {
    match reason {
        UnableToDecryptReason::MissingMegolmSession { withheld_code: Some(_) } => "key_withheld",
        UnableToDecryptReason::MissingMegolmSession { withheld_code: None } => "missing_key",
        UnableToDecryptReason::UnknownMegolmMessageIndex => "key_too_new",
        UnableToDecryptReason::MalformedEncryptedEvent => "malformed",
        UnableToDecryptReason::SenderIdentityNotTrusted(_) => "sender_not_trusted",
        _ => "decryption_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(content: Value) -> EventView {
        let raw = json!({
            "event_id": "$e", "sender": "@a:b", "origin_server_ts": 7, "type": "m.room.message",
            "content": content,
        });
        EventView::from_json(&raw, true, Some(true), None).unwrap()
    }

    #[test]
    fn a_reply_and_its_json() {
        let event = view(json!({
            "msgtype": "m.text", "body": "yes",
            "m.relates_to": {"m.in_reply_to": {"event_id": "$q"}},
        }));
        let json = event.json("!r", None);
        assert_eq!(json["reply_to"], "$q");
        assert_eq!(json["body"], "yes");
        assert_eq!(json["verified"], true);
        assert!(json.get("undecryptable").is_none() && json.get("file").is_none());
        assert!(event.is_message() && !event.is_redacted());
    }

    #[test]
    fn a_file_and_a_deleted_message() {
        let file = view(json!({"msgtype": "m.file", "body": "caption", "filename": "a.pdf",
            "info": {"size": 3, "mimetype": "application/pdf"}}));
        assert_eq!(file.file().unwrap().name, "a.pdf");
        assert_eq!(file.json("!r", Some("/d/a.pdf"))["file"]["path"], "/d/a.pdf");
        assert!(view(json!({})).is_redacted());
    }

    #[test]
    fn a_verification_request_is_no_message() {
        assert!(!view(json!({"msgtype": "m.key.verification.request", "body": "x"})).is_message());
    }

    #[test]
    fn what_is_no_event_is_skipped() {
        assert!(EventView::from_json(&json!({"type": "x"}), false, None, None).is_none());
    }
}
