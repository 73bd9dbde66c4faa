//! How it stands with the servers to which this one sends, for those who look after it.

use pli_schema::records::sending::{
    DestinationKey, DestinationRecord, DeviceListOutKey, SendBehindKey, SendQueueKey,
    ToDeviceOutKey,
};
use pli_store::Scan;
use ruma::{OwnedServerName, ServerName};

use super::Sender;
use crate::{MilliSeconds, Result};

/// What waits is counted up to this.
const COUNTED_MAX: usize = 1_000;

/// How it stands with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationStatus {
    /// The server.
    pub server: OwnedServerName,
    /// Events that wait for it; 1000 for more.
    pub events: usize,
    /// Rooms of which it missed so much that it will be told of their newest events only.
    pub rooms_behind: usize,
    /// Messages to devices that wait for it; 1000 for more.
    pub to_device: usize,
    /// Users whose devices it is to be told of; 1000 for more.
    pub device_lists: usize,
    /// Transactions in a row that it did not take.
    pub failures: u32,
    /// Since when it takes none, in milliseconds since 1970; `None` while it does.
    pub failing_since_ms: Option<MilliSeconds>,
    /// When it is tried again, if it is not heard of before.
    pub retry_at_ms: Option<MilliSeconds>,
    /// When it last took a transaction.
    pub last_success_ms: Option<MilliSeconds>,
    /// When it last sent a request, since this server started.
    pub last_heard_ms: Option<MilliSeconds>,
    /// Why it did not take the last transaction.
    pub last_error: Option<String>,
}

/// How it stands with all servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Servers to which this one has sent.
    pub destinations: u64,
    /// Those of them that do not take transactions.
    pub failing: u64,
}

impl Sender {
    /// How it stands with a server.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn status(&self, server: &ServerName) -> Result<DestinationStatus> {
        let key = DestinationKey { destination: server.to_owned() };
        let record = self.store().get(&key).await?.unwrap_or_default();
        self.status_of(key.destination, record).await
    }

    /// How it stands with servers, by name: at most `most` of those after one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn statuses(
        &self,
        after: Option<&ServerName>,
        most: usize,
    ) -> Result<Vec<DestinationStatus>> {
        let mut rows = Scan::<DestinationKey>::prefix(());
        if let Some(after) = after {
            rows = rows.after((after.to_owned(),));
        }
        let mut statuses = Vec::new();
        for row in self.store().scan(&rows.limit(most)).await? {
            statuses.push(self.status_of(row.key.destination, row.record).await?);
        }
        Ok(statuses)
    }

    /// Tries a server again that does not take transactions, as if it had been heard of.
    pub fn retry(&self, server: &ServerName) {
        self.parts.signed.partners().contacts().awaited().is_back(server);
    }

    /// How it stands with all servers.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn totals(&self) -> Result<Totals> {
        let rows = self.store().scan(&Scan::<DestinationKey>::prefix(())).await?;
        let failing = rows.iter().filter(|row| row.record.failures > 0).count();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Ok(Totals { destinations: count(rows.len()), failing: count(failing) })
    }

    async fn status_of(
        &self,
        server: OwnedServerName,
        record: DestinationRecord,
    ) -> Result<DestinationStatus> {
        /// How many rows of a table are for the server.
        macro_rules! waiting {
            ($key:ident) => {{
                let rows = Scan::<$key>::prefix((server.clone(),)).limit(COUNTED_MAX);
                self.store().scan(&rows).await?.len()
            }};
        }
        let time = |ms: u64| (ms > 0).then_some(ms);
        let is_failing = record.failures > 0;
        Ok(DestinationStatus {
            events: waiting!(SendQueueKey),
            rooms_behind: waiting!(SendBehindKey),
            to_device: waiting!(ToDeviceOutKey),
            device_lists: waiting!(DeviceListOutKey),
            failures: record.failures,
            failing_since_ms: time(record.failing_since_ms),
            retry_at_ms: time(record.retry_at_ms).filter(|_| is_failing),
            last_success_ms: time(record.last_success_ms),
            last_heard_ms: self.parts.signed.partners().contacts().of(&server).heard_ms,
            last_error: Some(record.last_error).filter(|error| !error.is_empty()),
            server,
        })
    }
}
