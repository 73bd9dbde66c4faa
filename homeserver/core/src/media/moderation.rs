//! What admins do with files: look at what there is, take content out of circulation, delete it.

use pli_schema::records::{
    media::{
        ContentHash, MediaBytesKey, MediaBytesRecord, MediaKey, MediaOfUserKey, MediaRecord,
        PendingMediaKey, QuarantineKey, QuarantineRecord, ThumbnailKey,
    },
    policy::AuditRecord,
};
use pli_store::{Scan, Tx};
use ruma::{OwnedUserId, UserId};
use serde_json::json;

use super::{Media, no_media};
use crate::{Error, MilliSeconds, Result, audit};

/// Files in one page, at most.
const PAGE_MAX: usize = 200;

/// A file as an admin sees it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The identifier on this server.
    pub media_id: String,
    /// What is known of it.
    pub record: MediaRecord,
    /// Who took its content out of circulation, and when.
    pub quarantine: Option<QuarantineRecord>,
}

/// A page of files.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The files.
    pub entries: Vec<Entry>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

impl Media {
    /// Files: of a user, the newest first, or of everyone in the order of their identifiers. `from` is
    /// the `next` of the page before.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a `from` that no page gave.
    pub async fn list(
        &self,
        user_id: Option<&UserId>,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let limit = limit.clamp(1, PAGE_MAX);
        match user_id {
            Some(user_id) => self.list_of(user_id, from, limit).await,
            None => self.list_all(from, limit).await,
        }
    }

