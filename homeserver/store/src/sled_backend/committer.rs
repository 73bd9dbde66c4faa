//! The one thread that writes: it takes all waiting transactions, checks what each had read, gives each
//! its position, applies them, syncs once, publishes the position and answers them all.
//!
//! After a failed write or sync nothing of that group is acknowledged. If the disk was full, the engine
//! is opened again from the disk at once, with the space that was set aside for this, so that reads go
//! on; writes go on as soon as there is space again. After anything else the store refuses writes until
//! the process is started again: what the operating system says of the file after a failed sync can no
//! longer be trusted. Reads go on in both cases.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use pli_schema::{Key, Position, Record, Topic, records::meta::LastPositionKey};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    engine::Engine,
    files::{self, Mark},
};
use crate::{
    Batch, Committed, Expectation, Op, StoreError,
    batch::stamped,
    encode_value, limits,
    tap::{Change, Taps},
    value::position_of,
};

/// A transaction on its way.
#[derive(Debug)]
pub(super) struct Request {
    pub batch: Batch,
    pub answer: oneshot::Sender<Result<Position, StoreError>>,
}

/// How far the store is durable.
#[derive(Clone, Debug)]
pub(super) struct Durable {
    pub position: Position,
    /// Why nothing more becomes durable for now.
    pub trouble: Option<StoreError>,
}

/// What the committer tells everybody.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub taps: Taps,
    pub durable: watch::Sender<Durable>,
    pub feed: broadcast::Sender<Committed>,
}

/// Whether it writes.
#[derive(Clone, Debug)]
enum Health {
    Good,
    /// The engine met a full disk; space must be set aside again before the next write.
    Full(String),
    /// Nothing is written any more.
    Broken(StoreError),
}

#[derive(Debug)]
pub(super) struct Committer {
    engine: Arc<Engine>,
    queue: mpsc::Receiver<Request>,
    published: Published,
    /// The newest position given away, durable or not.
    position: Position,
    health: Health,
    mark: Mark,
    marked: Instant,
    dir: std::path::PathBuf,
    group_size_before: usize,
}

/// A transaction that is applied and waits for the sync.
struct Applied {
    position: Position,
    topics: Vec<Topic>,
    answer: oneshot::Sender<Result<Position, StoreError>>,
}

/// Changes on their way into the engine.
#[derive(Default)]
struct Piece {
    writes: sled::Batch,
    ops: usize,
    /// Who wrote a key in this piece; `None` if it was removed.
    overlay: HashMap<Vec<u8>, Option<Position>>,
    /// Who was overtaken. They are told once the piece is applied, so that they read something newer.
    overtaken: Vec<oneshot::Sender<Result<Position, StoreError>>>,
}

impl Committer {
    pub(super) fn new(
        engine: Arc<Engine>,
        queue: mpsc::Receiver<Request>,
        published: Published,
        mark: Mark,
        dir: std::path::PathBuf,
    ) -> Self {
        let position = published.durable.borrow().position;
        let marked = Instant::now();
        let health = Health::Good;
        Self { engine, queue, published, position, health, mark, marked, dir, group_size_before: 1 }
    }

    /// Runs until every handle of the store is gone.
    pub(super) fn run(mut self, runtime: &tokio::runtime::Runtime) {
        loop {
            let next = runtime
                .block_on(async { tokio::time::timeout(limits::QUIET, self.queue.recv()).await });
            match next {
                Ok(Some(first)) => {
                    let group = self.gather(first);
                    self.commit(group);
                    self.shorten_log(limits::LOG_BYTES_MAX);
                }
                Ok(None) => break,
                Err(_quiet) => self.shorten_log(limits::LOG_BYTES_QUIET),
            }
        }
        if matches!(self.health, Health::Good) {
            if let Err(error) = self.engine.flush() {
                tracing::error!(%error, "the last flush of the store failed");
            } else {
                self.mark.write(self.position);
            }
        }
        self.engine.close();
    }

