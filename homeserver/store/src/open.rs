//! Opening a store that is on disk.

use pli_schema::{
    Key, Position, Record,
    records::meta::{FormatKey, FormatRecord},
};

use crate::{
    Backend, Batch, Direction, Expectation, Op, OpenOptions, Progress, RawScan, Store, StoreError,
    sled_backend::Sled,
};

/// The product that a store must name.
const PRODUCT: &str = "pli";

/// The format that this version of the program reads and writes.
pub const FORMAT: u32 = 1;

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The store was made just now.
    pub is_new: bool,
    /// The format it had before migrations.
    pub format_before: u32,
    /// The position of the newest commit.
    pub position: Position,
}

/// The work of a migration, which reports how far it is.
type Step = fn(&Backend, &mut dyn FnMut(Progress)) -> Result<(), StoreError>;

/// One step from a format to the next. It writes through transactions of its own, and must bear being
/// run again after an interruption.
pub(crate) struct Migration {
    /// The format it starts from.
    pub from: u32,
    /// Does the work. Blocks.
    pub run: Step,
}

/// All migrations, ascending. Format 1 is the first.
const MIGRATIONS: &[Migration] = &[];

impl Store {
    /// Opens the store in a directory, or makes one.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if another process has it, if it is another server's, or of a newer
    /// format; [`StoreError::Corrupt`] if it is damaged. The text says what to do.
    pub async fn open(options: OpenOptions) -> Result<(Self, Opened), StoreError> {
        Self::open_with(options, |_| {}).await
    }

    /// As [`Self::open`]; long work (a migration) tells how far it is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(
        options: OpenOptions,
        progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<(Self, Opened), StoreError> {
        blocking(move || {
            let mut progress = progress;
            let backend = Backend::Sled(Sled::open(&options)?);
            let opened = prepare(&backend, &options, MIGRATIONS, FORMAT, &mut progress)?;
            Ok((Self::new(backend), opened))
        })
        .await
    }

    /// Flushes and closes the store; every later use is [`StoreError::Closed`]. Dropping the last
    /// handle does the same.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the work could not be started.
    pub async fn close(&self) -> Result<(), StoreError> {
        let backend = self.backend.clone();
        blocking(move || {
            backend.close();
            Ok(())
        })
        .await
    }
}

/// Runs blocking work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Io(format!("work of the store ended early: {error}")))?
}

/// Checks what the store says of itself, migrates it if it is older.
fn prepare(
    backend: &Backend,
    options: &OpenOptions,
    migrations: &[Migration],
    format: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened, StoreError> {
    let found = read_format(backend)?;
    let position = backend.position();
    let Some((record, written_at)) = found else {
        if !is_empty(backend)? {
            return Err(StoreError::Corrupt(format!(
                "the store in {} does not say what it is; {}",
                options.dir.display(),
                crate::sled_backend::boundary::WHAT_TO_DO
            )));
        }
        let record = FormatRecord {
            product: PRODUCT.to_owned(),
            format,
            server_name: options.server_name.clone(),
        };
        let position = write_format(backend, &record, None)?;
        return Ok(Opened { is_new: true, format_before: format, position });
    };
    let format_before = record.format;
    verify(&record, options, format)?;
    migrate(backend, (record, written_at), migrations, format, progress)?;
    Ok(Opened { is_new: false, format_before, position: backend.position().max(position) })
}

fn verify(record: &FormatRecord, options: &OpenOptions, format: u32) -> Result<(), StoreError> {
    let dir = options.dir.display();
    let text = if record.product != PRODUCT {
        format!("{dir} holds data of `{}`, not of Pli; choose another directory", record.product)
    } else if record.server_name != options.server_name {
        format!(
            "the store in {dir} belongs to the server name {}, not {}: a server name cannot be changed; \
             set `server_name` back or choose another directory",
            record.server_name, options.server_name
        )
    } else if record.format > format {
        format!(
            "the store in {dir} has format {}, this version of Pli reads up to {format}: it was used by a \
             newer version; start that one, or restore a backup from before the upgrade",
            record.format
        )
    } else {
        return Ok(());
    };
    Err(StoreError::Unusable(text))
}

fn migrate(
    backend: &Backend,
    (mut record, mut written_at): (FormatRecord, Position),
    migrations: &[Migration],
    format: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), StoreError> {
    while record.format < format {
        let step = migrations.iter().find(|step| step.from == record.format).ok_or_else(|| {
            StoreError::Unusable(format!(
                "a store of format {} is too old for this version; upgrade through an earlier one",
                record.format
            ))
        })?;
        tracing::info!(from = step.from, "migrating the store");
        (step.run)(backend, progress)?;
        record.format = record.format.saturating_add(1);
        written_at = write_format(backend, &record, Some(written_at))?;
    }
    Ok(())
}

fn read_format(backend: &Backend) -> Result<Option<(FormatRecord, Position)>, StoreError> {
    let Some(value) = backend.get_now(&FormatKey {}.encode().bytes)? else { return Ok(None) };
    Ok(Some((FormatRecord::decode(&value.record)?, value.position)))
}

fn write_format(
    backend: &Backend,
    record: &FormatRecord,
    written_at: Option<Position>,
) -> Result<Position, StoreError> {
    let key = FormatKey {}.encode();
    let expect = vec![Expectation { key: key.bytes.clone(), written_at }];
    let ops = vec![Op::Put { key, record: record.encode()? }];
    commit_blocking(backend, Batch { expect, ops, topics: Vec::new() })
}

/// Commits from a blocking thread.
pub(crate) fn commit_blocking(backend: &Backend, batch: Batch) -> Result<Position, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| StoreError::Io(error.to_string()))?;
    runtime.block_on(backend.commit(batch))
}

