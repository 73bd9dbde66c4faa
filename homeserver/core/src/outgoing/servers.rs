//! Requests to other Matrix servers, whose addresses discovery finds.
//!
//! The certificate must be valid for the name that discovery says, which may differ from the host that
//! answers: an SRV record leads elsewhere. The address of such a host is therefore looked up when the
//! connection is made, by the name of the certificate.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use lru::LruCache;
use parking_lot::Mutex;
use pli_federation::{
    discovery::{DEFAULT_PORT, Destination, Endpoint},
    server_name::Host,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use ruma::exports::http;
use url::Url;

use super::{OutgoingError, is_public};
use crate::{Error, Result};

/// Time for a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Names whose way is kept.
const ROUTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// Redirects of a well-known document that are followed.
const REDIRECTS_MAX: usize = 5;

/// How long an answer may take and how large it may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time for all of it.
    pub timeout: Duration,
    /// Bytes of the body.
    pub limit_bytes: usize,
}

/// A body as it comes.
pub type BodyStream = BoxStream<'static, Result<Bytes, OutgoingError>>;

/// The certificate that the server of an answer showed, in DER: an extension of the answer.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Vec<u8>);

/// The ways to hosts by the name in their certificate.
type Routes = Arc<Mutex<LruCache<String, Vec<Endpoint>>>>;

/// A client for other Matrix servers. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Servers {
    client: reqwest::Client,
    routes: Routes,
    allow_private: bool,
}

/// Looks up where the name of a certificate is reached, and leaves out what may not be.
#[derive(Debug)]
struct ByRoute {
    routes: Routes,
    allow_private: bool,
}

