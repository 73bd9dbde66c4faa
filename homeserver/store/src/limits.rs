//! Everything in the store that can grow has a bound here.

use std::time::Duration;

/// Bytes of a key at most: what every engine that we may run on can keep.
pub const KEY_BYTES_MAX: usize = 512;
/// Bytes of a record at most. Above about 128 KiB sled would keep it in a file of its own and never
/// remove that.
pub const VALUE_BYTES_MAX: usize = 96 * 1_024;
/// Changes in one transaction at most.
pub const BATCH_OPS_MAX: usize = 20_000;
/// Bytes of all keys and records of one transaction at most.
pub const BATCH_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Transactions that may wait for the committer; further writers wait for a place.
pub(crate) const QUEUE_MAX: usize = 4_096;
/// Transactions that one sync to disk acknowledges at most.
pub(crate) const GROUP_BATCHES_MAX: usize = 512;
/// Changes after which a group is handed to the engine in another piece: the engine holds readers up
/// while it applies one.
pub(crate) const PIECE_OPS_MAX: usize = 256;
/// How long the committer waits at most for writers that were part of the previous group.
pub(crate) const GATHER_MAX: Duration = Duration::from_micros(300);
/// Commits that a slow subscriber may lag behind before it is told to look at everything.
pub(crate) const FEED_MAX: usize = 4_096;

/// Bytes that must be free on the disk before anything is written, so that the engine itself never
/// meets a full disk (on small disks a twentieth of the disk).
pub(crate) const FREE_BYTES_MIN: u64 = 32 * 1_024 * 1_024;
/// Bytes set aside to open the engine with once the disk is full.
pub(crate) const RESERVE_BYTES: u64 = 16 * 1_024 * 1_024;
/// Bytes that must be free beside that reserve before a store that met a full disk writes again.
pub(crate) const HEAL_MARGIN_BYTES: u64 = 8 * 1_024 * 1_024;
/// Log bytes since the last snapshot after which a quiet moment is used to make a new one.
pub(crate) const LOG_BYTES_QUIET: u64 = 64 * 1_024 * 1_024;
/// Log bytes since the last snapshot after which a new one is made even under load.
pub(crate) const LOG_BYTES_MAX: u64 = 1_024 * 1_024 * 1_024;
/// What counts as a quiet moment: no write for so long.
pub(crate) const QUIET: Duration = Duration::from_secs(2);
/// How often the position is noted beside the store, at most.
pub(crate) const MARK_EVERY: Duration = Duration::from_millis(200);
/// How long the engine may take to let go of its files.
pub(crate) const RELEASE_MAX: Duration = Duration::from_secs(60);
/// Bytes of changes that may wait for a backup under way.
pub(crate) const TAP_BYTES_MAX: usize = 256 * 1_024 * 1_024;
/// Rows that `check` and `backup` read at once.
pub(crate) const PAGE_ROWS: usize = 500;
/// Bytes of a block in a backup, about.
pub(crate) const BLOCK_BYTES: usize = 256 * 1_024;
/// Bytes of a block that a restore accepts at most.
pub(crate) const BLOCK_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Places of damage that `check` reports at most.
pub(crate) const DAMAGES_MAX: usize = 10_000;
