//! A server in memory with users who have devices and rooms.

mod backups;
mod cross_signing;
mod device_lists;
mod keys;
mod to_device;

use std::collections::BTreeMap;

use pli_schema::{
    EventNumber, Position, RoomNumber, Stamp,
    records::{
        accounts::{DeviceKey, DeviceRecord},
        encryption::SharingChangeKey,
        rooms::{MemberKey, MemberRecord, Membership, UserRoomKey, UserRoomRecord},
    },
};
use pli_store::Store;
use ruma::{
    CanonicalJsonObject, OwnedDeviceId, OwnedUserId, UserId,
    encryption::{CrossSigningKey, DeviceKeys, OneTimeKey},
    serde::{Base64, Raw, base64::Standard},
    server_name,
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::json;

use super::*;
use crate::{Error, Result, TestClock};

pub(super) struct World {
    pub(super) store: Store,
    pub(super) encryption: Encryption,
}

impl World {
    pub(super) fn new() -> Self {
        let store = Store::in_memory();
        let clock = Clock::Test(TestClock::new(1_000_000));
        let encryption = Encryption::new(store.clone(), clock, server_name!("x").to_owned());
        Self { store, encryption }
    }

    pub(super) async fn device(&self, user: &str, device: &str) -> Device {
        let device = Device::new(user, device);
        let key = DeviceKey { user_id: device.user.clone(), device_id: device.id.clone() };
        let record = DeviceRecord {
            display_name: Some(format!("{}'s", device.user.localpart())),
            created_ms: 0,
            last_seen_ms: 0,
            last_seen_ip: None,
            tokens: Vec::new(),
        };
        let (key, record) = (&key, &record);
        self.store
            .write(|tx| async move {
                tx.put(key, record)?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        device
    }

    pub(super) async fn member(&self, user: &UserId, room: u64, membership: Membership) {
        let room = RoomNumber(room);
        let user = &user.to_owned();
        self.store
            .write(|tx| async move {
                let key = MemberKey { room, user_id: user.clone() };
                let before = tx.get(&key).await?.map(|record| record.membership);
                let event = EventNumber(1);
                let record =
                    MemberRecord { membership, event, display_name: None, avatar_url: None };
                tx.put(&key, &record)?;
                let record = UserRoomRecord { membership, event, forgotten: false };
                tx.put(&UserRoomKey { user_id: user.clone(), room }, &record)?;
                let joined = membership == Membership::Join;
                if joined != (before == Some(Membership::Join)) {
                    let key = SharingChangeKey { at: Stamp::Commit, room, user_id: user.clone() };
                    tx.put(&key, &joined)?;
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }

    /// A restart: nothing of the memory survives.
    pub(super) fn restart(&mut self) {
        let clock = Clock::Test(TestClock::new(2_000_000));
        self.encryption = Encryption::new(self.store.clone(), clock, server_name!("x").to_owned());
    }

    pub(super) async fn upload(&self, device: &Device, upload: KeyUpload) -> Result<u32> {
        let counts = self.encryption.upload_keys(&device.user, &device.id, &upload).await?;
        Ok(counts.first().map_or(0, |(_, count)| *count))
    }

    pub(super) async fn updates(&self, user: &Device, since: Position) -> DeviceListUpdates {
        let to = self.store.position();
        self.encryption.device_list_updates(&user.user, since, to).await.unwrap()
    }
}

pub(super) struct Device {
    pub(super) user: OwnedUserId,
    pub(super) id: OwnedDeviceId,
    pub(super) key: Signer,
}

/// An ed25519 key by its public part.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    pub(super) public: String,
}

impl Signer {
    /// A key whose id is `name`, or the public key.
    pub(super) fn new(name: Option<&str>) -> Self {
        let document = Ed25519KeyPair::generate();
        let pair = Ed25519KeyPair::from_der(&document, "1".to_owned()).unwrap();
        let public = Base64::<Standard, _>::new(pair.public_key()).encode();
        let name = name.unwrap_or(&public).to_owned();
        let pair = Ed25519KeyPair::from_der(&document, name).unwrap();
        Self { pair, public }
    }

    /// The object with a signature more.
    pub(super) fn sign(&self, signer: &UserId, object: &serde_json::Value) -> serde_json::Value {
        let mut object: CanonicalJsonObject = serde_json::from_value(object.clone()).unwrap();
        sign_json(signer.as_str(), &self.pair, &mut object).unwrap();
        serde_json::to_value(object).unwrap()
    }
}

impl Device {
    fn new(user: &str, id: &str) -> Self {
        let user = UserId::parse(user).unwrap();
        Self { user, id: id.into(), key: Signer::new(Some(id)) }
    }

    pub(super) fn unsigned_keys(&self) -> serde_json::Value {
        let id = &self.id;
        json!({
            "user_id": self.user, "device_id": id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {
                format!("ed25519:{id}"): self.key.public,
                format!("curve25519:{id}"): self.key.public,
            },
        })
    }

    pub(super) fn signed_keys(&self) -> serde_json::Value {
        self.key.sign(&self.user, &self.unsigned_keys())
    }

    pub(super) fn keys(&self) -> KeyUpload {
        KeyUpload { device_keys: Some(raw(self.signed_keys())), ..KeyUpload::default() }
    }

    pub(super) fn one_time_keys(&self, names: &[&str]) -> KeyUpload {
        KeyUpload { one_time_keys: self.signed(names, "AAAA"), ..KeyUpload::default() }
    }

    pub(super) fn signed(
        &self,
        names: &[&str],
        key: &str,
    ) -> BTreeMap<ruma::OwnedOneTimeKeyId, Raw<OneTimeKey>> {
        let one = |name: &&str| {
            let object = self.key.sign(&self.user, &json!({ "key": format!("{key}{name}") }));
            (format!("signed_curve25519:{name}").parse().unwrap(), raw(object))
        };
        names.iter().map(one).collect()
    }
}

pub(super) fn raw<T>(value: serde_json::Value) -> Raw<T> {
    Raw::from_json(serde_json::value::to_raw_value(&value).unwrap())
}

pub(super) type DeviceKeysRaw = Raw<DeviceKeys>;
pub(super) type CrossSigningRaw = Raw<CrossSigningKey>;
