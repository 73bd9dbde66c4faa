//! Device keys, one-time keys, cross-signing, key backups, to-device inboxes and the streams from which
//! device-list updates are computed. (Client-Server API, "End-to-End Encryption" and
//! "Send-to-Device messaging".)

use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{Record, RoomNumber, Stamp, table};

/// The identity keys of a device, as uploaded. Signatures have a table of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceKeysRecord {
    /// The device keys object in canonical JSON, without `signatures` and `unsigned`.
    pub json: String,
}

impl Record for DeviceKeysRecord {}

/// A one-time key that nobody has claimed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKeyRecord {
    /// The key in canonical JSON: an object, or a string for unsigned algorithms.
    pub json: String,
}

impl Record for OneTimeKeyRecord {}

/// Where a one-time key stands in the queue: the position of this record is that of the upload. It stays
/// when the key is claimed, so that a late repetition of the upload does not put the key out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKeyPlace {
    /// Its place among the keys of the same upload.
    pub index: u32,
    /// The first half of the SHA-256 of the key's canonical JSON.
    pub hash: [u8; 16],
    /// The key was handed out; it is in the queue no more.
    pub claimed: bool,
}

impl Record for OneTimeKeyPlace {}

/// The fallback key of a device for one algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackKeyRecord {
    /// The key's id, without the algorithm.
    pub key_id: String,
    /// The key in canonical JSON.
    pub json: String,
    /// It was handed out at least once.
    pub used: bool,
}

impl Record for FallbackKeyRecord {}

/// What a device has in stock. Every upload and every claim reads and writes it, so that they follow
/// each other, and each sync reads only this one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStockRecord {
    /// Unclaimed one-time keys by algorithm; algorithms with 0 keys that once had some are listed.
    pub one_time: Vec<(String, u32)>,
    /// The algorithms whose fallback key was not used yet.
    pub unused_fallback: Vec<String>,
}

impl Record for KeyStockRecord {}

/// What a cross-signing key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum CrossSigningUsage {
    /// `master`
    Master = 0,
    /// `self_signing`
    SelfSigning = 1,
    /// `user_signing`
    UserSigning = 2,
}

/// A cross-signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossSigningKeyRecord {
    /// The key object in canonical JSON, without `signatures`.
    pub json: String,
    /// The public key in unpadded base64: the name by which signatures refer to it.
    pub public_key: String,
}

impl Record for CrossSigningKeyRecord {}

/// A backup of room keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupVersionRecord {
    /// The algorithm.
    pub algorithm: String,
    /// `auth_data` in JSON.
    pub auth_data: String,
    /// Raised by each change of the stored keys.
    pub etag: u64,
    /// How many keys are stored.
    pub count: u64,
    /// The backup was deleted; its keys are gone or going.
    pub deleted: bool,
}

impl Record for BackupVersionRecord {}

/// The backup of one room key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupKeyRecord {
    /// The first message that the key can decrypt.
    pub first_message_index: u64,
    /// How often it was forwarded.
    pub forwarded_count: u64,
    /// The device verified the device it got the key from.
    pub is_verified: bool,
    /// The encrypted key, in JSON.
    pub session_data: String,
}

impl Record for BackupKeyRecord {}

/// A message that waits for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToDeviceRecord {
    /// The event in JSON: `content`, `sender`, `type`.
    pub json: String,
}

impl Record for ToDeviceRecord {}

table! {
    /// The keys of a device.
    DeviceKeys: pub struct DeviceKeysKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId,
    } => DeviceKeysRecord;
    /// The one-time keys of a device and an algorithm, in the order of upload.
    OneTimeKey: pub struct OneTimeKeyKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId, algorithm: String, at: Stamp, index: u32,
        key_id: String,
    } => OneTimeKeyRecord;
    /// The one-time keys of a device by id.
    OneTimeKeyById: pub struct OneTimeKeyByIdKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId, algorithm: String, key_id: String,
    } => OneTimeKeyPlace;
    /// The fallback keys of a device.
    FallbackKey: pub struct FallbackKeyKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId, algorithm: String,
    } => FallbackKeyRecord;
    /// What a device has in stock.
    KeyStock: pub struct KeyStockKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId,
    } => KeyStockRecord;
    /// The cross-signing keys of a user; `usage` is a [`CrossSigningUsage`].
    CrossSigningKey: pub struct CrossSigningKeyKey {
        user_id: OwnedUserId, usage: u8,
    } => CrossSigningKeyRecord;
    /// Verified signatures of a device (`target` is its id) or of a cross-signing key (`target` is the
    /// public key), by signer; `signing_key_id` is such as `ed25519:ABCDEF`.
    KeySignature: pub struct KeySignatureKey {
        user_id: OwnedUserId, target: String, signer: OwnedUserId, signing_key_id: String,
    } => String;
    /// Users whose devices or cross-signing keys changed, in order; one row per user.
    DeviceListChange: pub struct DeviceListChangeKey { at: Stamp, user_id: OwnedUserId } => ();
    /// The position of this record is that of the user's row in the stream of changes.
    DeviceListHead: pub struct DeviceListHeadKey { user_id: OwnedUserId } => ();
    /// Users whose keys the observer has signed: only the observer learns of it.
    SignatureChange: pub struct SignatureChangeKey {
        observer: OwnedUserId, at: Stamp, user_id: OwnedUserId,
    } => ();
    /// Users that began (`true`) or ended (`false`) to be joined to a room, in order.
    SharingChange: pub struct SharingChangeKey {
        at: Stamp, room: RoomNumber, user_id: OwnedUserId,
    } => bool;
    /// The messages that wait for a device, in order.
    ToDevice: pub struct ToDeviceKey {
        user_id: OwnedUserId, device_id: OwnedDeviceId, at: Stamp, index: u32,
    } => ToDeviceRecord;
    /// The number of the newest backup of a user.
    BackupHead: pub struct BackupHeadKey { user_id: OwnedUserId } => u64;
    /// The backups of a user.
    BackupVersion: pub struct BackupVersionKey { user_id: OwnedUserId, version: u64 } => BackupVersionRecord;
    /// The keys in a backup.
    BackupKey: pub struct BackupKeyKey {
        user_id: OwnedUserId, version: u64, room_id: OwnedRoomId, session_id: String,
    } => BackupKeyRecord;
}
