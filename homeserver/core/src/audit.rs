//! The audit log: what admins and the server did, in the order of the store's positions.

use pli_schema::{
    Position, Stamp,
    records::policy::{AuditKey, AuditRecord},
};
use pli_store::{Scan, Store, Tx};

use crate::Result;

/// Entries in one page, at most.
pub const PAGE_MAX: usize = 500;

/// Writes an entry in the transaction that does what it tells of. `index` tells apart the entries of one
/// transaction.
///
/// # Errors
/// Those of the store.
pub fn record(tx: &Tx, index: u32, entry: &AuditRecord) -> Result<()> {
    Ok(tx.put(&AuditKey { at: Stamp::Commit, index }, entry)?)
}

/// The log. Clones share it.
#[derive(Clone, Debug)]
pub struct Audit {
    store: Store,
}

impl Audit {
    /// The log of a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The newest entries before a position, newest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn newest(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<(Position, AuditRecord)>> {
        let mut scan = Scan::<AuditKey>::prefix(()).backward().limit(limit.clamp(1, PAGE_MAX));
        if let Some(before) = before {
            scan = scan.before((Stamp::At(before),));
        }
        let rows = self.store.scan(&scan).await?;
        Ok(rows.into_iter().map(|row| (row.position, row.record)).collect())
    }
}
