//! What is for one device: messages, whose keys to ask for again, how many keys it has in stock.

use pli_federation::canonical_json::quote;
use pli_schema::Position;
use ruma::OwnedUserId;

use super::{Sync, turn::Turn};
use crate::{
    Result,
    json::{self, Object},
};

/// To-device messages in one answer, about.
const TO_DEVICE_MAX: usize = 100;

impl Turn<'_> {
    /// Writes the messages for the device; how much of its inbox they are.
    pub(super) async fn to_device(&self, body: &mut Object) -> Result<Position> {
        let since = self.since.map(|since| since.inbox).unwrap_or_default();
        let device = Sync::device(self.request);
        let inbox = self.parts().encryption.inbox(device, since, self.now, TO_DEVICE_MAX).await?;
        let events: Vec<String> =
            inbox.events.iter().map(|event| event.json().get().to_owned()).collect();
        body.events("to_device", &events);
        Ok(inbox.next)
    }

    pub(super) async fn device_lists(&self, body: &mut Object) -> Result<()> {
        let Some(since) = self.since else {
            return Ok(());
        };
        let encryption = &self.parts().encryption;
        let updates =
            encryption.device_list_updates(&self.request.user_id, since.position, self.now).await?;
        if !updates.is_empty() {
            let list = |users: &[OwnedUserId]| {
                let users: Vec<String> = users.iter().map(|id| quote(id.as_str())).collect();
                json::array(&users)
            };
            let mut lists = Object::new();
            lists.raw("changed", &list(&updates.changed)).raw("left", &list(&updates.left));
            body.raw("device_lists", &lists.finish());
        }
        Ok(())
    }

    pub(super) async fn key_counts(&self, body: &mut Object) -> Result<()> {
        let (user_id, device_id) = Sync::device(self.request);
        let encryption = &self.parts().encryption;
        let mut counts = Object::new();
        for (algorithm, count) in encryption.one_time_key_counts(user_id, device_id).await? {
            counts.raw(algorithm.as_str(), &count.to_string());
        }
        body.raw("device_one_time_keys_count", &counts.finish());
        let unused = encryption.unused_fallback_key_types(user_id, device_id).await?;
        let unused: Vec<String> = unused.iter().map(|name| quote(name.as_str())).collect();
        body.raw("device_unused_fallback_key_types", &json::array(&unused));
        Ok(())
    }
}
