//! How many one-time keys a device has, and which fallback keys are unused: read on each sync.

use pli_schema::records::encryption::{KeyStockKey, KeyStockRecord};
use ruma::{DeviceId, OneTimeKeyAlgorithm, UserId};

use super::Encryption;
use crate::Result;

impl Encryption {
    /// Unclaimed one-time keys of a device by algorithm. `signed_curve25519` is always in it, because
    /// some clients do not take a missing count for 0.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn one_time_key_counts(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Vec<(OneTimeKeyAlgorithm, u32)>> {
        Ok(counts(&self.stock(user_id, device_id).await?))
    }

    /// The algorithms whose fallback key was not handed out yet.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn unused_fallback_key_types(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Vec<OneTimeKeyAlgorithm>> {
        let stock = self.stock(user_id, device_id).await?;
        Ok(stock.unused_fallback.iter().map(|name| name.as_str().into()).collect())
    }

    async fn stock(&self, user_id: &UserId, device_id: &DeviceId) -> Result<KeyStockRecord> {
        let key = KeyStockKey { user_id: user_id.to_owned(), device_id: device_id.to_owned() };
        Ok(self.store.get(&key).await?.unwrap_or_default())
    }
}

/// The counts of a stock, as clients see them.
pub(super) fn counts(stock: &KeyStockRecord) -> Vec<(OneTimeKeyAlgorithm, u32)> {
    let mut counts: Vec<(OneTimeKeyAlgorithm, u32)> =
        stock.one_time.iter().map(|(name, count)| (name.as_str().into(), *count)).collect();
    if !counts.iter().any(|(name, _)| *name == OneTimeKeyAlgorithm::SignedCurve25519) {
        counts.push((OneTimeKeyAlgorithm::SignedCurve25519, 0));
    }
    counts
}

/// Changes the count of an algorithm.
pub(super) fn add(stock: &mut KeyStockRecord, algorithm: &str, by: i64) {
    let index = stock.one_time.iter().position(|(name, _)| name == algorithm);
    let index = index.unwrap_or_else(|| {
        stock.one_time.push((algorithm.to_owned(), 0));
        stock.one_time.len().saturating_sub(1)
    });
    if let Some((_, count)) = stock.one_time.get_mut(index) {
        let sum = i64::from(*count).saturating_add(by).max(0);
        *count = u32::try_from(sum).unwrap_or(u32::MAX);
    }
}
