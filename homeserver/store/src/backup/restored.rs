//! `restore`: a backup into a fresh directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pli_schema::{Key, Position, Record, records::meta::LastPositionKey};

use super::{
    BackupReport,
    file::{Kind, Reader, Tail, entries},
};
use crate::{
    Durability, FORMAT, OpenOptions, Progress, Store, StoreError, decode_value, encode_value,
    open::blocking,
    sled_backend::{Loader, boundary::of_io, files},
};

/// Memory for the engine's cache during a restore.
const CACHE_BYTES: u64 = 128 * 1_024 * 1_024;

/// Restores a backup into a directory that does not exist or is empty, then checks all of it. An
/// interrupted restore leaves only a directory with the ending `.restoring`.
///
/// # Errors
/// [`StoreError::Unusable`] if the directory holds something or the file is no backup;
/// [`StoreError::Corrupt`] if the backup is damaged or not whole; [`StoreError::Full`] and
/// [`StoreError::Io`].
pub async fn restore(
    from: PathBuf,
    to: PathBuf,
    progress: impl FnMut(Progress) + Send + Clone + 'static,
) -> Result<BackupReport, StoreError> {
    let building = with_ending(&to, ".restoring");
    let (target, dir, told) = (to.clone(), building.clone(), progress.clone());
    let report = blocking(move || {
        let is_free =
            !target.exists() || fs::read_dir(&target).is_ok_and(|mut d| d.next().is_none());
        if !is_free {
            return Err(StoreError::Unusable(format!(
                "{} is not empty; a backup is restored into a fresh directory",
                target.display()
            )));
        }
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| of_io("removing an earlier restore", &e))?;
        }
        load(&from, &dir, Box::new(told))
    })
    .await?;
    verify(&building, &report, progress).await?;
    blocking(move || {
        let moved = fs::rename(&building, &to);
        moved.map_err(|e| of_io("moving the restored store in place", &e))?;
        let above = to.parent().filter(|dir| !dir.as_os_str().is_empty());
        files::sync_dir(above.unwrap_or_else(|| Path::new(".")))
    })
    .await?;
    Ok(report)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn load(
    from: &Path,
    dir: &Path,
    mut progress: Box<dyn FnMut(Progress)>,
) -> Result<BackupReport, StoreError> {
    let (mut reader, head) = Reader::open(from)?;
    if head.format.format > FORMAT {
        return Err(StoreError::Unusable(format!(
            "the backup has format {}, this version of Pli reads up to {FORMAT}; use a newer one",
            head.format.format
        )));
    }
    let loader = Loader::open(dir, CACHE_BYTES)?;
    let mut rows = 0_u64;
    let tail: Tail = loop {
        match reader.block()? {
            (Kind::Entries, block) => {
                let found = entries(&block).ok_or_else(|| reader.damaged())?;
                rows = rows.saturating_add(found.len() as u64);
                for (key, value) in &found {
                    if let Some(value) = value {
                        decode_value(key, value)?;
                    }
                }
                loader.apply(found)?;
                progress(Progress { what: "restore", rows, size_bytes: reader.size_bytes });
            }
            (Kind::Tail, content) => break reader.decode(&content)?,
            (Kind::Head, _) => return Err(reader.damaged()),
        }
    };
    if tail.entries != rows {
        return Err(reader.damaged());
    }
    loader.apply(vec![mark(tail.position)?])?;
    loader.finish()?;
    Ok(BackupReport {
        server_name: head.format.server_name,
        position: tail.position,
        entries: rows,
        size_bytes: reader.size_bytes,
    })
}

/// The row that says where the store ends.
fn mark(position: Position) -> Result<(Vec<u8>, Option<Vec<u8>>), StoreError> {
    let key = LastPositionKey {}.encode().bytes;
    let value = encode_value(&key, position, &().encode()?);
    Ok((key, Some(value)))
}

/// Opens what was restored and checks every row.
async fn verify(
    dir: &Path,
    report: &BackupReport,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<(), StoreError> {
    let options = OpenOptions {
        dir: dir.to_owned(),
        server_name: report.server_name.clone(),
        durability: Durability::Sync,
        cache_bytes: CACHE_BYTES,
    };
    let (store, opened) = Store::open(options).await?;
    let found = store.check(progress).await?;
    store.close().await?;
    if opened.was_migrated() || (found.is_sound() && opened.position == report.position) {
        return Ok(());
    }
    let first = found.damages.first();
    let what = first.map_or_else(String::new, |damage| {
        format!(": table {}, key {}: {}", damage.table, damage.key, damage.what)
    });
    Err(StoreError::Corrupt(format!("the restored store is not sound{what}")))
}
