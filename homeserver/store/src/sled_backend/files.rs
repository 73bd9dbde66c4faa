//! The files of a store's directory, apart from what sled does in them.
//!
//! | file | what |
//! |---|---|
//! | `lock` | held while a process has the store |
//! | `reserve` | space set aside for the moment when the disk is full |
//! | `position` | a position that is durable, noted now and then; see [`Mark`] |
//! | `sled/db`, `sled/conf`, `sled/snap.*`, `sled/blobs/` | sled's own |

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use pli_schema::Position;

use super::boundary::of_io;
use crate::{StoreError, limits};

/// sled's `conf` without its checksum, as we configure sled. Anything else is damage.
const CONF: &[u8] = b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n";

/// See [`keep_reserve`].
const RESERVE: &str = "reserve";

/// The directory in which sled lives.
pub(crate) fn engine_dir(dir: &Path) -> PathBuf {
    dir.join("sled")
}

/// Makes the directory, for its owner only, durably.
pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    let failed = |e: io::Error| of_io(&format!("making the directory {}", dir.display()), &e);
    if !dir.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        for above in dir.ancestors().skip(1).filter(|path| path.is_dir()).take(2) {
            sync_dir(above)?;
        }
    }
    Ok(())
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|file| file.sync_all())
        .map_err(|e| of_io(&format!("syncing the directory {}", dir.display()), &e))
}

/// Takes the lock of the store; dropping it gives the lock back.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let failed = |e: io::Error| of_io(&format!("locking {}", path.display()), &e);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        Err(fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.take(20).read_to_string(&mut holder);
            return Err(StoreError::Unusable(format!(
                "the store in {} is in use by another process (pid {}); one process at a time may \
                 have it: stop that one first",
                dir.display(),
                holder.trim(),
            )));
        }
    }
    // Who holds it is for the message above only, so a full disk must not matter here.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// Clears what a crash left half-made and what sled would refuse although it can do without.
pub(super) fn tidy(engine: &Path) -> Result<(), StoreError> {
    for path in snapshots(engine)? {
        // Left by a crash while it was written. sled would take it for the newest snapshot.
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(&path).map_err(|e| of_io("removing a half-made snapshot", &e))?;
        }
    }
    let conf = engine.join("conf");
    match fs::read(&conf) {
        Ok(bytes) if bytes.starts_with(CONF) && bytes.len() == CONF.len().saturating_add(4) => {
            Ok(())
        }
        Ok(_) => move_aside(&conf),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(of_io("reading conf", &error)),
    }
}

/// Moves all snapshots aside; sled then reads the whole log. Says whether there were any.
pub(super) fn set_snapshots_aside(engine: &Path) -> Result<bool, StoreError> {
    let found = snapshots(engine)?;
    for path in &found {
        move_aside(path)?;
    }
    Ok(!found.is_empty())
}

fn snapshots(engine: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |e: io::Error| of_io("listing snapshots", &e);
    if !engine.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(engine).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn move_aside(path: &Path) -> Result<(), StoreError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let to = path.with_file_name(format!("damaged.{name}"));
    tracing::warn!(file = %path.display(), "a damaged file is moved aside; the store does without it");
    fs::rename(path, &to).map_err(|e| of_io("moving a damaged file aside", &e))
}

/// Makes the files durable that sled writes once and never syncs.
pub(super) fn sync_once(engine: &Path) -> Result<(), StoreError> {
    File::open(engine.join("conf"))
        .and_then(|conf| conf.sync_all())
        .map_err(|e| of_io("syncing conf", &e))?;
    sync_dir(&engine.join("blobs"))?;
    sync_dir(engine)
}

/// Bytes free for us, and how many there should be at least.
pub(super) fn space(dir: &Path) -> io::Result<(u64, u64)> {
    let free = fs2::available_space(dir)?;
    let total = fs2::total_space(dir)?;
    Ok((free, limits::FREE_BYTES_MIN.min(total.checked_div(20).unwrap_or(0))))
}

/// Sets space aside, so that there is some to open the engine with once the disk is full. That this
/// succeeds also says that there is space, which quotas and the like hide from the disk's figures; and
/// `margin_bytes` beside it.
pub(super) fn keep_reserve(dir: &Path, margin_bytes: u64) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let allocated = options.open(dir.join(RESERVE)).and_then(|file| {
        if file.metadata()?.len() != limits::RESERVE_BYTES {
            fs2::FileExt::allocate(&file, limits::RESERVE_BYTES.saturating_add(margin_bytes))?;
            file.set_len(limits::RESERVE_BYTES)?;
        }
        file.sync_all()
    });
    allocated.map_err(|e| {
        let _ = fs::remove_file(dir.join(RESERVE));
        of_io("setting space aside", &e)
    })
}

/// Gives that space back.
pub(super) fn give_up_reserve(dir: &Path) {
    if let Err(error) = fs::remove_file(dir.join(RESERVE)) {
        tracing::warn!(%error, "there is no reserve of space");
    }
}

/// A note of a position that was durable when it was noted. sled takes a log that ends early for one
/// that was never longer; this note tells the difference. It is not synced: it may be old, never wrong.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
}

impl Mark {
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options
            .open(dir.join("position"))
            .map_err(|e| of_io("opening the position's note", &e))?;
        Ok(Self { file })
    }

    /// The position noted; `None` if there is no readable note.
    pub(super) fn read(&mut self) -> Option<Position> {
        let mut bytes = [0; 12];
        self.file.seek(SeekFrom::Start(0)).ok()?;
        self.file.read_exact(&mut bytes).ok()?;
        let (position, sum) = bytes.split_first_chunk::<8>()?;
        let fits = crc32fast::hash(position).to_be_bytes() == *sum;
        fits.then(|| Position(u64::from_be_bytes(*position)))
    }

    /// Notes a durable position. Failure does no harm: the older note stays true.
    pub(super) fn write(&mut self, position: Position) {
        let position = position.0.to_be_bytes();
        let sum = crc32fast::hash(&position).to_be_bytes();
        let bytes = [position.as_slice(), sum.as_slice()].concat();
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&bytes));
        if let Err(error) = written {
            tracing::debug!(%error, "the position could not be noted");
        }
    }
}
