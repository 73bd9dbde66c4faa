//! Requests to application services.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#querying>

use std::time::Duration;

use reqwest::Method;
use ruma::{RoomAliasId, UserId};
use url::Url;

use super::{Appservice, Appservices};
use crate::outgoing::{Outgoing, OutgoingAnswer, OutgoingError, OutgoingRequest};

/// Largest answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Time for a query, for which someone waits.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a transaction.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A request to a service: where it is since v1 of the specification, and where it was before.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Segments of the path.
    pub(super) path: Vec<String>,
    /// The path of older services.
    pub(super) legacy_path: Option<Vec<String>>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) timeout: Duration,
}

impl Call {
    /// A `GET` with these segments after `/_matrix/app/v1`.
    pub(super) fn get(path: &[&str]) -> Self {
        Self {
            method: Method::GET,
            path: v1(path),
            legacy_path: None,
            query: Vec::new(),
            body: None,
            timeout: QUERY_TIMEOUT,
        }
    }

    /// With an older path.
    pub(super) fn or_at(mut self, path: &[&str]) -> Self {
        self.legacy_path = Some(path.iter().map(|&segment| segment.to_owned()).collect());
        self
    }
}

pub(super) fn v1(path: &[&str]) -> Vec<String> {
    ["_matrix", "app", "v1"].iter().chain(path).map(|&segment| segment.to_owned()).collect()
}

impl Appservices {
    /// Asks the services whether they have this user; whoever has makes the account before answering.
    /// Whether one has.
    pub async fn query_user(&self, user_id: &UserId) -> bool {
        let id = user_id.as_str();
        for service in self.iter().filter(|service| service.covers_user(user_id)) {
            let call = Call::get(&["users", id]).or_at(&["users", id]);
            if self.answers_yes(service, call).await {
                return true;
            }
        }
        false
    }

    /// Asks the services whether they have a room of this alias; whoever has makes it before answering.
    /// Whether one has.
    pub async fn query_alias(&self, alias: &RoomAliasId) -> bool {
        let id = alias.as_str();
        for service in self.iter().filter(|service| service.covers_alias(alias)) {
            let call = Call::get(&["rooms", id]).or_at(&["rooms", id]);
            if self.answers_yes(service, call).await {
                return true;
            }
        }
        false
    }

    async fn answers_yes(&self, service: &Appservice, call: Call) -> bool {
        match self.call(service, call).await {
            Ok(answer) => answer.is_success(),
            Err(error) => {
                tracing::debug!(service = &*service.id, %error, "a query was not answered");
                false
            }
        }
    }

    /// Hands a transaction over.
    ///
    /// # Errors
    /// [`OutgoingError`] if the service did not take it.
    pub(crate) async fn push(
        &self,
        service: &Appservice,
        txn_id: u64,
        body: &str,
    ) -> Result<(), OutgoingError> {
        let txn_id = txn_id.to_string();
        let call = Call {
            method: Method::PUT,
            body: Some(body.as_bytes().to_vec()),
            timeout: TRANSACTION_TIMEOUT,
            ..Call::get(&["transactions", &txn_id]).or_at(&["transactions", &txn_id])
        };
        let answer = self.call(service, call).await?;
        if answer.is_success() { Ok(()) } else { Err(OutgoingError::Status(answer.status)) }
    }

    /// Sends a request; where the service does not know the path, again to the older one.
    pub(super) async fn call(
        &self,
        service: &Appservice,
        call: Call,
    ) -> Result<OutgoingAnswer, OutgoingError> {
        let (Some(outgoing), Some(url)) = (&self.outgoing, &service.url) else {
            return Err(OutgoingError::Refused("the service wants no traffic"));
        };
        let target = address(url, &call.path, &call.query);
        let answer = send(outgoing, service, &call, target).await?;
        let Some(legacy_path) = &call.legacy_path else {
            return Ok(answer);
        };
        // 404 is also the answer of a newer service that does not have what it is asked for: then the
        // older path has the same answer.
        if !matches!(answer.status, 404 | 405 | 501) {
            return Ok(answer);
        }
        let mut query = call.query.clone();
        // Services of that age know no other way.
        query.push(("access_token".to_owned(), service.hs_token.0.clone()));
        let target = address(url, legacy_path, &query);
        match send(outgoing, service, &call, target).await {
            Ok(older) if older.is_success() => Ok(older),
            _ => Ok(answer),
        }
    }
}

async fn send(
    outgoing: &Outgoing,
    service: &Appservice,
    call: &Call,
    url: Url,
) -> Result<OutgoingAnswer, OutgoingError> {
    let request = OutgoingRequest {
        method: call.method.clone(),
        url,
        bearer: Some(&service.hs_token.0),
        json: call.body.clone(),
        timeout: call.timeout,
        limit_bytes: ANSWER_BYTES_MAX,
    };
    outgoing.send(request).await
}

/// An address below that of the service.
fn address(base: &Url, path: &[String], query: &[(String, String)]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}
