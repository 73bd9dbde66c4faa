//! Names of servers taken apart (<https://spec.matrix.org/v1.19/appendices/#server-name>).

use std::net::IpAddr;

use ruma::{OwnedServerName, ServerName};

/// What stands before the port in a server name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An IPv4 or (in brackets) IPv6 literal.
    Ip(IpAddr),
    /// A DNS name.
    Dns(String),
}

/// A server name in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The host.
    pub host: Host,
    /// The port, where the name has one.
    pub port: Option<u16>,
}

/// The longest server name, in bytes.
const MAX_BYTES: usize = 230;

/// Reads a server name: a host name, an IPv4 literal or an IPv6 literal in brackets, each with an
/// optional port. Names longer than 230 bytes are refused, as the specification recommends.
pub fn parse(name: &str) -> Option<OwnedServerName> {
    let parsed = ServerName::parse(name).ok()?;
    (name.len() <= MAX_BYTES && parts(&parsed).is_some()).then_some(parsed)
}

/// The host and the port of a server name; `None` when the literal in brackets is no IPv6 address
/// or the port is zero.
pub fn parts(name: &ServerName) -> Option<Parts> {
    let port = name.port();
    if port == Some(0) {
        return None;
    }
    let host = name.host();
    let host = match host.strip_prefix('[') {
        Some(rest) => Host::Ip(IpAddr::V6(rest.strip_suffix(']')?.parse().ok()?)),
        None => host.parse().map_or_else(|_| Host::Dns(host.to_owned()), Host::Ip),
    };
    Some(Parts { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_kind() {
        let cases = [
            ("matrix.org", Some((Host::Dns("matrix.org".into()), None))),
            ("matrix.org:8888", Some((Host::Dns("matrix.org".into()), Some(8888)))),
            ("localhost", Some((Host::Dns("localhost".into()), None))),
            ("1.2.3.4", Some((Host::Ip([1, 2, 3, 4].into()), None))),
            ("1.2.3.4:1234", Some((Host::Ip([1, 2, 3, 4].into()), Some(1234)))),
            ("[::1]", Some((Host::Ip(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)), None))),
            (
                "[1234:5678::abcd]:5678",
                Some((Host::Ip("1234:5678::abcd".parse().unwrap()), Some(5678))),
            ),
            ("", None),
            ("[::1", None),
            ("[gggg::1]", None),
            ("matrix.org:", None),
            ("matrix.org:99999", None),
            ("matrix.org:0", None),
            ("matrix org", None),
            ("matrix_org", None),
            ("::1", None),
            ("exämple.org", None),
        ];
        for (name, expected) in cases {
            let found = parse(name).and_then(|name| parts(&name));
            assert_eq!(found.map(|p| (p.host, p.port)), expected, "{name}");
        }
        assert!(parse(&"a".repeat(230)).is_some());
        assert!(parse(&"a".repeat(231)).is_none());
    }
}
