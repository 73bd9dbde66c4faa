//! Messages to devices from one server to another: out, as EDUs that wait in the store until the other
//! server has them, and in, each once.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging>

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pli_schema::records::sending::ReceivedToDeviceKey;
use pli_store::Scan;
use ruma::{
    DeviceId, OwnedServerName, ServerName, TransactionId, UserId,
    api::federation::transactions::edu::DirectDeviceContent, events::ToDeviceEventType,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Encryption, ToDeviceMessages,
    to_device::{MESSAGE_MAX_BYTES, put_message, recipients},
};
use crate::{Error, Result};

/// Bytes of one EDU after which the next begins.
const EDU_BYTES: usize = 48 * 1_024;
/// Bytes that one EDU of another server may put into inboxes.
const RECEIVED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A message that comes again after so long is taken for a new one: 30 days.
const REMEMBERED_MS: u64 = 30 * 24 * 3_600_000;
/// Remembered messages that are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: usize = 1_000;

impl Encryption {
    /// The messages for users of other servers, as EDUs by server. The name of each comes from the
    /// transaction of the client, so that it is the same if that comes again.
    pub(super) fn remote_messages(
        &self,
        (sender, device): (&UserId, &DeviceId),
        event_type: &ToDeviceEventType,
        (scope, txn_id): (&str, &TransactionId),
        messages: &ToDeviceMessages,
    ) -> Result<Vec<(OwnedServerName, String)>> {
        type ByUser = BTreeMap<String, BTreeMap<String, Value>>;
        let mut servers: BTreeMap<OwnedServerName, Vec<(usize, ByUser)>> = BTreeMap::new();
        let remote = messages.iter().filter(|(user, _)| self.federates && !self.is_local(user));
        for (user_id, by_device) in remote {
            let parts = servers.entry(user_id.server_name().to_owned()).or_default();
            for (target, content) in by_device {
                let bytes = content.json().get().len();
                if bytes > MESSAGE_MAX_BYTES {
                    return Err(Error::too_large("A to-device message is larger than 64 KiB"));
                }
                let content: Value = serde_json::from_str(content.json().get())
                    .map_err(|error| Error::bad_json(format!("A message is no JSON: {error}")))?;
                if parts.last().is_none_or(|(filled, _)| filled.saturating_add(bytes) > EDU_BYTES) {
                    parts.push((0, ByUser::new()));
                }
                if let Some((filled, part)) = parts.last_mut() {
                    *filled = filled.saturating_add(bytes);
                    let by_device = part.entry(user_id.to_string()).or_default();
                    by_device.insert(target.to_string(), content);
                }
            }
        }
        let mut edus = Vec::new();
        for (server, parts) in servers {
            for (index, (_, messages)) in parts.into_iter().enumerate() {
                let message_id = name([
                    sender.as_str(),
                    device.as_str(),
                    scope,
                    txn_id.as_str(),
                    server.as_str(),
                    &index.to_string(),
                ]);
                let content = json!({
                    "sender": sender, "type": event_type, "message_id": message_id,
                    "messages": messages,
                });
                let edu = json!({ "edu_type": "m.direct_to_device", "content": content });
                edus.push((server.clone(), edu.to_string()));
            }
        }
        Ok(edus)
    }

    /// Takes messages of a user of another server to devices of this one. What came before is not
    /// delivered again; users and devices that are not here get nothing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn receive_to_device(
        &self,
        origin: &ServerName,
        content: &DirectDeviceContent,
    ) -> Result<()> {
        if content.sender.server_name() != origin {
            tracing::info!(%origin, "a message to devices in the name of another server's user");
            return Ok(());
        }
        let Ok(messages) =
            self.local_messages(&content.sender, &content.ev_type, &content.messages)
        else {
            tracing::info!(%origin, "a message to devices that is too large");
            return Ok(());
        };
        let message_id = name([content.message_id.as_str()]);
        let received = &ReceivedToDeviceKey { origin: origin.to_owned(), message_id };
        let (messages, now_ms) = (&messages, &self.clock.now_ms());
        self.store
            .write(|tx| async move {
                if tx.get(received).await?.is_some() {
                    return Ok(());
                }
                let mut bytes = 0_usize;
                for (index, (user_id, target, json)) in (0_u32..).zip(messages) {
                    for device_id in recipients(&tx, user_id, target).await? {
                        bytes = bytes.saturating_add(json.len());
                        if bytes > RECEIVED_BYTES_MAX {
                            tracing::info!(%origin, "a message to too many devices");
                            tx.put(received, now_ms)?;
                            return Ok(());
                        }
                        put_message(&tx, (user_id, device_id), index, json)?;
                    }
                }
                if bytes > 0 {
                    tx.put(received, now_ms)?;
                }
                Ok(())
            })
            .await
    }

    /// Forgets messages of other servers that came so long ago that they will not come again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_received(&self) -> Result<()> {
        let before_ms = self.clock.now_ms().saturating_sub(REMEMBERED_MS);
        let rows = self.store.scan(&Scan::<ReceivedToDeviceKey>::prefix(())).await?;
        let old: Vec<_> = rows.into_iter().filter(|row| row.record < before_ms).collect();
        for part in old.chunks(FORGOTTEN_AT_ONCE) {
            self.store
                .write(|tx| async move {
                    part.iter().for_each(|row| tx.delete(&row.key));
                    Ok::<_, Error>(())
                })
                .await?;
        }
        Ok(())
    }
}

/// A name of few letters made of parts of any length.
fn name<const N: usize>(parts: [&str; N]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let half: [u8; 16] = digest.first_chunk().copied().unwrap_or_default();
    URL_SAFE_NO_PAD.encode(half)
}