    async fn list_of(&self, user_id: &UserId, from: Option<&str>, limit: usize) -> Result<Page> {
        let mut range = Scan::<MediaOfUserKey>::prefix((user_id.to_owned(),)).backward();
        if let Some(from) = from {
            let parsed = from.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id)));
            let (created_ms, media_id): (MilliSeconds, &str) = parsed
                .ok_or_else(|| Error::invalid_param("`from` is the `next` of another page"))?;
            range = range.before((user_id.to_owned(), created_ms, media_id.to_owned()));
        }
        let rows = self.store.scan(&range.limit(limit)).await?;
        let mut page = Page::default();
        for row in &rows {
            page.entries.extend(self.entry(&row.key.media_id).await?);
        }
        page.next = rows
            .last()
            .filter(|_| rows.len() == limit)
            .map(|row| format!("{}-{}", row.key.created_ms, row.key.media_id));
        Ok(page)
    }

    async fn list_all(&self, from: Option<&str>, limit: usize) -> Result<Page> {
        let server_name = self.server_name.to_string();
        let mut range = Scan::<MediaKey>::prefix((server_name.clone(),));
        if let Some(from) = from {
            range = range.after((server_name, from.to_owned()));
        }
        let rows = self.store.scan(&range.limit(limit)).await?;
        let mut page = Page::default();
        for row in &rows {
            page.entries.extend(self.entry(&row.key.media_id).await?);
        }
        let last = rows.last().filter(|_| rows.len() == limit);
        page.next = last.map(|row| row.key.media_id.clone());
        Ok(page)
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn known(&self, media_id: &str) -> Result<Entry> {
        self.check_id(&self.server_name, media_id)?;
        self.entry(media_id).await?.ok_or_else(no_media)
    }

    async fn entry(&self, media_id: &str) -> Result<Option<Entry>> {
        let Some(record) = self.store.get(&self.key(media_id)).await? else {
            return Ok(None);
        };
        let quarantine = match &record.content {
            Some(content) => self.store.get(&QuarantineKey { hash: content.hash }).await?,
            None => None,
        };
        Ok(Some(Entry { media_id: media_id.to_owned(), record, quarantine }))
    }

    /// Takes the content of a file out of circulation: nobody gets it any more, neither under this
    /// identifier nor under another one, uploaded before or later. `false` lets it circulate again.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file.
    pub async fn quarantine(&self, admin: &UserId, media_id: &str, on: bool) -> Result<()> {
        let entry = self.known(media_id).await?;
        let hash = entry.record.content.ok_or_else(no_media)?.hash;
        let (key, now_ms) = (&QuarantineKey { hash }, self.clock.now_ms());
        let action = if on { "media.quarantine" } else { "media.release" };
        let note = &self.note(admin, action, media_id, &entry.record.uploader);
        self.store
            .write(|tx| async move {
                if on {
                    let record = QuarantineRecord { by: admin.to_owned(), at_ms: now_ms };
                    tx.put(key, &record)?;
                } else {
                    tx.delete(key);
                }
                audit::record(&tx, 0, note)
            })
            .await
    }

    /// Whether content is out of circulation.
    pub(super) async fn is_quarantined(&self, hash: &ContentHash) -> Result<bool> {
        Ok(self.store.get(&QuarantineKey { hash: *hash }).await?.is_some())
    }

    /// Deletes a file, on behalf of an admin. Its bytes go when no other identifier names them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file.
    pub async fn delete(&self, admin: &UserId, media_id: &str) -> Result<()> {
        let entry = self.known(media_id).await?;
        let note = self.note(admin, "media.delete", media_id, &entry.record.uploader);
        self.remove(media_id, Some(&note)).await
    }

    /// Deletes the newest files of a user, at most a page of them; returns how many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delete_of(&self, admin: &UserId, user_id: &UserId) -> Result<usize> {
        let page = self.list_of(user_id, None, PAGE_MAX).await?;
        for entry in &page.entries {
            self.delete(admin, &entry.media_id).await?;
        }
        Ok(page.entries.len())
    }

    fn note(&self, admin: &UserId, action: &str, media_id: &str, of: &OwnedUserId) -> AuditRecord {
        AuditRecord {
            at_ms: self.clock.now_ms(),
            actor: Some(admin.to_owned()),
            action: action.to_owned(),
            subject: format!("mxc://{}/{media_id}", self.server_name),
            details_json: json!({ "uploader": of }).to_string(),
        }
    }

    /// Deletes a file if it is there.
    pub(super) async fn remove(&self, media_id: &str, note: Option<&AuditRecord>) -> Result<()> {
        let key = &self.key(media_id);
        let unused = self
            .store
            .write(|tx| async move {
                let Some(record) = tx.get(key).await? else {
                    return Ok(Vec::new());
                };
                tx.delete(key);
                Self::uncount_file(&tx, key, &record).await?;
                let (user_id, media_id) = (record.uploader, key.media_id.clone());
                tx.delete(&PendingMediaKey { user_id, media_id });
                if let Some(note) = note {
                    audit::record(&tx, 0, note)?;
                }
                match record.content {
                    Some(content) => release(&tx, content.hash).await,
                    None => Ok(Vec::new()),
                }
            })
            .await?;
        for hash in unused {
            self.remove_unused(&hash).await?;
        }
        Ok(())
    }

    /// Removes bytes that nothing names. Nobody places any meanwhile.
    pub(super) async fn remove_unused(&self, hash: &ContentHash) -> Result<()> {
        let _alone = self.placing.write().await;
        let key = &MediaBytesKey { hash: *hash };
        if self.store.get(key).await?.is_some_and(|record| record.uses > 0) {
            return Ok(());
        }
        self.files.delete(hash).await?;
        self.store
            .write(|tx| async move {
                tx.delete(key);
                Ok::<_, Error>(())
            })
            .await
    }
}

/// One identifier less names these bytes; returns the bytes that nothing names then: these, and with
/// them their thumbnails. Their records stay until the bytes are gone, so that none are forgotten.
pub(super) async fn release(tx: &Tx, hash: ContentHash) -> Result<Vec<ContentHash>> {
    let mut unused = Vec::new();
    if !uncount_use(tx, hash).await? {
        return Ok(unused);
    }
    unused.push(hash);
    for row in tx.scan(&Scan::<ThumbnailKey>::prefix((hash,))).await? {
        tx.delete(&row.key);
        // The image itself may be its thumbnail.
        if row.record.hash != hash && uncount_use(tx, row.record.hash).await? {
            unused.push(row.record.hash);
        }
    }
    Ok(unused)
}

/// Whether that was the last use.
async fn uncount_use(tx: &Tx, hash: ContentHash) -> Result<bool> {
    let key = MediaBytesKey { hash };
    let Some(before) = tx.get(&key).await? else {
        return Ok(true);
    };
    let uses = before.uses.saturating_sub(1);
    tx.put(&key, &MediaBytesRecord { uses, ..before })?;
    Ok(uses == 0)
}
