//! Send-to-device messages: stored until the device comes back with a later token.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging>

use std::collections::{BTreeMap, BTreeSet};

use pli_schema::{
    Position, Stamp, Topic,
    records::{
        accounts::DeviceKey,
        encryption::{ToDeviceKey, ToDeviceRecord},
        rooms::{TransactionKey, TransactionRecord},
        sending::ToDeviceOutKey,
    },
};
use pli_store::{Scan, Tx};
use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, TransactionId, UserId,
    events::{AnyToDeviceEvent, AnyToDeviceEventContent, ToDeviceEventType},
    serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Encryption;
use crate::{Error, Result};

/// Largest message, the whole event in JSON: the limit of events.
pub(super) const MESSAGE_MAX_BYTES: usize = 65_536;

/// To-device messages by recipient.
pub type ToDeviceMessages =
    BTreeMap<OwnedUserId, BTreeMap<DeviceIdOrAllDevices, Raw<AnyToDeviceEventContent>>>;

/// A part of what waits for a device.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// The messages, oldest first.
    pub events: Vec<Raw<AnyToDeviceEvent>>,
    /// Where the next part begins: a token with this position confirms these messages.
    pub next: Position,
    /// More messages wait behind `next`.
    pub more: bool,
}

#[derive(Serialize)]
struct Event<'a> {
    content: &'a RawValue,
    sender: &'a UserId,
    #[serde(rename = "type")]
    event_type: &'a ToDeviceEventType,
}

impl Encryption {
    /// Puts messages into the inboxes of devices of this server, and into the outboxes for others; users
    /// and devices that are not here get nothing. The same transaction id of the same device does nothing a second time.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a message above 64 KiB (nothing is sent then); those of the store.
    pub async fn send_to_device(
        &self,
        sender: (&UserId, &DeviceId),
        event_type: &ToDeviceEventType,
        txn_id: &TransactionId,
        messages: &ToDeviceMessages,
    ) -> Result<()> {
        let (user_id, device_id) = sender;
        let transaction = TransactionKey {
            user_id: user_id.to_owned(),
            device_id: device_id.to_owned(),
            scope: format!("to_device/{event_type}"),
            transaction_id: txn_id.to_string(),
        };
        let at_ms = self.clock.now_ms();
        let outgoing = self.local_messages(user_id, event_type, messages)?;
        let named = (&*transaction.scope, txn_id);
        let remote = self.remote_messages(sender, event_type, named, messages)?;
        let (transaction, outgoing, remote) = (&transaction, &outgoing, &remote);
        self.store
            .write(|tx| async move {
                if tx.get(transaction).await?.is_some() {
                    return Ok(());
                }
                tx.put(transaction, &TransactionRecord { event_id: None, at_ms })?;
                for (index, (user_id, target, json)) in (0_u32..).zip(outgoing) {
                    for device_id in recipients(&tx, user_id, target).await? {
                        put_message(&tx, (user_id, device_id), index, json)?;
                    }
                }
                for (index, (destination, edu)) in (0_u32..).zip(remote) {
                    let (destination, at) = (destination.clone(), Stamp::Commit);
                    tx.wake(Topic::Server(destination.clone()));
                    tx.put(&ToDeviceOutKey { destination, at, index }, edu)?;
                }
                Ok(())
            })
            .await
    }

    /// The messages for users of this server, as events.
    pub(super) fn local_messages(
        &self,
        sender: &UserId,
        event_type: &ToDeviceEventType,
        messages: &ToDeviceMessages,
    ) -> Result<Vec<(OwnedUserId, DeviceIdOrAllDevices, String)>> {
        let mut outgoing = Vec::new();
        for (user_id, by_device) in messages.iter().filter(|(user, _)| self.is_local(user)) {
            for (target, content) in by_device {
                let event = Event { content: content.json(), sender, event_type };
                let json = serde_json::to_string(&event)
                    .map_err(|error| Error::bug(format!("to-device event: {error}")))?;
                if json.len() > MESSAGE_MAX_BYTES {
                    return Err(Error::too_large("A to-device message is larger than 64 KiB"));
                }
                outgoing.push((user_id.clone(), target.clone(), json));
            }
        }
        Ok(outgoing)
    }

    /// What waits for a device, oldest first: messages after `since` up to `to`, about `limit` at most
    /// (those of one commit stay together).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn inbox(
        &self,
        device: (&UserId, &DeviceId),
        since: Position,
        to: Position,
        limit: usize,
    ) -> Result<Inbox> {
        let (user, device) = (device.0.to_owned(), device.1.to_owned());
        let range = Scan::<ToDeviceKey>::prefix((user.clone(), device.clone()))
            .after((user.clone(), device.clone(), since))
            .up_to((user.clone(), device.clone(), to));
        let mut rows = self.store.scan(&range.clone().limit(limit.saturating_add(1))).await?;
        let more = rows.len() > limit;
        let mut next = to;
        if more {
            rows.truncate(limit);
            // The rest of the last commit comes along, so that its position is complete.
            if let Some(last) = rows.last().and_then(|row| row.key.at.position()) {
                next = last;
                rows.retain(|row| row.key.at.position() != Some(last));
                let same = Scan::<ToDeviceKey>::prefix((user, device, last));
                rows.extend(self.store.scan(&same).await?);
            }
        }
        let events = rows.into_iter().map(|row| raw(row.record)).collect::<Result<_>>()?;
        Ok(Inbox { events, next, more })
    }

    /// Deletes the messages that the client has: it came back with a token of this position.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delete_inbox_up_to(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        position: Position,
    ) -> Result<()> {
        let (user, device) = (user_id.to_owned(), device_id.to_owned());
        let range = Scan::<ToDeviceKey>::prefix((user.clone(), device.clone()))
            .up_to((user, device, position));
        if self.store.scan(&range.clone().limit(1)).await?.is_empty() {
            return Ok(());
        }
        let range = &range;
        self.store
            .write(|tx| async move {
                for row in tx.scan(range).await? {
                    tx.delete(&row.key);
                }
                Ok(())
            })
            .await
    }
}

fn raw(record: ToDeviceRecord) -> Result<Raw<AnyToDeviceEvent>> {
    Raw::from_json_string(record.json)
        .map_err(|error| Error::bug(format!("stored to-device event: {error}")))
}

/// The devices of this server that a message is for.
pub(super) async fn recipients(
    tx: &Tx,
    user_id: &OwnedUserId,
    target: &DeviceIdOrAllDevices,
) -> Result<BTreeSet<OwnedDeviceId>> {
    Ok(match target {
        DeviceIdOrAllDevices::AllDevices => {
            let devices = tx.scan(&Scan::<DeviceKey>::prefix((user_id.clone(),))).await?;
            devices.into_iter().map(|row| row.key.device_id).collect()
        }
        DeviceIdOrAllDevices::DeviceId(device_id) => {
            let key = DeviceKey { user_id: user_id.clone(), device_id: device_id.clone() };
            tx.get(&key).await?.map(|_| key.device_id).into_iter().collect()
        }
    })
}

pub(super) fn put_message(
    tx: &Tx,
    (user_id, device_id): (&OwnedUserId, OwnedDeviceId),
    index: u32,
    json: &str,
) -> Result<()> {
    let key = ToDeviceKey {
        user_id: user_id.clone(),
        device_id: device_id.clone(),
        at: Stamp::Commit,
        index,
    };
    tx.put(&key, &ToDeviceRecord { json: json.to_owned() })?;
    tx.wake(Topic::Device(user_id.clone(), device_id));
    Ok(())
}
