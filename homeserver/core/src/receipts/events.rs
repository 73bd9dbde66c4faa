//! Receipts as events
//! (<https://spec.matrix.org/v1.19/client-server-api/#mreceipt>).

use std::collections::BTreeMap;

use super::Receipt;
use crate::json::Object;

/// The `m.receipt` events of a room: `event id → receipt type → user → (ts, thread)`. One user may have receipts of several threads at
/// one event; the format has place for one of them, and the others come in further events.
pub(crate) fn receipt_events(receipts: &[Receipt]) -> Vec<String> {
    type ByUser<'a> = BTreeMap<&'a str, &'a Receipt>;
    type Content<'a> = BTreeMap<&'a str, BTreeMap<&'static str, ByUser<'a>>>;
    let mut contents: Vec<Content<'_>> = Vec::new();
    for receipt in receipts {
        let (event_id, kind) = (receipt.record.event_id.as_str(), receipt.kind.as_str());
        let user = receipt.user_id.as_str();
        let taken = |content: &Content<'_>| {
            content
                .get(event_id)
                .and_then(|kinds| kinds.get(kind))
                .is_some_and(|users| users.contains_key(user))
        };
        let index = contents.iter().position(|content| !taken(content)).unwrap_or(contents.len());
        if index == contents.len() {
            contents.push(Content::new());
        }
        if let Some(content) = contents.get_mut(index) {
            content.entry(event_id).or_default().entry(kind).or_default().insert(user, receipt);
        }
    }
    contents
        .iter()
        .map(|content| {
            let mut events = Object::new();
            for (event_id, kinds) in content {
                let mut by_kind = Object::new();
                for (kind, users) in kinds {
                    let mut by_user = Object::new();
                    for (user, receipt) in users {
                        by_user.raw(user, &receipt_json(receipt));
                    }
                    by_kind.raw(kind, &by_user.finish());
                }
                events.raw(event_id, &by_kind.finish());
            }
            let mut event = Object::new();
            event.string("type", "m.receipt").raw("content", &events.finish());
            event.finish()
        })
        .collect()
}

fn receipt_json(receipt: &Receipt) -> String {
    let mut out = Object::new();
    out.raw("ts", &receipt.record.ts_ms.to_string());
    if !receipt.thread.is_empty() {
        out.string("thread_id", &receipt.thread);
    }
    out.finish()
}