impl Resolve for ByRoute {
    fn resolve(&self, name: Name) -> Resolving {
        let route = self.routes.lock().get(name.as_str()).cloned();
        let allow_private = self.allow_private;
        Box::pin(async move {
            // Without a route: a name with a port, or a document of a website. The port is the URL's.
            let host = Host::Dns(name.as_str().to_owned());
            let route = route.unwrap_or_else(|| vec![Endpoint { host, port: 0 }]);
            let mut found: Vec<SocketAddr> = Vec::new();
            for Endpoint { host, port } in route {
                match host {
                    Host::Ip(ip) => found.push(SocketAddr::new(ip, port)),
                    Host::Dns(name) => {
                        // The next target may be there when this one is not.
                        if let Ok(addresses) = tokio::net::lookup_host((name, port)).await {
                            found.extend(addresses);
                        }
                    }
                }
            }
            found.retain(|address| allow_private || is_public(address.ip()));
            if found.is_empty() {
                return Err("the name has no address that may be reached".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Servers {
    /// A client. `extra_roots` are PEM certificates of authorities that are trusted besides the
    /// system's; `allow_private` lets private and loopback addresses pass.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for certificates that cannot be read; [`Error::Bug`] if TLS cannot be set
    /// up.
    pub fn new(extra_roots: Option<&[u8]>, allow_private: bool) -> Result<Self> {
        let routes: Routes = Arc::new(Mutex::new(LruCache::new(ROUTES_MAX)));
        let resolver = ByRoute { routes: Arc::clone(&routes), allow_private };
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(true)
            .tls_info(true)
            .dns_resolver(Arc::new(resolver))
            .user_agent(concat!("Pli/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = extra_roots {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| {
                Error::invalid_param(format!("the certificates of authorities: {error}"))
            })?;
            builder = builder.tls_certs_merge(roots);
        }
        let client =
            builder.build().map_err(|error| Error::bug(format!("HTTP client: {error}")))?;
        Ok(Self { client, routes, allow_private })
    }

    /// Sends a request whose URI is a path, and returns the answer whatever its status.
    ///
    /// # Errors
    /// [`OutgoingError`], but not [`OutgoingError::Status`].
    pub async fn send(
        &self,
        destination: &Destination,
        request: http::Request<Vec<u8>>,
        bounds: Bounds,
    ) -> Result<http::Response<Vec<u8>>, OutgoingError> {
        receive(self.prepare(destination, request, bounds.timeout)?, bounds).await
    }

    /// As [`Self::send`], with a body that is read as it comes: whoever reads it bounds its size.
    ///
    /// # Errors
    /// [`OutgoingError`], but not [`OutgoingError::Status`].
    pub async fn open(
        &self,
        destination: &Destination,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<BodyStream>, OutgoingError> {
        opened(self.prepare(destination, request, timeout)?).await
    }

    fn prepare(
        &self,
        destination: &Destination,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<reqwest::RequestBuilder, OutgoingError> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let url = format!("https://{}{path}", self.authority(destination)?);
        let url = Url::parse(&url).map_err(|_| OutgoingError::Refused("it is no address"))?;
        let mut sent = self.client.request(parts.method, url).timeout(timeout);
        for (name, value) in &parts.headers {
            sent = sent.header(name, value);
        }
        if matches!(destination.certificate, Host::Ip(_)) {
            sent = sent.header("host", &destination.host_header);
        }
        Ok(sent.body(body))
    }

    /// The authority of the URL: where names have no port, the way is kept for the resolver, which gives
    /// the port too.
    fn authority(&self, destination: &Destination) -> Result<String, OutgoingError> {
        let shown = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        match &destination.certificate {
            Host::Ip(ip) => {
                if !self.allow_private && !is_public(*ip) {
                    return Err(OutgoingError::Refused("it is private"));
                }
                let port = destination.endpoints.first().map_or(DEFAULT_PORT, |it| it.port);
                Ok(format!("{}:{port}", shown(ip)))
            }
            Host::Dns(name) if *name == destination.host_header => {
                self.routes.lock().put(name.clone(), destination.endpoints.clone());
                Ok(name.clone())
            }
            Host::Dns(_) => Ok(destination.host_header.clone()),
        }
    }

    /// Fetches a document of a website, following redirects: its body and what `Cache-Control` says.
    ///
    /// # Errors
    /// [`OutgoingError`].
    pub async fn document(
        &self,
        url: Url,
        bounds: Bounds,
    ) -> Result<http::Response<Vec<u8>>, OutgoingError> {
        let (parts, mut stream) = self.open_document(url, bounds.timeout).await?.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            if body.len().saturating_add(chunk.len()) > bounds.limit_bytes {
                return Err(OutgoingError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(http::Response::from_parts(parts, body))
    }

    /// As [`Self::document`], with a body that is read as it comes: whoever reads it bounds its size.
    ///
    /// # Errors
    /// [`OutgoingError`].
    pub async fn open_document(
        &self,
        url: Url,
        timeout: Duration,
    ) -> Result<http::Response<BodyStream>, OutgoingError> {
        let mut url = url;
        for _ in 0..=REDIRECTS_MAX {
            self.check_literal(&url)?;
            let answer = opened(self.client.get(url.clone()).timeout(timeout)).await?;
            let status = answer.status().as_u16();
            let target = answer.headers().get("location").and_then(|to| to.to_str().ok());
            match (status, target) {
                (200..=299, _) => return Ok(answer),
                (301 | 302 | 303 | 307 | 308, Some(target)) => {
                    url = url.join(target).map_err(|_| OutgoingError::Status(status))?;
                }
                _ => return Err(OutgoingError::Status(status)),
            }
        }
        Err(OutgoingError::Refused("too many redirects"))
    }

    fn check_literal(&self, url: &Url) -> Result<(), OutgoingError> {
        let address = match url.host() {
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
            Some(url::Host::Domain(_)) => return Ok(()),
            None => return Err(OutgoingError::Refused("it has no host")),
        };
        if self.allow_private || is_public(address) {
            return Ok(());
        }
        Err(OutgoingError::Refused("it is private"))
    }
}

/// Why a request failed.
fn failed(error: reqwest::Error) -> OutgoingError {
    match error.is_timeout() {
        true => OutgoingError::TimedOut,
        false => OutgoingError::Failed(root_cause(&error.without_url())),
    }
}

/// Sends, and returns the answer with its body still to be read.
async fn opened(
    request: reqwest::RequestBuilder,
) -> Result<http::Response<BodyStream>, OutgoingError> {
    let response = request.send().await.map_err(failed)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes_stream().map(|chunk| chunk.map_err(failed)).boxed();
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// Sends, and reads the answer up to the bound.
async fn receive(
    request: reqwest::RequestBuilder,
    bounds: Bounds,
) -> Result<http::Response<Vec<u8>>, OutgoingError> {
    let mut response = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len().saturating_add(chunk.len()) > bounds.limit_bytes {
            return Err(OutgoingError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = http::Response::new(body);
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    let shown = response.extensions().get::<reqwest::tls::TlsInfo>();
    if let Some(certificate) = shown.and_then(reqwest::tls::TlsInfo::peer_certificate) {
        answer.extensions_mut().insert(PeerCertificate(certificate.to_vec()));
    }
    Ok(answer)
}

/// What an error says at its root: "connection refused" says more than "error sending request".
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
