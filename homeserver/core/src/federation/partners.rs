//! With whom this server speaks: partners and blocked servers are data in the store, changed while the
//! server runs. What is decided for each request is read from memory.

mod awaited;
mod change;
mod contacts;
mod lists;
mod names;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::RwLock;
use pli_schema::records::partners::{
    BlockedServerKey, PartnerKey, PartnerRecord, RefusedKeyKey, RefusedRecord,
};
use pli_store::{Scan, Store};
use ruma::{OwnedServerName, OwnedServerSigningKeyId, OwnedUserId, ServerName, serde::Base64};

use self::lists::Lists;
pub use self::{
    awaited::Awaited,
    change::NewPartner,
    contacts::{Contact, Contacts},
    lists::Use,
};
use crate::{Clock, Error, Result, rooms::ByteCache};

/// Names of people, and servers, that are remembered as written down.
const NOTED_MAX: usize = 10_000;

/// How the configuration wants federation to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Openness {
    /// This server takes part at all.
    pub enabled: bool,
    /// It speaks with everybody who is not blocked; else with partners only.
    pub open: bool,
}

/// The servers with which this one speaks, in either direction. Clones share everything.
#[derive(Clone, Debug)]
pub struct Partners {
    openness: Openness,
    store: Store,
    clock: Clock,
    /// `None` until it was read for the first time.
    lists: Arc<RwLock<Option<Arc<Lists>>>>,
    /// Reading is done by one at a time: the last reader has seen the last change.
    reading: Arc<tokio::sync::Mutex<()>>,
    contacts: Contacts,
    /// People whose names were written down, with the name.
    noted_names: ByteCache<(OwnedUserId, String), ()>,
    /// How many of each server in this hour.
    noted_hours: ByteCache<OwnedServerName, (u64, u32)>,
}

impl Partners {
    /// The partners of a store.
    #[must_use]
    pub fn new(store: Store, clock: Clock, openness: Openness) -> Self {
        Self {
            openness,
            store,
            contacts: Contacts::new(clock.clone()),
            clock,
            lists: Arc::default(),
            reading: Arc::default(),
            noted_names: ByteCache::new(NOTED_MAX),
            noted_hours: ByteCache::new(NOTED_MAX),
        }
    }

    /// Whether this server takes part in federation.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.openness.enabled
    }

    /// Whether it speaks with servers that are no partners too.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.openness.open
    }

    /// When each server was heard of last.
    #[must_use]
    pub const fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// Lets a server pass.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for one with which this server does not speak; those of the store.
    pub async fn admit(&self, server: &ServerName) -> Result<()> {
        if !self.openness.enabled {
            return Err(Error::forbidden("This server does not take part in federation"));
        }
        if !self.lists().await?.admits(server, self.openness.open) {
            return Err(Error::forbidden(format!("This server does not speak with {server}")));
        }
        Ok(())
    }

    /// Lets a server pass for something that it may be denied while it is let pass otherwise.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; those of the store.
    pub async fn require(&self, server: &ServerName, what: Use) -> Result<()> {
        self.admit(server).await?;
        if self.lists().await?.allows(server, what) {
            return Ok(());
        }
        Err(Error::forbidden(format!("This is not exchanged with {server}")))
    }

    /// Whether the rooms of a server must keep the rules that this server gives rooms.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn requires_room_rules(&self, server: &ServerName) -> Result<bool> {
        let lists = self.lists().await?;
        Ok(lists.partner(server).is_some_and(|partner| partner.room_rules_required))
    }

    /// What was agreed with a server; `None` if it is no partner.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn partner(&self, server: &ServerName) -> Result<Option<PartnerRecord>> {
        Ok(self.lists().await?.partner(server).cloned())
    }

    /// Whether nothing is exchanged with a server because admins blocked it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_blocked(&self, server: &ServerName) -> Result<bool> {
        Ok(self.lists().await?.is_blocked(server))
    }

    /// Whether a key that a server publishes may be believed: it is not known to be bad, and is among
    /// those that were pinned. Nothing is believed before the lists were read ([`Self::ready`]).
    #[must_use]
    pub fn believes(
        &self,
        server: &ServerName,
        id: &OwnedServerSigningKeyId,
        key: &Base64,
    ) -> bool {
        self.lists.read().as_ref().is_some_and(|lists| lists.believes(server, id, key))
    }

    /// Reads the lists, unless that was done.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn ready(&self) -> Result<()> {
        self.lists().await.map(drop)
    }

    /// All partners, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn all(&self) -> Result<Vec<(OwnedServerName, PartnerRecord)>> {
        let rows = self.store.scan(&Scan::<PartnerKey>::prefix(())).await?;
        Ok(rows.into_iter().map(|row| (row.key.server, row.record)).collect())
    }

    /// The servers with which nothing is exchanged.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn blocked(&self) -> Result<Vec<(OwnedServerName, RefusedRecord)>> {
        let rows = self.store.scan(&Scan::<BlockedServerKey>::prefix(())).await?;
        Ok(rows.into_iter().map(|row| (row.key.server, row.record)).collect())
    }

    /// The public keys that are never believed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn refused_keys(&self) -> Result<Vec<(String, RefusedRecord)>> {
        let rows = self.store.scan(&Scan::<RefusedKeyKey>::prefix(())).await?;
        Ok(rows.into_iter().map(|row| (row.key.key, row.record)).collect())
    }

    async fn lists(&self) -> Result<Arc<Lists>> {
        if let Some(lists) = self.lists.read().clone() {
            return Ok(lists);
        }
        let _turn = self.reading.lock().await;
        if let Some(lists) = self.lists.read().clone() {
            return Ok(lists);
        }
        self.read().await
    }

    /// Reads the lists anew, after a change.
    async fn refresh(&self) -> Result<()> {
        let _turn = self.reading.lock().await;
        self.read().await.map(drop)
    }

    /// Reads the lists. If that fails, nothing of before is kept: the next to ask reads again.
    async fn read(&self) -> Result<Arc<Lists>> {
        let read = async {
            let (partners, blocked) = (self.all().await?, self.blocked().await?);
            let refused = self.refused_keys().await?;
            Ok::<_, Error>(Arc::new(Lists::new(partners, blocked, refused)))
        };
        let read = read.await;
        *self.lists.write() = read.as_ref().ok().cloned();
        read
    }
}
