//! Files of other servers: fetched when somebody wants one, bounded in size and time, one fetch for each
//! file at a time, and kept until nobody has asked for a while.
//!
//! Spec: <https://spec.matrix.org/v1.19/server-server-api/#content-repository>

mod fetch;
mod multipart;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use pli_schema::records::{
    media::{QuarantineKey, QuarantineRecord},
    partners::{RemoteMediaKey, RemoteMediaRecord},
    policy::AuditRecord,
};
use pli_store::Scan;
use ruma::{ServerName, UserId};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    File, Media,
    moderation::release,
    no_media,
    upload::{content, count_use},
};
use crate::{
    Error, MilliSeconds, Result, audit,
    federation::{Remote, Use},
    rooms::ByteCache,
};

/// Files that are fetched at once; more wait.
const FETCHES: usize = 16;
/// A file that another server does not have is not asked for again for this long.
const MISSING_MS: u64 = 30_000;
/// Such files that are remembered.
const MISSING_MAX: usize = 10_000;
/// When a file was used is noted to the day.
const DAY_MS: MilliSeconds = 24 * 3_600_000;
/// Rows looked at in one step of a sweep.
const STEP: usize = 200;

/// A server and the identifier of a file on it.
type Place = (String, String);

/// What fetching needs.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    remote: Remote,
    fetching: Arc<Semaphore>,
    turns: Arc<Mutex<BTreeMap<Place, Arc<tokio::sync::Mutex<()>>>>>,
    missing: ByteCache<Place, MilliSeconds>,
}

impl Media {
    /// With files of other servers.
    #[must_use]
    pub fn with_remote(mut self, remote: Remote) -> Self {
        self.elsewhere = Some(Elsewhere {
            remote,
            fetching: Arc::new(Semaphore::new(FETCHES)),
            turns: Arc::default(),
            missing: ByteCache::new(MISSING_MAX),
        });
        self
    }

    /// A file of another server.
    pub(super) async fn remote_file(
        &self,
        server: &ServerName,
        media_id: &str,
        timeout: Duration,
    ) -> Result<File> {
        let Some(elsewhere) = &self.elsewhere else { return Err(no_media()) };
        if !elsewhere.remote.partners().is_enabled() || !super::is_media_id(media_id) {
            return Err(no_media());
        }
        elsewhere.remote.partners().require(server, Use::Media).await?;
        if let Some(file) = self.kept(server, media_id).await? {
            return Ok(file);
        }
        let place: Place = (server.to_string(), media_id.to_owned());
        let turn = Arc::clone(elsewhere.turns.lock().entry(place.clone()).or_default());
        let guard = turn.lock().await;
        let file = self.fetch_unless_kept(elsewhere, (server, media_id), timeout).await;
        drop(guard);
        let mut turns = elsewhere.turns.lock();
        if Arc::strong_count(&turn) == 2 {
            turns.remove(&place);
        }
        file
    }

    async fn fetch_unless_kept(
        &self,
        elsewhere: &Elsewhere,
        (server, media_id): (&ServerName, &str),
        timeout: Duration,
    ) -> Result<File> {
        if let Some(file) = self.kept(server, media_id).await? {
            return Ok(file);
        }
        let place: Place = (server.to_string(), media_id.to_owned());
        let now_ms = self.clock.now_ms();
        if elsewhere.missing.get(&place).is_some_and(|until| now_ms < until) {
            return Err(no_media());
        }
        let closed = |_| Error::bug("nothing is fetched any more");
        let _fetching = elsewhere.fetching.acquire().await.map_err(closed)?;
        match self.fetch(elsewhere, server, media_id, timeout).await {
            Err(Error::NotFound(text)) => {
                let until = self.clock.now_ms().saturating_add(MISSING_MS);
                elsewhere.missing.put(place, until, 1);
                Err(Error::NotFound(text))
            }
            other => other,
        }
    }

    /// A file that is here, and a note that it was used.
    async fn kept(&self, server: &ServerName, media_id: &str) -> Result<Option<File>> {
        let key = &remote_key(server, media_id);
        let Some(record) = self.store.get(key).await? else { return Ok(None) };
        let now_ms = self.clock.now_ms();
        if now_ms.saturating_sub(record.used_ms) >= DAY_MS {
            let used = |tx: pli_store::Tx| async move {
                // Removed meanwhile: it stays removed.
                if let Some(record) = tx.get(key).await? {
                    tx.put(key, &RemoteMediaRecord { used_ms: now_ms, ..record })?;
                }
                Ok::<_, Error>(())
            };
            self.store.write(used).await?;
        }
        self.circulating(record.content.into()).await.map(Some)
    }

