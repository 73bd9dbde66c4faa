//! The task that sends what waits in the store.

use std::{path::PathBuf, time::Duration};

use futures_util::{StreamExt, stream};
use lettre::message::Mailbox;
use pli_schema::{
    account_settings::MailSettings,
    records::{
        accounts::{Letter, ValidationKey, ValidationRecord},
        invitations::InviteMailKey,
        policy::{MailJobKey, MailJobRecord},
    },
};
use pli_store::{Row, Scan, Store};
use ruma::OwnedServerName;
use tokio_util::sync::CancellationToken;

use super::{
    Transport,
    letters::{self, Proof},
};
use crate::{
    Clock, Error, Random, Result,
    accounts::{
        TokenHash,
        validation::{code_hash, lifetime_ms},
    },
    jobs::job_comes,
};

/// Mails under way at once.
const AT_ONCE: usize = 8;
/// Mails looked at in one round.
pub(super) const ROUND: usize = 256;
/// How often the queue is looked at when nothing wakes the task.
const IDLE: Duration = Duration::from_secs(30);
/// The first pause after a failure; it doubles with each one.
const FIRST_PAUSE_MS: u64 = 5_000;
/// The longest pause.
const LONGEST_PAUSE_MS: u64 = 30 * 60_000;
/// Failures after which a mail is given up: more than a day.
pub(super) const FAILURES: u32 = 60;

/// Sends the mails. Clones share everything.
#[derive(Clone, Debug)]
pub struct Mailer {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) transport: Transport,
    pub(super) from: Mailbox,
    pub(super) server_name: OwnedServerName,
    pub(super) base_url: String,
}

impl Mailer {
    /// The mails of a store. `folder` gets them where the settings name no mail server; `base_url` is
    /// where links point, without a slash at the end.
    ///
    /// # Errors
    /// [`Error::Bug`] with what is wrong with the settings.
    pub fn new(
        store: Store,
        clock: Clock,
        random: Random,
        settings: &MailSettings,
        place: (OwnedServerName, String, PathBuf),
    ) -> Result<Self> {
        let (server_name, base_url, folder) = place;
        let from = match &settings.from {
            Some(from) => from.clone(),
            None => format!("Pli <no-reply@{}>", mail_domain(server_name.host())),
        };
        let from = from.parse().map_err(|error| Error::Bug(format!("[mail] from: {error}")))?;
        let transport = Transport::new(settings, folder)?;
        Ok(Self { store, clock, random, transport, from, server_name, base_url })
    }

    /// Where the mails go, for the log at start.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Sends what waits until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        // Subscribe first, then sample, then wait.
        let mut commits = self.store.subscribe();
        loop {
            for result in [self.send_due().await, self.send_invitations().await] {
                if let Err(error) = result {
                    tracing::error!(%error, "the mail queue could not be read");
                }
            }
            let pause = self.pause().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = job_comes(&mut commits) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How long nothing is due.
    async fn pause(&self) -> Duration {
        let Ok(rows) = self.store.scan(&Scan::<MailJobKey>::prefix(()).limit(ROUND)).await else {
            return IDLE;
        };
        let invitations = Scan::<InviteMailKey>::prefix(()).limit(ROUND);
        let Ok(invitations) = self.store.scan(&invitations).await else {
            return IDLE;
        };
        let now_ms = self.clock.now_ms();
        let due = rows.iter().map(|row| row.record.next_try_ms);
        let due = due.chain(invitations.iter().map(|row| row.record.next_try_ms));
        let next = due.map(|at_ms| at_ms.saturating_sub(now_ms)).min();
        next.map_or(IDLE, |ms| Duration::from_millis(ms.max(100)).min(IDLE))
    }

    /// Sends what is due now; returns how many mails left.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn send_due(&self) -> Result<usize> {
        let now_ms = self.clock.now_ms();
        let rows = self.store.scan(&Scan::<MailJobKey>::prefix(()).limit(ROUND)).await?;
        let due = rows.into_iter().filter(|row| row.record.next_try_ms <= now_ms);
        let sent: Vec<Result<bool>> = stream::iter(due)
            .map(|row| self.send_one(row))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut count = 0_usize;
        for result in sent {
            count = count.saturating_add(usize::from(result?));
        }
        Ok(count)
    }

