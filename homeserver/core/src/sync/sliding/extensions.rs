//! What an answer holds beside rooms.

use pli_federation::canonical_json::quote;

use super::answer::Answer;
use crate::{
    Result,
    json::{self, Object},
    sync::Sync,
};

/// To-device messages in one answer.
const TO_DEVICE_MAX: usize = 100;
/// Changes of subscriptions to threads in one answer.
const SUBSCRIPTIONS_MAX: usize = 100;

/// A bound that a client may lower.
fn at_most(limit: Option<u64>, max: usize) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(max).clamp(1, max)
}

impl Answer<'_> {
    /// The extensions that are wanted, and whether there is something in them.
    pub(super) async fn extensions(&mut self) -> Result<(String, bool)> {
        let mut out = Object::new();
        let config = &self.request.body.extensions;
        let wanted = |enabled: Option<bool>| enabled == Some(true);
        let mut news = false;
        if wanted(config.to_device.enabled) {
            news |= self.to_device(&mut out).await?;
        }
        if wanted(config.e2ee.enabled) {
            news |= self.e2ee(&mut out).await?;
        }
        if wanted(config.account_data.enabled) {
            news |= self.account_data(&mut out).await?;
        }
        if wanted(config.receipts.enabled) {
            news |= self.receipts(&mut out).await?;
        }
        if wanted(config.typing.enabled) {
            news |= self.typing(&mut out).await?;
        }
        if wanted(config.thread_subscriptions.enabled) {
            news |= self.thread_subscriptions(&mut out).await?;
        }
        Ok((out.finish(), news))
    }

    /// Messages for the device; they are deleted when the client comes back with their token.
    async fn to_device(&self, out: &mut Object) -> Result<bool> {
        let limit = at_most(self.request.body.extensions.to_device.limit, TO_DEVICE_MAX);
        let device = Sync::device(self.turn.request);
        let encryption = &self.turn.parts().encryption;
        let inbox = encryption.inbox(device, self.inbox, self.turn.now, limit).await?;
        let events: Vec<&str> = inbox.events.iter().map(|event| event.json().get()).collect();
        let mut section = Object::new();
        section.string("next_batch", &inbox.next.to_string()).raw("events", &json::array(&events));
        out.raw("to_device", &section.finish());
        Ok(!events.is_empty())
    }

    /// Whose keys to ask for again, and how many keys the device has in stock.
    async fn e2ee(&mut self, out: &mut Object) -> Result<bool> {
        let mut stock = Object::new();
        self.turn.key_counts(&mut stock).await?;
        self.mark.stock = stock.clone().finish();
        let mut section = stock;
        let before = section.len();
        self.turn.device_lists(&mut section).await?;
        let changed = section.len() > before;
        out.raw("e2ee", &section.finish());
        Ok(changed || self.mark.stock != self.connection.mark.stock)
    }

    async fn thread_subscriptions(&self, out: &mut Object) -> Result<bool> {
        let limit = self.request.body.extensions.thread_subscriptions.limit;
        let since = self.turn.since.map(|since| since.position).unwrap_or_default();
        let page = self
            .turn
            .parts()
            .thread_subscriptions
            .changes(
                &self.request.user_id,
                (since, self.turn.now),
                at_most(limit, SUBSCRIPTIONS_MAX),
            )
            .await?;
        if page.changes.is_empty() {
            return Ok(false);
        }
        let mut section = page.sections();
        if let Some(end) = page.end {
            section.raw("prev_batch", &quote(&end.to_string()));
        }
        out.raw("io.element.msc4308.thread_subscriptions", &section.finish());
        Ok(true)
    }
}
