//! Removes what has ended and nobody will ask for again: sessions of mails, login tokens, transaction
//! ids, identifiers of files that were never uploaded, previews of links; and reports beyond their bound.
//!
//! A round goes through the tables in small steps with pauses between them, so that it disturbs nobody.
//! Nothing is noted down: after a restart the next round finds what the one before left.

use std::time::Duration;

use pli_schema::{
    Key, KeyPrefix,
    records::{
        accounts::{LoginTokenKey, ValidationByClientKey, ValidationKey, ValidationRecord},
        rooms::TransactionKey,
    },
};
use pli_store::{Scan, Store};
use tokio_util::sync::CancellationToken;

use crate::{
    Clock, Error, Media, MilliSeconds, Previews, Reports, Result,
    accounts::validation::PROOF_LIFETIME_MS,
};

/// Rows looked at in one step.
const STEP: usize = 200;
/// Between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// Between two rounds.
const ROUND_PAUSE: Duration = Duration::from_secs(3_600);
/// How long a transaction id is known: longer than a client goes on trying to send.
const TRANSACTION_LIFETIME_MS: MilliSeconds = 7 * 24 * 3_600_000;

/// The rounds. Run one per store.
#[derive(Clone, Debug)]
pub struct Sweep {
    store: Store,
    clock: Clock,
    media: Media,
    previews: Previews,
    reports: Reports,
    step_pause: Duration,
}

impl Sweep {
    /// Rounds through a store.
    #[must_use]
    pub const fn new(
        store: Store,
        clock: Clock,
        media: Media,
        previews: Previews,
        reports: Reports,
    ) -> Self {
        Self { store, clock, media, previews, reports, step_pause: STEP_PAUSE }
    }

