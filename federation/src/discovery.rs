//! From a server's name to the addresses where it answers
//! (<https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names>).
//!
//! The steps are here; what they ask of the network is a [`Lookup`], so that they can be tested and
//! simulated.

use std::{future::Future, net::IpAddr};

use ruma::ServerName;

use crate::server_name::{self, Host, Parts};

/// The port where nothing says another.
pub const DEFAULT_PORT: u16 = 8448;
/// SRV records of one name that are tried at most.
const SRV_MAX: usize = 8;

/// Where a TLS connection goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// An address, or a name whose addresses are looked up.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The value of the `Host` header.
    pub host_header: String,
    /// The name or address for which the certificate must be valid.
    pub certificate: Host,
    /// Where to connect, in the order in which to try. Never empty.
    pub endpoints: Vec<Endpoint>,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lower ones come first.
    pub priority: u16,
    /// The share among those of the same priority.
    pub weight: u16,
    /// The host.
    pub target: String,
    /// The port.
    pub port: u16,
}

/// What discovery asks of the network. Answers may come from a cache.
pub trait Lookup: Sync {
    /// `m.server` of `https://HOST/.well-known/matrix/server`; `None` for every kind of failure.
    fn well_known(&self, host: &str) -> impl Future<Output = Option<String>> + Send;

    /// The SRV records of a name such as `_matrix-fed._tcp.example.org`; empty if there are none or
    /// they could not be had.
    fn srv(&self, name: &str) -> impl Future<Output = Vec<SrvRecord>> + Send;
}

/// No way to the server was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The name cannot be that of a server.
    #[error("not a server name")]
    Name,
    /// The domain says with an SRV record of the target `.` that it has no such service (RFC 2782).
    #[error("the domain says that it has no Matrix server")]
    NoService,
}

/// Finds out how a server is reached.
///
/// # Errors
/// [`DiscoveryError`].
pub async fn discover(
    name: &ServerName,
    lookup: &impl Lookup,
) -> Result<Destination, DiscoveryError> {
    let parts = server_name::parts(name).ok_or(DiscoveryError::Name)?;
    let host = match &parts.host {
        Host::Dns(host) if parts.port.is_none() => host,
        _ => return Ok(direct(parts, name.as_str())),
    };
    let delegated = lookup.well_known(host).await;
    let delegated = delegated.as_deref().and_then(server_name::parse);
    let Some(delegated) = delegated else {
        return by_srv(host, lookup).await;
    };
    let parts = server_name::parts(&delegated).ok_or(DiscoveryError::Name)?;
    match &parts.host {
        Host::Dns(host) if parts.port.is_none() => by_srv(host, lookup).await,
        _ => Ok(direct(parts, delegated.as_str())),
    }
}

/// A literal, or a name with a port: nothing more to ask.
fn direct(parts: Parts, written: &str) -> Destination {
    let port = parts.port.unwrap_or(DEFAULT_PORT);
    Destination {
        host_header: written.to_owned(),
        certificate: parts.host.clone(),
        endpoints: vec![Endpoint { host: parts.host, port }],
    }
}

async fn by_srv(host: &str, lookup: &impl Lookup) -> Result<Destination, DiscoveryError> {
    let mut records = lookup.srv(&format!("_matrix-fed._tcp.{host}")).await;
    if records.is_empty() {
        records = lookup.srv(&format!("_matrix._tcp.{host}")).await;
    }
    let dns = Host::Dns(host.to_owned());
    let mut endpoints = ordered(records)?;
    if endpoints.is_empty() {
        endpoints.push(Endpoint { host: dns.clone(), port: DEFAULT_PORT });
    }
    Ok(Destination { host_header: host.to_owned(), certificate: dns, endpoints })
}

