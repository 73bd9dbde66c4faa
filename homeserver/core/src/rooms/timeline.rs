//! Appending: the one way by which local users get events into rooms.

use pli_schema::{Position, RoomNumber};
use pli_store::Tx;
use ruma::RoomId;

use super::{
    Appended, Draft, Origin, Rooms,
    lanes::Job,
    staging::{Staged, StagedEvent, Staging},
};
use crate::{Error, Result};

impl Rooms {
    /// Makes an event of a draft and appends it to the room: the transaction id, the authorization
    /// rules and the policy are looked at, and everything is written in one transaction. Returns when
    /// it is on disk.
    ///
    /// The same transaction id, and state that changes nothing, give the event that is there already.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the room is not known, the rules or the policy refuse it;
    /// [`Error::TooLarge`], [`Error::BadJson`] if no event can be made of it;
    /// [`Error::LimitExceeded`] if too many wait for this room.
    pub async fn append(
        &self,
        room_id: &RoomId,
        draft: Draft,
        origin: Option<Origin>,
    ) -> Result<Appended> {
        let room = self.room_or_forbidden(room_id).await?;
        self.through_lane(room.number, draft, origin).await
    }

    /// Appends several events in one transaction: all of them or none.
    ///
    /// # Errors
    /// As [`Self::append`], for the first draft that is refused.
    pub async fn append_many(&self, room: RoomNumber, drafts: &[Draft]) -> Result<Vec<Appended>> {
        let ((events, staged), position) = self
            .store()
            .write_at(|tx| async move {
                let mut staging = Staging::open(self, &tx, room).await?;
                let mut events = Vec::with_capacity(drafts.len());
                for draft in drafts {
                    events.push(staging.append(draft, None).await?);
                }
                Ok::<_, Error>((events, staging.close()?))
            })
            .await?;
        self.keep_staged(staged);
        Ok(events.into_iter().map(|event| appended(event, position)).collect())
    }

    /// Appends an event and writes what belongs to it, in one transaction.
    ///
    /// # Errors
    /// As [`Self::append`], and those of `also`.
    pub async fn append_with(
        &self,
        room: RoomNumber,
        draft: &Draft,
        also: &(dyn Fn(&Tx) -> Result<()> + Sync),
    ) -> Result<()> {
        let staged = self
            .store()
            .write(|tx| async move {
                let mut staging = Staging::open(self, &tx, room).await?;
                staging.append(draft, None).await?;
                let staged = staging.close()?;
                also(&tx)?;
                Ok::<_, Error>(staged)
            })
            .await?;
        self.keep_staged(staged);
        Ok(())
    }

    /// Commits the drafts of a lane in one transaction, each accepted or refused on its own, and
    /// answers their senders.
    pub(super) async fn commit_jobs(&self, room: RoomNumber, jobs: Vec<Job>) {
        match self.try_commit(room, &jobs).await {
            Ok(results) => {
                for (job, result) in jobs.into_iter().zip(results) {
                    job.answer(result);
                }
            }
            Err(Error::Store(error)) => {
                for job in jobs {
                    job.answer(Err(Error::Store(error.clone())));
                }
            }
            Err(error) => {
                let text = error.to_string();
                for job in jobs {
                    job.answer(Err(Error::Bug(text.clone())));
                }
            }
        }
    }

    async fn try_commit(&self, room: RoomNumber, jobs: &[Job]) -> Result<Vec<Result<Appended>>> {
        let ((results, staged), position): ((Vec<Result<StagedEvent>>, Staged), Position) = self
            .store()
            .write_at(|tx| async move {
                let mut staging = Staging::open(self, &tx, room).await?;
                let mut results = Vec::with_capacity(jobs.len());
                for job in jobs {
                    results.push(staging.append(&job.draft, job.origin.as_ref()).await);
                }
                Ok::<_, Error>((results, staging.close()?))
            })
            .await?;
        self.keep_staged(staged);
        let appended = |result: Result<StagedEvent>| result.map(|event| appended(event, position));
        Ok(results.into_iter().map(appended).collect())
    }
}

fn appended(event: StagedEvent, position: Position) -> Appended {
    Appended { event_id: event.event_id, position, existed: event.existed }
}

#[cfg(test)]
mod tests;
