//! What happens around every request: an id, a span, one line in the log, CORS, and a panic that costs
//! only this request.

use std::{
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};
use pli_core::Appservices;
use tracing::Instrument;

use crate::{
    Error,
    error::{Errcode, Internal, plain},
    rate_limits::{Class, RateLimits},
    serve::Peer,
};

/// What every request passes through. Clones share it.
#[derive(Clone)]
pub struct RequestLayer {
    rate_limits: RateLimits,
    trusted_proxies: Arc<[IpAddr]>,
    appservices: Appservices,
    next_id: Arc<AtomicU64>,
}

impl RequestLayer {
    /// With the rate limits, and the addresses whose `X-Forwarded-For` is believed.
    #[must_use]
    pub fn new(rate_limits: RateLimits, trusted_proxies: Vec<IpAddr>, first_id: u64) -> Self {
        let next_id = Arc::new(AtomicU64::new(first_id));
        let appservices = Appservices::default();
        Self { rate_limits, trusted_proxies: trusted_proxies.into(), appservices, next_id }
    }

    /// With the application services, some of which are not limited.
    #[must_use]
    pub fn with_appservices(mut self, appservices: Appservices) -> Self {
        self.appservices = appservices;
        self
    }

    /// Whether the request is one of an application service that is not limited.
    fn is_unlimited(&self, request: &Request) -> bool {
        let header = request.headers().get(header::AUTHORIZATION);
        let token = header.and_then(|value| value.to_str().ok()?.split_once(' '));
        let service = token.and_then(|(_, token)| self.appservices.by_token(token.trim()));
        service.is_some_and(|service| !service.rate_limited)
    }

    /// The address that a request is counted for: the peer's, or what a trusted proxy says.
    fn address(&self, request: &Request) -> Option<IpAddr> {
        let Peer(peer) = request.extensions().get::<Peer>()?;
        let mut address = peer.ip().to_canonical();
        let forwarded = request.headers().get_all("x-forwarded-for");
        let hops: Vec<&str> = forwarded
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        // From the nearest hop outwards, as far as each is trusted.
        for hop in hops.iter().rev() {
            if !self.trusted_proxies.contains(&address) {
                break;
            }
            let Ok(next) = hop.trim().parse::<IpAddr>() else { break };
            address = next.to_canonical();
        }
        Some(address)
    }

    /// Requests without a token are counted by address; the others by user, once we know who it is.
    fn check_address(&self, class: Class, request: &Request) -> Result<(), Error> {
        let by_address = matches!(class, Class::Login | Class::Register)
            || !request.headers().contains_key(header::AUTHORIZATION);
        match self.address(request) {
            Some(address) if by_address && !self.is_unlimited(request) => {
                Ok(self.rate_limits.check_address(class, address)?)
            }
            _ => Ok(()),
        }
    }
}

/// The class of the request, carried to the identity's extractor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestClass(pub(crate) Class);

/// The address of the client, carried to the identity's extractor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// The middleware.
pub async fn around(
    State(layer): State<RequestLayer>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = layer.next_id.fetch_add(1, Ordering::Relaxed);
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map_or("unknown", MatchedPath::as_str);
    let span = tracing::info_span!("request", id = %format_args!("{id:016x}"), %method, path);
    let started = Instant::now();
    let class = Class::of(&method, path);
    request.extensions_mut().insert(RequestClass(class));
    if let Some(address) = layer.address(&request) {
        request.extensions_mut().insert(ClientAddress(address));
    }
    let response = async {
        if method == Method::OPTIONS {
            return StatusCode::OK.into_response();
        }
        if let Err(error) = layer.check_address(class, &request) {
            return error.into_response();
        }
        run(request, next).await
    }
    .instrument(span.clone())
    .await;
    let mut response = as_matrix_error(response);
    allow_browsers(&mut response);
    span.in_scope(|| note(&response, &method, path, started));
    response
}

/// Runs the handler; a panic becomes a 500 for this request.
async fn run(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            // The panic hook has written where and why.
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let mut response = plain(status, "M_UNKNOWN", "Internal server error");
            response.extensions_mut().insert(Internal("panic".into()));
            response
        }
    }
}

/// A refusal of axum's own extractors is a line of text; clients want an errcode.
fn as_matrix_error(response: Response) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_text = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    if is_text && response.status().is_client_error() {
        return plain(response.status(), "M_INVALID_PARAM", "The request is not well-formed");
    }
    response
}

/// The CORS headers that the specification recommends for every answer.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients>
fn allow_browsers(response: &mut Response) {
    const HEADERS: [(header::HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            // The last two are for the mailboxes of MSC4108.
            "X-Requested-With, Content-Type, Authorization, If-Match, If-None-Match",
        ),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// One line per request: the path is the template, so that no identifier is in it, and there is no
/// query, token or body.
fn note(response: &Response, method: &Method, path: &str, started: Instant) {
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    let errcode = response.extensions().get::<Errcode>().map_or("", |Errcode(code)| code);
    let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    match response.extensions().get::<Internal>() {
        Some(Internal(detail)) => {
            tracing::error!(target: "pli::request", status, errcode, duration_ms, detail, "failed");
        }
        None => {
            tracing::info!(target: "pli::request", status, errcode, duration_ms, "answered");
        }
    }
    let labels =
        [("method", method.to_string()), ("path", path.to_owned()), ("status", status.to_string())];
    metrics::counter!("pli_requests_total", &labels).increment(1);
    metrics::histogram!("pli_request_seconds", "path" => path.to_owned())
        .record(elapsed.as_secs_f64());
}
