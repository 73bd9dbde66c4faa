//! `backup` while the store is in use, and `restore`.
//!
//! A backup is the state of the store at one commit, its *mark*: every transaction up to it, whole, and
//! none after it. It is made without stopping writers:
//!
//! 1. A tap is opened: from the next group of commits on, it notes every change once it is durable. An
//!    empty commit follows, so that no group from before is under way any more.
//! 2. All rows are read in the order of their keys, page by page; after each page, what the tap has
//!    noted is written behind it. A row that is read may be older or newer than its neighbors.
//! 3. Another empty commit; then the tap is taken a last time. The mark is the position it reaches to.
//!
//! A restore applies everything in the order of the file. A row read by step 2 either was not changed
//! since the tap was opened, then it is as it was at the mark; or its changes are in the file, all of
//! those that the row did not yet have behind it, and the last of them is the state at the mark. That
//! holds for removed rows as well, because a page is written before the tap is taken.
//!
//! File: the line `PLI BACKUP 1`, then blocks of 4 bytes length and 4 bytes CRC-32 (big-endian) before
//! their content. The first block is the [`Head`], the last one the [`Tail`], both postcard; those
//! between hold entries: `01`, key, value or `00`, key, where key and value have their length (4 bytes,
//! big-endian) before them. Values are as the store keeps them, with checksum and position.

mod file;
mod restored;

use std::path::{Path, PathBuf};

use pli_schema::{
    Key, Position, Record, Table,
    records::meta::{FormatKey, FormatRecord},
};

use self::file::{Head, Writer};
pub use self::restored::restore;
use crate::{
    Backend, Batch, Direction, Progress, RawScan, Store, StoreError, decode_value, limits,
    open::{blocking, commit_blocking},
};

/// What was backed up or restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The server name whose data it is.
    pub server_name: String,
    /// The mark: the newest commit in the backup. Everything acknowledged when the backup ended is at or
    /// before it.
    pub position: Position,
    /// Rows and changes in the file.
    pub entries: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
}

impl Store {
    /// Writes a backup to a new file, while the store is in use. An interrupted backup leaves only a
    /// file with the ending `.partial`.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if the file exists; [`StoreError::Corrupt`] if a row is damaged: a
    /// backup holds sound rows only; [`StoreError::Full`] and [`StoreError::Io`].
    pub async fn backup(
        &self,
        to: PathBuf,
        progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<BackupReport, StoreError> {
        let backend = self.backend.clone();
        blocking(move || write_backup(&backend, &to, Box::new(progress))).await
    }
}

fn write_backup(
    backend: &Backend,
    to: &Path,
    mut progress: Box<dyn FnMut(Progress)>,
) -> Result<BackupReport, StoreError> {
    let format = backend.get_now(&FormatKey {}.encode().bytes)?;
    let format = format.ok_or_else(|| StoreError::Unusable("the store is empty".to_owned()))?;
    let format = FormatRecord::decode(&format.record)?;
    let server_name = format.server_name.clone();
    let mut file = Writer::create(to, &Head { format })?;
    let tap = backend.tap();
    commit_blocking(backend, Batch::default())?;
    let mut next = vec![0];
    loop {
        let page = RawScan {
            start: next.clone(),
            end: vec![0xFF; limits::KEY_BYTES_MAX.saturating_add(1)],
            direction: Direction::Forward,
            limit: limits::PAGE_ROWS,
        };
        let rows = backend.scan_raw(&page)?;
        let Some((last, _)) = rows.last() else { break };
        next.clone_from(last);
        next.push(0);
        for (key, bytes) in &rows {
            // The mark is in the tail.
            if key.first() != Some(&(Table::LastPosition as u8)) {
                decode_value(key, bytes)?;
                file.put(key, Some(bytes))?;
            }
        }
        drain(&tap, &mut file)?;
        progress(file.progress("backup"));
    }
    commit_blocking(backend, Batch::default())?;
    let position = drain(&tap, &mut file)?;
    let (entries, size_bytes) = file.finish(to, position)?;
    Ok(BackupReport { server_name, position, entries, size_bytes })
}

/// Writes what has changed; the position this reaches to.
fn drain(tap: &crate::tap::Tap, file: &mut Writer) -> Result<Position, StoreError> {
    let (changes, position) = tap.take()?;
    for (key, value) in &changes {
        file.put(key, value.as_deref())?;
    }
    Ok(position)
}