/// The targets by priority, heavier ones first. Records that make no sense are left out.
fn ordered(mut records: Vec<SrvRecord>) -> Result<Vec<Endpoint>, DiscoveryError> {
    if let [only] = records.as_slice()
        && matches!(only.target.as_str(), "." | "")
    {
        return Err(DiscoveryError::NoService);
    }
    records.sort_by_key(|record| (record.priority, u16::MAX - record.weight));
    let endpoints = records.into_iter().filter_map(|record| {
        let target = record.target.trim_end_matches('.');
        // RFC 2782: the target is a name, never an address.
        let sound = record.port != 0 && !target.is_empty() && target.parse::<IpAddr>().is_err();
        sound.then(|| Endpoint { host: Host::Dns(target.to_owned()), port: record.port })
    });
    Ok(endpoints.take(SRV_MAX).collect())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Net {
        well_known: HashMap<&'static str, &'static str>,
        srv: HashMap<&'static str, Vec<SrvRecord>>,
    }

    impl Lookup for Net {
        async fn well_known(&self, host: &str) -> Option<String> {
            self.well_known.get(host).map(|name| (*name).to_owned())
        }

        async fn srv(&self, name: &str) -> Vec<SrvRecord> {
            self.srv.get(name).cloned().unwrap_or_default()
        }
    }

    fn net(well_known: &[(&'static str, &'static str)], srv: &[(&'static str, &str, u16)]) -> Net {
        let srv = srv.iter().map(|(name, target, port)| {
            let (priority, weight, target) = (1, 1, (*target).to_owned());
            (*name, vec![SrvRecord { priority, weight, target, port: *port }])
        });
        Net { well_known: well_known.iter().copied().collect(), srv: srv.collect() }
    }

    fn found(name: &str, net: &Net) -> Result<(String, String, String), DiscoveryError> {
        let name = server_name::parse(name).unwrap();
        let mut future = pin!(discover(&name, net));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(found) = future.as_mut().poll(&mut context) else {
            panic!("a lookup that is there at once")
        };
        let shown = |host: &Host| match host {
            Host::Ip(address) => address.to_string(),
            Host::Dns(name) => name.clone(),
        };
        found.map(|found| {
            let endpoints =
                found.endpoints.iter().map(|e| format!("{}|{}", shown(&e.host), e.port));
            let endpoints = endpoints.collect::<Vec<_>>().join(" ");
            (found.host_header, shown(&found.certificate), endpoints)
        })
    }

    #[test]
    fn every_step_of_the_specification() {
        let cases = [
            // 1: literals.
            ("1.2.3.4", net(&[], &[]), ("1.2.3.4", "1.2.3.4", "1.2.3.4|8448")),
            ("[::1]:9", net(&[], &[]), ("[::1]:9", "::1", "::1|9")),
            // 2: a port.
            (
                "a.example:80",
                net(&[("a.example", "b")], &[]),
                ("a.example:80", "a.example", "a.example|80"),
            ),
            // 3.1
            (
                "a.example",
                net(&[("a.example", "1.2.3.4")], &[]),
                ("1.2.3.4", "1.2.3.4", "1.2.3.4|8448"),
            ),
            ("a.example", net(&[("a.example", "[::1]:7")], &[]), ("[::1]:7", "::1", "::1|7")),
            // 3.2
            (
                "a.example",
                net(&[("a.example", "b.example:7")], &[]),
                ("b.example:7", "b.example", "b.example|7"),
            ),
            // 3.3 to 3.5
            (
                "a.example",
                net(
                    &[("a.example", "b.example")],
                    &[
                        ("_matrix-fed._tcp.b.example", "c.example.", 6),
                        ("_matrix._tcp.b.example", "d", 5),
                    ],
                ),
                ("b.example", "b.example", "c.example|6"),
            ),
            (
                "a.example",
                net(&[("a.example", "b.example")], &[("_matrix._tcp.b.example", "d.example", 5)]),
                ("b.example", "b.example", "d.example|5"),
            ),
            (
                "a.example",
                net(&[("a.example", "b.example")], &[]),
                ("b.example", "b.example", "b.example|8448"),
            ),
            // 4 to 6
            (
                "a.example",
                net(&[], &[("_matrix-fed._tcp.a.example", "c.example", 6)]),
                ("a.example", "a.example", "c.example|6"),
            ),
            (
                "a.example",
                net(&[], &[("_matrix._tcp.a.example", "c.example", 6)]),
                ("a.example", "a.example", "c.example|6"),
            ),
            ("a.example", net(&[], &[]), ("a.example", "a.example", "a.example|8448")),
            // What a well-known says wrongly is as if it said nothing; a delegation is followed once.
            (
                "a.example",
                net(&[("a.example", "b c")], &[]),
                ("a.example", "a.example", "a.example|8448"),
            ),
            (
                "a.example",
                net(&[("a.example", "b.example"), ("b.example", "c.example")], &[]),
                ("b.example", "b.example", "b.example|8448"),
            ),
            // An SRV record never leads to an address.
            (
                "a.example",
                net(&[], &[("_matrix-fed._tcp.a.example", "127.0.0.1", 6)]),
                ("a.example", "a.example", "a.example|8448"),
            ),
        ];
        for (name, net, (host_header, certificate, endpoints)) in cases {
            let expected = (host_header.into(), certificate.into(), endpoints.into());
            assert_eq!(found(name, &net), Ok(expected), "{name}");
        }
    }

    #[test]
    fn records_are_tried_by_priority_and_a_dot_is_a_refusal() {
        let record = |priority, weight, target: &str, port| SrvRecord {
            priority,
            weight,
            target: target.to_owned(),
            port,
        };
        let mut net = Net::default();
        net.srv.insert(
            "_matrix-fed._tcp.a.example",
            vec![
                record(2, 9, "z", 1),
                record(1, 1, "y", 2),
                record(1, 5, "x", 3),
                record(0, 0, "w", 0),
            ],
        );
        assert_eq!(found("a.example", &net).unwrap().2, "x|3 y|2 z|1");
        net.srv.insert("_matrix-fed._tcp.a.example", vec![record(0, 0, ".", 0)]);
        assert_eq!(found("a.example", &net), Err(DiscoveryError::NoService));
    }
}