fn is_empty(backend: &Backend) -> Result<bool, StoreError> {
    let all =
        RawScan { start: vec![0], end: vec![0xFF; 64], direction: Direction::Forward, limit: 1 };
    Ok(backend.scan_now(&all)?.is_empty())
}

impl Opened {
    /// The store had an older format and was migrated.
    #[must_use]
    pub const fn was_migrated(&self) -> bool {
        self.format_before < FORMAT
    }
}

#[cfg(test)]
mod tests {
    use pli_schema::records::meta::NumberBlockKey;

    use super::*;
    use crate::Durability;

    fn options(dir: &std::path::Path) -> OpenOptions {
        OpenOptions {
            dir: dir.to_owned(),
            server_name: "pli.example".to_owned(),
            durability: Durability::Relaxed,
            cache_bytes: 1_024 * 1_024,
        }
    }

    /// Doubles the number, as a change of layout would rewrite it.
    fn doubled(backend: &Backend, progress: &mut dyn FnMut(Progress)) -> Result<(), StoreError> {
        let key = NumberBlockKey { kind: 0 }.encode();
        let value = backend.get_now(&key.bytes)?.map(|value| u64::decode(&value.record));
        let record = value.transpose()?.unwrap_or(0).saturating_mul(2).encode()?;
        let ops = vec![Op::Put { key, record }];
        commit_blocking(backend, Batch { ops, ..Batch::default() })?;
        progress(Progress { what: "migrate", rows: 1, size_bytes: 1 });
        Ok(())
    }

    fn opened_as(
        dir: &std::path::Path,
        migrations: &[Migration],
        format: u32,
    ) -> Result<(Backend, Opened, u64), StoreError> {
        let options = options(dir);
        let backend = Backend::Sled(Sled::open(&options)?);
        let mut told = 0;
        let mut progress = |_| told += 1;
        let opened = prepare(&backend, &options, migrations, format, &mut progress)?;
        Ok((backend, opened, told))
    }

    #[test]
    fn migrations_run_once_in_order_and_too_old_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (backend, opened, _) = opened_as(dir.path(), &[], 1).unwrap();
        assert!(opened.is_new);
        let key = NumberBlockKey { kind: 0 }.encode();
        let ops = vec![Op::Put { key: key.clone(), record: 5_u64.encode().unwrap() }];
        commit_blocking(&backend, Batch { ops, ..Batch::default() }).unwrap();
        drop(backend);

        let both = [Migration { from: 1, run: doubled }, Migration { from: 2, run: doubled }];
        let (backend, opened, told) = opened_as(dir.path(), &both, 3).unwrap();
        assert_eq!((opened.format_before, opened.is_new, told), (1, false, 2));
        drop(backend);
        let (backend, opened, told) = opened_as(dir.path(), &both, 3).unwrap();
        assert_eq!((opened.format_before, told), (3, 0));
        let value = backend.get_now(&key.bytes).unwrap().unwrap();
        assert_eq!(u64::decode(&value.record).unwrap(), 20);
        drop(backend);

        let later = [Migration { from: 4, run: doubled }];
        let Err(StoreError::Unusable(text)) = opened_as(dir.path(), &later, 5) else {
            panic!("opened")
        };
        assert!(text.contains("format 3 is too old"), "{text}");
    }
}
