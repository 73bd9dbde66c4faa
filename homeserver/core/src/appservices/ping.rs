//! Whether a service can be reached.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#pinging>

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{
    Appservice, Appservices,
    query::{Call, v1},
};
use crate::{Clock, Error, Result, error::PingFailure, outgoing::OutgoingError};

/// Time for a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the service's answer that are handed on.
const BODY_BYTES_MAX: usize = 4_096;

impl Appservices {
    /// Pings a service; returns how long that took, in milliseconds. What waits for the service is tried
    /// again.
    ///
    /// # Errors
    /// [`Error::Ping`].
    pub async fn ping(
        &self,
        service: &Appservice,
        clock: &Clock,
        transaction_id: Option<&str>,
    ) -> Result<u64> {
        if service.url.is_none() {
            return Err(Error::Ping(PingFailure::UrlNotSet));
        }
        let body = match transaction_id {
            Some(transaction_id) => json!({ "transaction_id": transaction_id }),
            None => json!({}),
        };
        let call = Call {
            method: Method::POST,
            path: v1(&["ping"]),
            legacy_path: None,
            query: Vec::new(),
            body: Some(body.to_string().into_bytes()),
            timeout: PING_TIMEOUT,
        };
        let started_ms = clock.now_ms();
        let answer = self.call(service, call).await.map_err(|error| {
            Error::Ping(match error {
                OutgoingError::TimedOut => PingFailure::ConnectionTimeout,
                _ => PingFailure::ConnectionFailed,
            })
        })?;
        if !answer.is_success() {
            let bytes = answer.body.get(..BODY_BYTES_MAX).unwrap_or(&answer.body);
            let body = String::from_utf8_lossy(bytes).into_owned();
            return Err(Error::Ping(PingFailure::BadStatus { status: answer.status, body }));
        }
        service.retry.notify_waiters();
        Ok(clock.now_ms().saturating_sub(started_ms))
    }
}
