//! Calls: a room is linked to a web-conference.
//!
//! The place of the call broker. What it decides so far: which conferencing service clients are told to
//! use for calls started from a room, in the form that Element's clients read from
//! `/.well-known/matrix/client` (`io.element.jitsi`).

mod turn;

use serde::Serialize;

pub use self::turn::{TurnCredentials, turn_credentials};
use crate::{Error, Result};

/// The Jitsi server of an administration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jitsi {
    domain: String,
}

/// What clients are told of it, as `io.element.jitsi` of the client's well-known file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JitsiWellKnown {
    /// The domain of the Jitsi server.
    pub preferred_domain: String,
    /// Calls between two people use it as well.
    #[serde(rename = "useFor1To1Calls")]
    pub use_for_1_to_1_calls: bool,
}

impl Jitsi {
    /// The Jitsi server at a domain (a host name, with `:port` if need be).
    ///
    /// # Errors
    /// [`Error::InvalidParam`] if it is no host name: it becomes part of links that people follow.
    pub fn new(domain: &str) -> Result<Self> {
        let (host, port) = domain.split_once(':').map_or((domain, None), |(h, p)| (h, Some(p)));
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok());
        if host.len() > 253 || !host.split('.').all(label) || !port_ok {
            return Err(Error::invalid_param("The domain of the Jitsi server is not a host name"));
        }
        Ok(Self { domain: domain.to_ascii_lowercase() })
    }

    /// The domain, lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What clients are told.
    #[must_use]
    pub fn well_known(&self) -> JitsiWellKnown {
        JitsiWellKnown { preferred_domain: self.domain.clone(), use_for_1_to_1_calls: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_must_be_a_host_name() {
        for good in ["webconf.numerique.gouv.fr", "localhost:8443", "Meet.Example"] {
            assert_eq!(Jitsi::new(good).unwrap().domain(), good.to_lowercase());
        }
        for bad in
            ["", "a b", "a/b", "a..b", "-a.b", "user@host", "h:99999", "h:", "évil.fr", "a#b"]
        {
            assert!(Jitsi::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clients_are_told_in_the_form_that_element_reads() {
        let told =
            serde_json::to_value(Jitsi::new("webconf.example").unwrap().well_known()).unwrap();
        let expected = serde_json::json!({
            "preferredDomain": "webconf.example", "useFor1To1Calls": true,
        });
        assert_eq!(told, expected);
    }
}
