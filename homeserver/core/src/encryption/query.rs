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
    signed_json::{Signatures, with_signatures},
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
