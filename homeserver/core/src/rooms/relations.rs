//! Events that relate to others (<https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events>).

use pli_federation::event_format::Pdu;
use ruma::OwnedEventId;
use serde::Deserialize;

use super::{Rooms, StoredEvent};
use crate::Result;

/// What `m.relates_to` of an event says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Relation {
    /// `rel_type`
    pub(super) rel_type: String,
    /// `event_id`
    #[serde(rename = "event_id")]
    pub(super) target: OwnedEventId,
    /// `key`, of annotations.
    #[serde(default)]
    pub(super) key: Option<String>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(rename = "m.relates_to", borrow)]
    relates_to: &'a serde_json::value::RawValue,
}

impl Relation {
    /// The relation of an event, if it has a well-formed one.
    pub(super) fn of(pdu: &Pdu) -> Option<Self> {
        Self::of_content(pdu.content.get())
    }

    fn of_content(content: &str) -> Option<Self> {
        // Most events have none, and looking for the key is cheaper than parsing.
        if !content.contains("\"m.relates_to\"") {
            return None;
        }
        let content: Content<'_> = serde_json::from_str(content).ok()?;
        serde_json::from_str(content.relates_to.get()).ok()
    }

    /// Whether it is an annotation, of which a user makes each at most once per event.
    pub(super) fn annotation_key(&self) -> Option<&str> {
        self.key.as_deref().filter(|_| self.rel_type == "m.annotation")
    }
}

impl Rooms {
    /// The `rel_type` of the relation that an event has.
    ///
    /// # Errors
    /// [`crate::Error::Bug`] if the stored text is not an event.
    pub fn relation_type(event: &StoredEvent) -> Result<Option<String>> {
        Ok(Relation::of(&*event.pdu()?).map(|relation| relation.rel_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read_and_malformed_ones_are_none() {
        let of = Relation::of_content;
        let annotation =
            of(r#"{"m.relates_to":{"event_id":"$e","rel_type":"m.annotation","key":"👍","x":1}}"#)
                .unwrap();
        assert_eq!(annotation.annotation_key(), Some("👍"));
        let thread = of(r#"{"m.relates_to":{"event_id":"$e","rel_type":"m.thread","key":"k"}}"#);
        assert_eq!(thread.unwrap().annotation_key(), None);
        for content in [
            r"{}",
            r#"{"m.relates_to":{"m.in_reply_to":{"event_id":"$e"}}}"#,
            r#"{"m.relates_to":{"event_id":7,"rel_type":"m.thread"}}"#,
            r#"{"m.relates_to":null}"#,
            r#"{"x":{"m.relates_to":{"event_id":"$e","rel_type":"m.thread"}}}"#,
        ] {
            assert_eq!(of(content), None, "{content}");
        }
    }
}