    async fn send_one(&self, row: Row<MailJobKey>) -> Result<bool> {
        let Some((session, proof)) = self.prepare(&row.record.sid).await? else {
            self.done(&row.key).await?;
            return Ok(false);
        };
        let mail = letters::write(
            session.purpose,
            session.letter,
            session.language,
            self.server_name.as_str(),
            proof.as_ref(),
        );
        let id = self.random.letters(24);
        let now_ms = self.clock.now_ms();
        match self.transport.send(&self.from, &session.address, mail, &id, now_ms).await {
            Ok(()) => {
                self.done(&row.key).await?;
                tracing::info!("a mail was sent");
                Ok(true)
            }
            Err(error) => {
                let failures = row.record.failures.saturating_add(1);
                if error.permanent || failures >= FAILURES {
                    tracing::error!(%error, failures, "a mail was given up");
                    self.done(&row.key).await?;
                } else {
                    tracing::warn!(%error, failures, "a mail could not be sent yet");
                    self.later(&row, failures).await?;
                }
                Ok(false)
            }
        }
    }

    /// Makes code and link, of which the store keeps the hashes. `None` if the mail has become pointless.
    async fn prepare(&self, sid: &str) -> Result<Option<(ValidationRecord, Option<Proof>)>> {
        let (code, token) = (self.random.digits(6), self.random.token());
        let (code_hash, token_hash) = (code_hash(sid, &code), TokenHash::of(&token).0);
        let key = &ValidationKey { sid: sid.to_owned() };
        let session = self
            .store
            .write(|tx| async move {
                let session = tx.get(key).await?;
                let alive =
                    |session: &ValidationRecord| !session.used && session.validated_at_ms.is_none();
                let Some(mut session) = session.filter(alive) else {
                    return Ok(None);
                };
                if session.letter == Letter::Code {
                    session.code = Some(code_hash);
                    session.token = Some(token_hash);
                    session.wrong_tries = 0;
                    session.expires_at_ms =
                        self.clock.now_ms().saturating_add(lifetime_ms(session.purpose));
                } else {
                    session.code = None;
                    session.token = None;
                }
                tx.put(key, &session)?;
                Ok::<_, Error>(Some(session))
            })
            .await?;
        let link = format!("{}/_pli/email/validate?sid={sid}&token={token}", self.base_url);
        Ok(session.map(|session| {
            let proof = (session.letter == Letter::Code).then_some(Proof { code, link });
            (session, proof)
        }))
    }

    async fn done(&self, key: &MailJobKey) -> Result<()> {
        self.store
            .write(|tx| async move {
                tx.delete(key);
                Ok::<_, Error>(())
            })
            .await
    }

    async fn later(&self, row: &Row<MailJobKey>, failures: u32) -> Result<()> {
        let next_try_ms = self.clock.now_ms().saturating_add(pause_after(failures));
        let record = &MailJobRecord { failures, next_try_ms, ..row.record.clone() };
        self.store
            .write(|tx| async move {
                tx.put(&row.key, record)?;
                Ok::<_, Error>(())
            })
            .await
    }
}

/// How long a mail waits after so many failures, in milliseconds.
pub(super) fn pause_after(failures: u32) -> u64 {
    let doubled = FIRST_PAUSE_MS.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE_MS)
}

/// A domain for the sender's address: the server's host, or a reserved name where that is an IP address
/// or a single label.
fn mail_domain(host: &str) -> &str {
    match pli_schema::Domain::parse(host) {
        Ok(_) => host,
        Err(_) => "pli.invalid",
    }
}
