//! Requests of this server to addresses that others chose: bounded in time and size, without redirects,
//! and never to private or loopback addresses unless the configuration allows them.

pub(crate) mod certificate;
mod pages;
mod servers;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Method,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::{Host, Url};

pub use self::{
    pages::Page,
    servers::{BodyStream, Bounds, PeerCertificate, Servers},
};
use crate::{Error, Result};

/// Time for a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a whole request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client for addresses that others chose. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Outgoing {
    client: reqwest::Client,
    allow_private: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The address may not be used; it is not tried again.
    #[error("the address is not allowed: {0}")]
    Refused(&'static str),
    /// No answer: the network, TLS, time.
    #[error("no answer: {0}")]
    Failed(String),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// An answer that is not a success.
    #[error("answered with status {0}")]
    Status(u16),
    /// An answer above the limit.
    #[error("the answer is too large")]
    TooLarge,
}

/// A request in full.
#[derive(Debug)]
pub struct OutgoingRequest<'a> {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// The token of the `Authorization` header.
    pub bearer: Option<&'a str>,
    /// The body, JSON.
    pub json: Option<Vec<u8>>,
    /// Time for all of it.
    pub timeout: Duration,
    /// Largest answer, in bytes.
    pub limit_bytes: usize,
}

/// An answer of whatever status.
#[derive(Clone, Debug)]
pub struct OutgoingAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl OutgoingAnswer {
    /// Whether it is a success (2xx).
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// Looks names up and leaves out what may not be reached, so that a name cannot lead inside.
#[derive(Clone, Copy, Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

impl Outgoing {
    /// A client; `allow_private` lets private and loopback addresses and plain HTTP pass.
    ///
    /// # Errors
    /// [`Error::Bug`] if TLS cannot be set up.
    pub fn new(allow_private: bool) -> Result<Self> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("Pli/", env!("CARGO_PKG_VERSION")));
        let builder = if allow_private {
            builder
        } else {
            builder.dns_resolver(Arc::new(PublicOnly)).https_only(true)
        };
        let client =
            builder.build().map_err(|error| Error::bug(format!("HTTP client: {error}")))?;
        Ok(Self { client, allow_private })
    }

    /// Whether an address may be used at all, before its name is looked up.
    ///
    /// # Errors
    /// [`OutgoingError::Refused`].
    pub fn check(&self, url: &Url) -> Result<(), OutgoingError> {
        let refused = |why| Err(OutgoingError::Refused(why));
        if !matches!(url.scheme(), "https" | "http")
            || (url.scheme() == "http" && !self.allow_private)
        {
            return refused("not HTTPS");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("it holds a password");
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return refused("it has no host"),
        };
        if !self.allow_private && address.is_some_and(|address| !is_public(address)) {
            return refused("it is private");
        }
        Ok(())
    }

    /// Sends a request and returns the answer, whatever its status.
    ///
    /// # Errors
    /// [`OutgoingError`], but not [`OutgoingError::Status`].
    pub async fn send(
        &self,
        request: OutgoingRequest<'_>,
    ) -> Result<OutgoingAnswer, OutgoingError> {
        self.check(&request.url)?;
        let failed = |error: reqwest::Error| match error.is_timeout() {
            true => OutgoingError::TimedOut,
            false => OutgoingError::Failed(error.without_url().to_string()),
        };
        let mut sent = self.client.request(request.method, request.url).timeout(request.timeout);
        if let Some(token) = request.bearer {
            sent = sent.bearer_auth(token);
        }
        if let Some(json) = request.json {
            sent = sent.header("content-type", "application/json").body(json);
        }
        let mut response = sent.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len().saturating_add(chunk.len()) > request.limit_bytes {
                return Err(OutgoingError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(OutgoingAnswer { status, body })
    }

    /// Sends JSON and returns the body of a successful (2xx) answer.
    ///
    /// # Errors
    /// [`OutgoingError`].
    pub async fn post_json(
        &self,
        url: &Url,
        body: Vec<u8>,
        limit_bytes: usize,
    ) -> Result<Vec<u8>, OutgoingError> {
        self.check(url)?;
        let request = self.client.post(url.clone()).header("content-type", "application/json");
        Ok(fetch(request.body(body), limit_bytes).await?.bytes)
    }

    /// Fetches a document, with a bearer token if one is given.
    ///
    /// # Errors
    /// [`OutgoingError`].
    pub async fn get_document(
        &self,
        url: &Url,
        bearer: Option<&str>,
        limit_bytes: usize,
    ) -> Result<Fetched, OutgoingError> {
        self.check(url)?;
        let request = self.client.get(url.clone()).header("accept", "application/json, */*;q=0.5");
        let request = match bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        fetch(request, limit_bytes).await
    }

    /// Sends a form, with a name and a password if they are given.
    ///
    /// # Errors
    /// [`OutgoingError`].
    pub async fn post_form(
        &self,
        url: &Url,
        fields: &[(&str, &str)],
        basic: Option<(&str, &str)>,
        limit_bytes: usize,
    ) -> Result<Fetched, OutgoingError> {
        self.check(url)?;
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self
            .client
            .post(url.clone())
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let request = match basic {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        };
        fetch(request, limit_bytes).await
    }
}

/// A document that was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its type, in small letters; empty if none was given.
    pub content_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

async fn fetch(
    request: reqwest::RequestBuilder,
    limit_bytes: usize,
) -> Result<Fetched, OutgoingError> {
    let failed = |error: reqwest::Error| OutgoingError::Failed(error.without_url().to_string());
    let mut response = request.send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(OutgoingError::Status(response.status().as_u16()));
    }
    let content_type = response.headers().get("content-type").and_then(|it| it.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len().saturating_add(chunk.len()) > limit_bytes {
            return Err(OutgoingError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Fetched { content_type, bytes })
}

/// Whether an address is one of the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // IPv4 in IPv6: mapped, compatible (with :: and ::1), translated (NAT64), 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] => embedded(high, low),
        [0, 0, 0, 0, 0, 0, ..] => false,
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Only 2000::/3 is global unicast; of it not documentation, not Teredo, ORCHID and the like.
        [first, second, ..] => {
            let documentation = (first == 0x2001 && second == 0xdb8) || first & 0xfff0 == 0x3ff0;
            first & 0xe000 == 0x2000 && !documentation && !(first == 0x2001 && second < 0x200)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.9",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::909:909"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn the_inside_is_not_reached_by_literals_tricks_or_names() {
        let outgoing = Outgoing::new(false).unwrap();
        for url in [
            "http://example.org/",
            "ftp://example.org/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::ffff:7f00:1]/",
            "https://u:p@example.org/",
            "https://10.0.0.1:8443/",
        ] {
            let refused = outgoing.check(&Url::parse(url).unwrap());
            assert!(matches!(refused, Err(OutgoingError::Refused(_))), "{url}");
        }
        let url = Url::parse("https://localhost:1/").unwrap();
        let error = outgoing.post_json(&url, Vec::new(), 10).await.unwrap_err();
        assert!(matches!(error, OutgoingError::Failed(_)), "{error:?}");
    }
}
