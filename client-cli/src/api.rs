//! Plain JSON requests to the homeserver, for what the SDK has no call for.

use reqwest::Method;
use reqwest::header::ACCEPT_LANGUAGE;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::error::{CliError, Result};
use crate::lang::Lang;

/// The largest answer that is read.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A homeserver to ask, with or without an access token, in the language of the person: refusals
/// and mails are written for them.
pub struct Api {
    http: reqwest::Client,
    base: Url,
    token: Option<Zeroizing<String>>,
    lang: Lang,
}

/// An answer of the server: its HTTP status and its JSON.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The body; `null` when it is empty or no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of a success, or the refusal as an error.
    ///
    /// # Errors
    /// `Refused` with the server's errcode, `Network` when it does not answer as Matrix servers do.
    pub fn ok(self) -> Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let text = |key| self.body.get(key).and_then(Value::as_str);
        match text("errcode") {
            Some(errcode) => Err(CliError::refused(errcode, text("error").unwrap_or_default())),
            None => Err(CliError::Network(format!("HTTP {}", self.status))),
        }
    }
}

impl Api {
    /// Uses the connection of an SDK client and, when it has a session, its token.
    pub fn of(client: &matrix_sdk::Client, lang: Lang) -> Self {
        Self {
            http: client.http_client().clone(),
            base: client.homeserver(),
            token: client.access_token().map(Zeroizing::new),
            lang,
        }
    }

    /// Asks another base URL over the same connections, without the token.
    pub fn anonymous(client: &matrix_sdk::Client, base: Url, lang: Lang) -> Self {
        Self { http: client.http_client().clone(), base, token: None, lang }
    }

    /// Sends a request to a path made of segments, each percent-encoded.
    ///
    /// # Errors
    /// When the server cannot be reached or answers more than is sane.
    pub async fn call(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| CliError::Network(self.base.to_string()))?
            .pop_if_empty()
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).header(ACCEPT_LANGUAGE, self.lang.code());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.as_str());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request.send().await?).await
    }

    /// Posts JSON to a full URL that the server named; the access token is not sent along.
    ///
    /// # Errors
    /// As `call`.
    pub async fn post_to(&self, url: Url, body: &Value) -> Result<Answer> {
        let request = self.http.post(url).header(ACCEPT_LANGUAGE, self.lang.code());
        read(request.json(body).send().await?).await
    }
}

async fn read(mut response: reqwest::Response) -> Result<Answer> {
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_MAX_BYTES {
            return Err(CliError::Network("the answer is too long".to_owned()));
        }
    }
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_become_results() {
        let answer = |status, body| Answer { status, body }.ok();
        assert_eq!(answer(200, json!({"a": 1})).unwrap(), json!({"a": 1}));
        let refused = answer(403, json!({"errcode": "M_THREEPID_DENIED", "error": "no"}));
        assert_eq!(refused.unwrap_err().exit().code(), 4);
        assert_eq!(answer(502, Value::Null).unwrap_err().exit().code(), 5);
        assert_eq!(answer(404, json!({"errcode": "M_NOT_FOUND"})).unwrap_err().exit().code(), 6);
    }
}