    async fn fetch(
        &self,
        elsewhere: &Elsewhere,
        server: &ServerName,
        media_id: &str,
        timeout: Duration,
    ) -> Result<File> {
        let (meta, body) = fetch::open(&elsewhere.remote, server, media_id, timeout).await?;
        let received = self.receive_remote(body).await?;
        let written = received.written;
        let (key, now_ms) = (&remote_key(server, media_id), self.clock.now_ms());
        let content = content(written, &meta);
        let record =
            &RemoteMediaRecord { content: content.clone(), fetched_ms: now_ms, used_ms: now_ms };
        self.place(&received, |tx| async move {
            count_use(&tx, written).await?;
            tx.put(key, record)?;
            Ok(())
        })
        .await?;
        self.circulating(content.into()).await
    }

    async fn receive_remote(&self, body: fetch::Body) -> Result<super::files::Received> {
        use super::files::WriteError;
        let limit = self.settings.upload_limit_bytes;
        let received = self.files.receive(&self.random.letters(24), body, limit).await;
        received.map_err(|error| match error {
            WriteError::TooLarge => {
                Error::too_large("The file of the other server is too large for this one")
            }
            WriteError::Source(error) => Error::RemoteUnavailable(error),
            WriteError::Failed(error) => error,
        })
    }

    /// What is known of a file of another server that is here, and who took it out of circulation.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not here.
    pub async fn known_remote(
        &self,
        server: &ServerName,
        media_id: &str,
    ) -> Result<(RemoteMediaRecord, Option<QuarantineRecord>)> {
        let record = self.store.get(&remote_key(server, media_id)).await?.ok_or_else(no_media)?;
        let quarantine = self.store.get(&QuarantineKey { hash: record.content.hash }).await?;
        Ok((record, quarantine))
    }

    /// As [`Self::quarantine`], of a file of another server that is here. It stays out of circulation
    /// when it is fetched again.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not here.
    pub async fn quarantine_remote(
        &self,
        admin: &UserId,
        (server, media_id): (&ServerName, &str),
        on: bool,
    ) -> Result<()> {
        let (record, _) = self.known_remote(server, media_id).await?;
        let key = &QuarantineKey { hash: record.content.hash };
        let action = if on { "media.quarantine" } else { "media.release" };
        let entry = &self.note_remote(admin, action, (server, media_id));
        self.store
            .write(|tx| async move {
                if on {
                    let record = QuarantineRecord { by: admin.to_owned(), at_ms: entry.at_ms };
                    tx.put(key, &record)?;
                } else {
                    tx.delete(key);
                }
                audit::record(&tx, 0, entry)
            })
            .await
    }

    /// Removes what is here of a file of another server. Who asks for it again gets it from there.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not here.
    pub async fn delete_remote(
        &self,
        admin: &UserId,
        server: &ServerName,
        media_id: &str,
    ) -> Result<()> {
        self.known_remote(server, media_id).await?;
        let entry = self.note_remote(admin, "media.delete", (server, media_id));
        self.remove_remote(&remote_key(server, media_id), Some(&entry)).await
    }

    fn note_remote(
        &self,
        admin: &UserId,
        action: &str,
        (server, media_id): (&ServerName, &str),
    ) -> AuditRecord {
        AuditRecord {
            at_ms: self.clock.now_ms(),
            actor: Some(admin.to_owned()),
            action: action.to_owned(),
            subject: format!("mxc://{server}/{media_id}"),
            details_json: json!({}).to_string(),
        }
    }

    async fn remove_remote(&self, key: &RemoteMediaKey, entry: Option<&AuditRecord>) -> Result<()> {
        let remove = |tx: pli_store::Tx| async move {
            let Some(record) = tx.get(key).await? else { return Ok(Vec::new()) };
            tx.delete(key);
            if let Some(entry) = entry {
                audit::record(&tx, 0, entry)?;
            }
            release(&tx, record.content.hash).await
        };
        for hash in self.store.write(remove).await? {
            self.remove_unused(&hash).await?;
        }
        Ok(())
    }

    /// Removes files of other servers that nobody has asked for in a while.
    pub(super) async fn sweep_remote(&self, pause: Duration) -> Result<usize> {
        let Some(keep_ms) = self.settings.remote_keep_ms else { return Ok(0) };
        let before = self.clock.now_ms().saturating_sub(keep_ms);
        let mut range = Scan::<RemoteMediaKey>::prefix(()).limit(STEP);
        let mut removed = 0_usize;
        loop {
            let rows = self.store.scan(&range).await?;
            let Some(last) = rows.last().map(|row| row.key.clone()) else { return Ok(removed) };
            for row in rows.iter().filter(|row| row.record.used_ms < before) {
                self.remove_remote(&row.key, None).await?;
                removed = removed.saturating_add(1);
            }
            range = range.after((last.server_name, last.media_id));
            tokio::time::sleep(pause).await;
        }
    }
}

fn remote_key(server: &ServerName, media_id: &str) -> RemoteMediaKey {
    RemoteMediaKey { server_name: server.to_string(), media_id: media_id.to_owned() }
}