    /// All that wait. Writers that were answered together come back together, so it is worth a moment
    /// to wait until as many are here as last time: that makes one sync of two.
    fn gather(&mut self, first: Request) -> Vec<Request> {
        let mut group = vec![first];
        let until = Instant::now() + limits::GATHER_MAX;
        while group.len() < limits::GROUP_BATCHES_MAX {
            match self.queue.try_recv() {
                Ok(request) => group.push(request),
                Err(_) if group.len() >= self.group_size_before || Instant::now() >= until => break,
                Err(_) => std::thread::yield_now(),
            }
        }
        self.group_size_before = group.len();
        group
    }

    fn commit(&mut self, group: Vec<Request>) {
        if let Err(error) = self.ready() {
            for request in group {
                let _ = request.answer.send(Err(error.clone()));
            }
            return;
        }
        let mut applied = Vec::with_capacity(group.len());
        let taps = self.published.taps.active();
        let mut changes = (!taps.is_empty()).then(Vec::new);
        let outcome =
            self.apply(group, &mut applied, &mut changes).and_then(|()| self.engine.flush());
        match outcome {
            Ok(()) => {
                for tap in taps {
                    tap.push(changes.as_deref().unwrap_or_default(), self.position);
                }
                self.acknowledge(applied);
            }
            Err(error) => {
                self.failed(&error);
                for one in applied {
                    let _ = one.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// May something be written now?
    fn ready(&mut self) -> Result<(), StoreError> {
        if let Health::Broken(error) = &self.health {
            return Err(error.clone());
        }
        if let Ok((free, least)) = files::space(&self.dir)
            && free < least
        {
            let text = format!("{free} bytes are free, {least} must be for the store to write");
            return Err(StoreError::Full(text));
        }
        if let Health::Full(text) = &self.health {
            let text = text.clone();
            return self.heal().map_err(|error| {
                tracing::warn!(%error, "the store is still full");
                StoreError::Full(text)
            });
        }
        Ok(())
    }

    /// After a full disk: is there space again?
    fn heal(&mut self) -> Result<(), StoreError> {
        files::keep_reserve(&self.dir, limits::HEAL_MARGIN_BYTES)?;
        if !self.engine.is_open() {
            self.read_again()?;
        }
        self.health = Health::Good;
        self.published.durable.send_modify(|durable| durable.trouble = None);
        tracing::info!("the store has space again and writes");
        Ok(())
    }

    /// Opens the engine again from the disk. What is there then counts: parts of the failed group may
    /// be, each transaction whole. Positions that were given away are not used again.
    fn read_again(&mut self) -> Result<(), StoreError> {
        self.engine.reopen()?;
        let position = last_position(&self.engine)?;
        if position < self.published.durable.borrow().position {
            let text = format!("acknowledged commits are missing after {position}");
            let error = StoreError::Corrupt(text);
            self.health = Health::Broken(error.clone());
            return Err(error);
        }
        self.position = self.position.max(position);
        self.published.durable.send_modify(|durable| durable.position = position);
        let _ = self.published.feed.send(Committed { position, topics: Arc::default() });
        Ok(())
    }

    fn failed(&mut self, error: &StoreError) {
        tracing::error!(%error, "the store could not write");
        self.published.durable.send_modify(|durable| durable.trouble = Some(error.clone()));
        for tap in self.published.taps.active() {
            tap.abort();
        }
        let StoreError::Full(text) = error else {
            self.health = Health::Broken(StoreError::Io(format!(
                "the store writes nothing more after an earlier error, restart the server: {error}"
            )));
            return;
        };
        self.health = Health::Full(text.clone());
        // The engine refuses some reads after a failed write, and shows what is not on the disk.
        files::give_up_reserve(&self.dir);
        if let Err(error) = self.read_again() {
            tracing::error!(%error, "the store cannot be read until there is space");
        }
    }

    /// Checks and applies the transactions one after the other. Those that were overtaken are answered
    /// without waiting for the sync, the others are in `applied`, also when this fails in the middle.
    fn apply(
        &mut self,
        group: Vec<Request>,
        applied: &mut Vec<Applied>,
        changes: &mut Option<Vec<Change>>,
    ) -> Result<(), StoreError> {
        let mut piece = Piece::default();
        let mut failure = None;
        for Request { batch, answer } in group {
            let checked = match &failure {
                Some(error) => Err(StoreError::clone(error)),
                None => self.holds(&batch.expect, &piece),
            };
            match checked {
                Ok(true) => {}
                Ok(false) => {
                    piece.overtaken.push(answer);
                    continue;
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                    continue;
                }
            }
            self.position = self.position.next();
            applied.push(Applied { position: self.position, topics: batch.topics, answer });
            piece.add(batch.ops, self.position, changes.as_mut());
            if piece.ops >= limits::PIECE_OPS_MAX {
                failure = self.hand_over(std::mem::take(&mut piece)).err();
            }
        }
        match failure {
            Some(error) => Err(error),
            None => self.hand_over(piece),
        }
    }

    fn hand_over(&self, mut piece: Piece) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        if piece.ops > 0 {
            let key = LastPositionKey {}.encode().bytes;
            let value = encode_value(&key, self.position, &[<() as Record>::VERSION]);
            piece.writes.insert(key, value);
            outcome = self.engine.apply(piece.writes);
        }
        for answer in piece.overtaken {
            let _ = answer.send(Err(StoreError::Conflict));
        }
        outcome
    }

    /// Is everything still as the transaction had read it?
    fn holds(&self, expect: &[Expectation], piece: &Piece) -> Result<bool, StoreError> {
        for Expectation { key, written_at } in expect {
            let now = match piece.overlay.get(key) {
                Some(position) => *position,
                None => match self.engine.raw(key)? {
                    Some(bytes) => Some(position_of(key, &bytes)?),
                    None => None,
                },
            };
            if now != *written_at {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn acknowledge(&mut self, applied: Vec<Applied>) {
        self.published.durable.send_replace(Durable { position: self.position, trouble: None });
        for Applied { position, topics, answer } in applied {
            // Nobody listening is not an error, nor a caller that has gone.
            let _ = self.published.feed.send(Committed { position, topics: topics.into() });
            let _ = answer.send(Ok(position));
        }
        if self.marked.elapsed() >= limits::MARK_EVERY {
            self.mark.write(self.position);
            self.marked = Instant::now();
        }
    }

    /// sled makes its snapshot only when it is opened, and a start has to read all the log since then.
    /// So it is opened again when the log has become long.
    fn shorten_log(&mut self, above: u64) {
        if !matches!(self.health, Health::Good) || self.engine.log_bytes() < above {
            return;
        }
        let begin = Instant::now();
        match self.engine.reopen() {
            Ok(()) => {
                let took_ms = Duration::as_millis(&begin.elapsed());
                tracing::debug!(took_ms, "a new snapshot of the store is written");
            }
            Err(error) => self.failed(&error),
        }
    }
}

impl Piece {
    /// Adds the changes of a transaction; notes them in `noted` for backups under way.
    fn add(&mut self, ops: Vec<Op>, position: Position, mut noted: Option<&mut Vec<Change>>) {
        // A transaction without changes still moves the position, which a piece writes.
        self.ops = self.ops.saturating_add(ops.len()).saturating_add(1);
        for op in ops {
            let (key, value) = match op {
                Op::Put { key, record } => {
                    let key = stamped(key, position);
                    let value = encode_value(&key, position, &record);
                    (key, Some(value))
                }
                Op::Delete { key } => (key.bytes, None),
            };
            if let Some(noted) = &mut noted {
                noted.push((key.clone(), value.clone()));
            }
            self.overlay.insert(key.clone(), value.as_ref().map(|_| position));
            match value {
                Some(value) => self.writes.insert(key, value),
                None => self.writes.remove(key),
            }
        }
    }
}

/// The position of the newest commit that the engine has.
pub(super) fn last_position(engine: &Engine) -> Result<Position, StoreError> {
    let key = LastPositionKey {}.encode().bytes;
    Ok(engine.get(&key)?.map_or(Position::ZERO, |value| value.position))
}
