//! One writer per room in this process: senders wait in a fair, bounded queue, and those who wait
//! while a commit is on its way share the next one.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use pli_schema::RoomNumber;
use tokio::sync::oneshot;

use super::{Appended, Draft, Origin, Rooms};
use crate::{Error, Result};

/// Senders that share a commit at most.
const BATCH_MAX: usize = 64;
/// Content that shares a commit at most, in bytes.
const BATCH_MAX_BYTES: usize = 1024 * 1024;
/// When to come back if too many wait already.
const RETRY_AFTER_MS: u64 = 500;

/// A draft that waits for its turn.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) draft: Draft,
    pub(super) origin: Option<Origin>,
    answer: oneshot::Sender<Result<Appended>>,
}

impl Job {
    /// Tells the sender; one who has gone away does not mind.
    pub(super) fn answer(self, result: Result<Appended>) {
        let _ = self.answer.send(result);
    }
}

/// The lanes that have work. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    waiting: Arc<Mutex<HashMap<RoomNumber, VecDeque<Job>>>>,
    waiting_max: usize,
}

impl Lanes {
    pub(super) fn new(waiting_max: usize) -> Self {
        Self { waiting: Arc::default(), waiting_max }
    }

    /// Lines up; whether the lane had nobody who works it.
    fn push(&self, room: RoomNumber, job: Job) -> Result<bool> {
        let mut waiting = self.waiting.lock();
        let idle = !waiting.contains_key(&room);
        let lane = waiting.entry(room).or_default();
        if lane.len() >= self.waiting_max {
            return Err(Error::LimitExceeded { retry_after_ms: RETRY_AFTER_MS });
        }
        lane.push_back(job);
        Ok(idle)
    }

    /// The next jobs in order; closes the lane if there are none.
    fn take(&self, room: RoomNumber) -> Vec<Job> {
        let mut waiting = self.waiting.lock();
        let mut jobs = Vec::new();
        let mut bytes = 0_usize;
        if let Some(lane) = waiting.get_mut(&room) {
            while let Some(job) = lane.front() {
                bytes = bytes.saturating_add(job.draft.content.get().len());
                if !jobs.is_empty() && (jobs.len() >= BATCH_MAX || bytes > BATCH_MAX_BYTES) {
                    break;
                }
                jobs.extend(lane.pop_front());
            }
        }
        if jobs.is_empty() {
            waiting.remove(&room);
        }
        jobs
    }
}

/// Closes the lane should its worker end before its work: those who wait get an error, the next one
/// opens it again. (Without it, a panic would freeze the room.)
struct Worker<'a> {
    lanes: &'a Lanes,
    room: RoomNumber,
    /// [`Lanes::take`] has closed the lane; by now it may be that of another worker.
    done: bool,
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.lanes.waiting.lock().remove(&self.room);
        }
    }
}

impl Rooms {
    /// Lines up in the room's lane and waits for the commit. The work goes on if the caller goes away.
    pub(super) async fn through_lane(
        &self,
        room: RoomNumber,
        draft: Draft,
        origin: Option<Origin>,
    ) -> Result<Appended> {
        let (answer, answered) = oneshot::channel();
        if self.lanes.push(room, Job { draft, origin, answer })? {
            let rooms = self.clone();
            tokio::spawn(async move { rooms.work_lane(room).await });
        }
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(Error::bug("the lane of a room ended before its work")),
        }
    }

    async fn work_lane(&self, room: RoomNumber) {
        let mut worker = Worker { lanes: &self.lanes, room, done: false };
        loop {
            let jobs = self.lanes.take(room);
            if jobs.is_empty() {
                worker.done = true;
                return;
            }
            self.commit_jobs(room, jobs).await;
        }
    }
}

#[cfg(test)]
impl Lanes {
    /// Whether no lane has work.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.lock().is_empty()
    }
}
