//! Queries of device keys and cross-signing keys.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery>

use std::collections::{BTreeMap, HashMap};

use pli_schema::records::{
    accounts::DeviceKey,
    encryption::{CrossSigningKeyKey, CrossSigningUsage, DeviceKeysKey, KeySignatureKey},
};
use pli_store::Scan;
use ruma::{
    OwnedDeviceId, OwnedUserId, UserId,
    encryption::{CrossSigningKey, DeviceKeys},
    serde::Raw,
};

use super::{
    Encryption,
    signed_json::{Signatures, with_signatures, with_signatures_of},
};
use crate::Result;

/// Keys by user, as the asking user may see them.
#[derive(Clone, Debug, Default)]
pub struct QueriedKeys {
    /// Device keys by device.
    pub device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Raw<DeviceKeys>>>,
    /// Master keys.
    pub master_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
    /// Self-signing keys.
    pub self_signing_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
    /// The user-signing key of the asking user.
    pub user_signing_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
}

impl Encryption {
    /// The keys of users of this server: of the devices named, or of all if none is. Users and devices
    /// that are not here are not in the answer.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn query_keys(
        &self,
        asking: &UserId,
        wanted: &BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
    ) -> Result<QueriedKeys> {
        let mut found = QueriedKeys::default();
        for (user_id, devices) in wanted.iter().filter(|(user, _)| self.is_local(user)) {
            let signatures = self.visible_signatures(asking, user_id).await?;
            let device_keys = self.device_keys_of(user_id, devices, &signatures).await?;
            found.device_keys.insert(user_id.clone(), device_keys);
            self.cross_signing_keys_of(asking, user_id, &signatures, &mut found).await?;
        }
        Ok(found)
    }

    async fn device_keys_of(
        &self,
        user_id: &OwnedUserId,
        wanted: &[OwnedDeviceId],
        signatures: &HashMap<String, Signatures>,
    ) -> Result<BTreeMap<OwnedDeviceId, Raw<DeviceKeys>>> {
        let rows = self.store.scan(&Scan::<DeviceKeysKey>::prefix((user_id.clone(),))).await?;
        let mut found = BTreeMap::new();
        let none = Signatures::new();
        for row in rows {
            let device_id = row.key.device_id;
            if !wanted.is_empty() && !wanted.contains(&device_id) {
                continue;
            }
            let key = DeviceKey { user_id: user_id.clone(), device_id: device_id.clone() };
            let name = self.store.get(&key).await?.and_then(|device| device.display_name);
            let signatures = signatures.get(device_id.as_str()).unwrap_or(&none);
            let json = with_signatures(&row.record.json, signatures, name.as_deref())?;
            found.insert(device_id, Raw::from_json(json));
        }
        Ok(found)
    }

    async fn cross_signing_keys_of(
        &self,
        asking: &UserId,
        user_id: &OwnedUserId,
        signatures: &HashMap<String, Signatures>,
        found: &mut QueriedKeys,
    ) -> Result<()> {
        let rows = self.store.scan(&Scan::<CrossSigningKeyKey>::prefix((user_id.clone(),))).await?;
        let none = Signatures::new();
        for row in rows {
            let map = match row.key.usage {
                usage if usage == CrossSigningUsage::Master as u8 => &mut found.master_keys,
                usage if usage == CrossSigningUsage::SelfSigning as u8 => {
                    &mut found.self_signing_keys
                }
                // Whom a user has verified is nobody else's business.
                _ if asking == user_id => &mut found.user_signing_keys,
                _ => continue,
            };
            let signatures = signatures.get(&row.record.public_key).unwrap_or(&none);
            let json = with_signatures(&row.record.json, signatures, None)?;
            map.insert(user_id.clone(), Raw::from_json(json));
        }
        Ok(())
    }

    /// The signatures of a user's keys, by target: the user's own and those of the asking user.
    async fn visible_signatures(
        &self,
        asking: &UserId,
        user_id: &OwnedUserId,
    ) -> Result<HashMap<String, Signatures>> {
        let rows = self.store.scan(&Scan::<KeySignatureKey>::prefix((user_id.clone(),))).await?;
        let mut by_target: HashMap<String, Signatures> = HashMap::new();
        for row in rows {
            let key = row.key;
            if key.signer == asking || key.signer == *user_id {
                let by_signer = by_target.entry(key.target).or_default();
                by_signer.entry(key.signer).or_default().insert(key.signing_key_id, row.record);
            }
        }
        Ok(by_target)
    }
}

/// The keys of a user of this server, as other servers may see them: without the names of devices, and
/// with the user's own signatures only.
#[derive(Clone, Debug, Default)]
pub struct PublishedKeys {
    /// The keys of the devices.
    pub devices: BTreeMap<OwnedDeviceId, Raw<DeviceKeys>>,
    /// The master key.
    pub master_key: Option<Raw<CrossSigningKey>>,
    /// The self-signing key.
    pub self_signing_key: Option<Raw<CrossSigningKey>>,
}

impl Encryption {
    /// The keys of a user of this server for other servers; nothing for other users.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn published_keys(&self, user_id: &UserId) -> Result<PublishedKeys> {
        if !self.is_local(user_id) {
            return Ok(PublishedKeys::default());
        }
        let user_id = user_id.to_owned();
        let signatures = self.visible_signatures(&user_id, &user_id).await?;
        let none = Signatures::new();
        let mut published = PublishedKeys::default();
        for row in self.store.scan(&Scan::<DeviceKeysKey>::prefix((user_id.clone(),))).await? {
            let device_id = row.key.device_id;
            let signatures = signatures.get(device_id.as_str()).unwrap_or(&none);
            let json = with_signatures(&row.record.json, signatures, None)?;
            published.devices.insert(device_id, Raw::from_json(json));
        }
        let mut found = QueriedKeys::default();
        self.cross_signing_keys_of(&user_id, &user_id, &signatures, &mut found).await?;
        published.master_key = found.master_keys.remove(&user_id);
        published.self_signing_key = found.self_signing_keys.remove(&user_id);
        Ok(published)
    }

    /// The master key of a user of another server, with the signatures that a user of this server has
    /// put on it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn signed_by(
        &self,
        signer: &UserId,
        user_id: &OwnedUserId,
        master_key: &Raw<CrossSigningKey>,
    ) -> Result<Raw<CrossSigningKey>> {
        let text = master_key.json().get();
        let mut signatures = BTreeMap::new();
        for row in self.store.scan(&Scan::<KeySignatureKey>::prefix((user_id.clone(),))).await? {
            // A key is in its own text: signatures of an earlier one are not.
            if row.key.signer == signer && text.contains(&row.key.target) {
                signatures.insert(row.key.signing_key_id, row.record);
            }
        }
        if signatures.is_empty() {
            return Ok(master_key.clone());
        }
        Ok(Raw::from_json(with_signatures_of(text, signer, &signatures)?))
    }
}