    /// One round after the other until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.round()).await {
                None => return,
                Some(Ok(removed)) => tracing::debug!(removed, "what has ended was removed"),
                Some(Err(error)) => tracing::warn!(%error, "what has ended could not be removed"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(ROUND_PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// One round; returns the number of rows that were removed.
    ///
    /// # Errors
    /// Those of the store; what was removed until then stays removed.
    pub async fn round(&self) -> Result<usize> {
        let now_ms = self.clock.now_ms();
        let mut removed = self.validations(now_ms).await?;
        removed += self
            .table(|key: &LoginTokenKey| (key.hash,), |_, token| token.expires_at_ms <= now_ms)
            .await?;
        let place = |key: &TransactionKey| {
            let TransactionKey { user_id, device_id, scope, transaction_id } = key.clone();
            (user_id, device_id, scope, transaction_id)
        };
        removed += self
            .table(place, |_, transaction| {
                transaction.at_ms.saturating_add(TRANSACTION_LIFETIME_MS) <= now_ms
            })
            .await?;
        removed += self.previews.sweep(self.step_pause).await?;
        removed += self.media.sweep(self.step_pause).await?;
        removed += self.reports.sweep(self.step_pause).await?;
        Ok(removed)
    }

    /// Removes the rows of a table that are over. `place` gives the whole key as a tuple.
    async fn table<K, P>(
        &self,
        place: impl Fn(&K) -> P,
        is_over: impl Fn(&K, &K::Record) -> bool,
    ) -> Result<usize>
    where
        K: Key + Clone + Send + std::marker::Sync,
        P: KeyPrefix,
    {
        let mut range = Scan::<K>::prefix(()).limit(STEP);
        let mut removed = 0;
        loop {
            let rows = self.store.scan(&range).await?;
            let Some(last) = rows.last().map(|row| place(&row.key)) else { return Ok(removed) };
            let over: Vec<K> = rows
                .into_iter()
                .filter(|row| is_over(&row.key, &row.record))
                .map(|row| row.key)
                .collect();
            removed += self.remove(&over, &is_over).await?;
            range = range.after(last);
            tokio::time::sleep(self.step_pause).await;
        }
    }

    /// Removes rows if they are over still.
    async fn remove<K: Key + Clone + Send + std::marker::Sync>(
        &self,
        keys: &[K],
        is_over: &impl Fn(&K, &K::Record) -> bool,
    ) -> Result<usize> {
        if keys.is_empty() {
            return Ok(0);
        }
        self.store
            .write(|tx| async move {
                let mut removed = 0;
                for key in keys {
                    if tx.get(key).await?.is_some_and(|record| is_over(key, &record)) {
                        tx.delete(key);
                        removed += 1;
                    }
                }
                Ok::<_, Error>(removed)
            })
            .await
    }

    /// Sessions of mails, with their entries by the client's secret.
    async fn validations(&self, now_ms: MilliSeconds) -> Result<usize> {
        let mut range = Scan::<ValidationKey>::prefix(()).limit(STEP);
        let mut removed = 0;
        loop {
            let rows = self.store.scan(&range).await?;
            let Some(last) = rows.last().map(|row| row.key.sid.clone()) else { return Ok(removed) };
            for row in rows {
                if is_over(&row.record, now_ms) && self.remove_validation(&row.key, now_ms).await? {
                    removed += 1;
                }
            }
            range = range.after((last,));
            tokio::time::sleep(self.step_pause).await;
        }
    }

    async fn remove_validation(&self, key: &ValidationKey, now_ms: MilliSeconds) -> Result<bool> {
        self.store
            .write(|tx| async move {
                let record = tx.get(key).await?.filter(|record| is_over(record, now_ms));
                let Some(record) = record else { return Ok(false) };
                let by_client = ValidationByClientKey {
                    client_secret: record.client_secret,
                    purpose: record.purpose as u8,
                };
                if tx.get(&by_client).await?.is_some_and(|found| found.sid == key.sid) {
                    tx.delete(&by_client);
                }
                tx.delete(key);
                Ok::<_, Error>(true)
            })
            .await
    }
}

/// Neither code nor proof can be used any more, and have not been for a day: a mail that waits for its
/// server would still be sent until then.
fn is_over(record: &ValidationRecord, now_ms: MilliSeconds) -> bool {
    let last = record.validated_at_ms.unwrap_or(0).max(record.expires_at_ms);
    last.saturating_add(PROOF_LIFETIME_MS) <= now_ms
}

#[cfg(test)]
mod tests {
    use pli_schema::records::{
        accounts::{LoginTokenRecord, ValidationByClientRecord},
        rooms::TransactionRecord,
    };
    use ruma::{device_id, user_id};

    use super::*;
    use crate::{
        Random, TestClock,
        media::{MediaFiles, MediaSettings},
    };

    const HOUR: MilliSeconds = 3_600_000;

    fn validation(secret: u8, expires_at_ms: MilliSeconds) -> ValidationRecord {
        use pli_schema::records::accounts::{Letter, Purpose};
        ValidationRecord {
            purpose: Purpose::Register,
            address: pli_schema::EmailAddress::parse("a@agents.example").unwrap(),
            client_secret: [secret; 32],
            language: pli_schema::Language::En,
            letter: Letter::Code,
            send_attempt: 1,
            code: None,
            token: None,
            wrong_tries: 0,
            expires_at_ms,
            validated_at_ms: None,
            used: false,
        }
    }

    fn transaction(n: u64) -> TransactionKey {
        TransactionKey {
            user_id: user_id!("@a:x").to_owned(),
            device_id: device_id!("D").to_owned(),
            scope: "1/send/m.room.message".to_owned(),
            transaction_id: format!("{n:05}"),
        }
    }

    async fn fill(store: &Store, now_ms: MilliSeconds) {
        store
            .write(|tx| async move {
                for (n, expires_at_ms) in [(1_u8, now_ms), (2, now_ms + 30 * HOUR)] {
                    let (sid, hash) = (n.to_string(), [n; 32]);
                    tx.put(&ValidationKey { sid: sid.clone() }, &validation(n, expires_at_ms))?;
                    let by_client = ValidationByClientKey { client_secret: hash, purpose: 0 };
                    tx.put(&by_client, &ValidationByClientRecord { sid })?;
                    let user_id = user_id!("@a:x").to_owned();
                    tx.put(&LoginTokenKey { hash }, &LoginTokenRecord { user_id, expires_at_ms })?;
                }
                for n in 0..500 {
                    let at_ms = if n % 5 == 0 { now_ms + 30 * HOUR } else { now_ms };
                    tx.put(&transaction(n), &TransactionRecord { event_id: None, at_ms })?;
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }

    async fn rows<K: Key>(store: &Store) -> usize {
        store.scan(&Scan::<K>::prefix(())).await.unwrap().len()
    }

    #[tokio::test]
    async fn what_is_over_goes_and_the_rest_stays() {
        let test_clock = TestClock::new(1_700_000_000_000);
        let (clock, store) = (Clock::Test(test_clock.clone()), Store::in_memory());
        let sources = (clock.clone(), Random::seeded(1));
        let name = ruma::owned_server_name!("x");
        let files = MediaFiles::in_memory();
        let media =
            Media::new(store.clone(), sources, name.clone(), MediaSettings::default(), files);
        let media = media.unwrap();
        let settings = crate::previews::PreviewSettings::default();
        let outgoing = crate::outgoing::Outgoing::new(false).unwrap();
        let place = (store.clone(), clock.clone());
        let previews = Previews::new(place, media.clone(), outgoing, settings);
        let rooms = crate::Rooms::for_tests(store.clone(), clock.clone(), name).unwrap();
        let reports = Reports::new(rooms.clone(), crate::History::new(rooms));
        let mut sweep = Sweep::new(store.clone(), clock.clone(), media, previews, reports);
        sweep.step_pause = Duration::ZERO;
        fill(&store, clock.now_ms()).await;
        test_clock.advance_ms(1);
        assert_eq!(sweep.round().await.unwrap(), 1, "the login token");
        test_clock.advance_ms(25 * HOUR);
        assert_eq!(sweep.round().await.unwrap(), 1, "a session");
        assert_eq!(rows::<ValidationKey>(&store).await, 1);
        assert_eq!(rows::<ValidationByClientKey>(&store).await, 1);
        test_clock.advance_ms(6 * 24 * HOUR);
        assert_eq!(
            sweep.round().await.unwrap(),
            402,
            "transactions, and what was left of the others"
        );
        assert_eq!(rows::<TransactionKey>(&store).await, 100);
        test_clock.advance_ms(30 * HOUR);
        assert_eq!(sweep.round().await.unwrap(), 100);
        assert_eq!(sweep.round().await.unwrap(), 0);
    }
}
