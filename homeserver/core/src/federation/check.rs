//! Walks the way to another server, step by step, and says what is wrong and what to do: for admins who
//! set a partner up. Nothing of it is kept, and the server need not be a partner yet.

mod lookup;
#[cfg(test)]
mod tests;
mod words;

use pli_federation::{
    discovery::{Destination, discover},
    server_keys::ServerKeys,
    server_name::Host,
};
use pli_schema::Language;
use ruma::{
    CanonicalJsonObject, ServerName, UserId,
    api::{
        OutgoingRequestExt,
        federation::{
            authentication::XMatrixSigningInput,
            discovery::{get_server_keys, get_server_version},
            query::get_profile_information,
        },
    },
    exports::http,
};

use self::lookup::Traced;
use super::{Bounds, Signed};
use crate::{
    Result,
    outgoing::{OutgoingError, PeerCertificate, certificate},
};

/// A certificate or published keys that end sooner than this are told of, in milliseconds.
const SOON_MS: u64 = 14 * 24 * 3_600_000;
/// Keys are published anew each half day or so; they are told of when less than this is left.
const KEYS_SOON_MS: u64 = 3_600_000;
/// A difference of the clocks that is told of, and one that breaks things, in milliseconds.
const CLOCK_DOUBTFUL_MS: u64 = 30_000;
const CLOCK_BAD_MS: u64 = 300_000;
/// Characters of a text of the other server that are shown.
const SHOWN_MAX: usize = 200;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// As it should be.
    Good,
    /// It works, and somebody should look at it.
    Doubtful,
    /// It does not work.
    Bad,
}

impl Mark {
    /// The word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Doubtful => "warning",
            Self::Bad => "problem",
        }
    }
}

/// Whether this server speaks with the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is a partner.
    Partner,
    /// It is none; this server speaks with everybody.
    Open,
    /// It is none, and this server speaks with partners only.
    Stranger,
    /// It is a partner that is suspended.
    Suspended,
    /// It is blocked.
    Blocked,
    /// This server speaks with nobody.
    Disabled,
}

/// What a step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Whether this server speaks with the other one.
    Standing(Standing),
    /// `https://HOST/.well-known/matrix/server` leads to a server.
    Delegated {
        /// The host that was asked.
        host: String,
        /// Where it leads.
        to: String,
    },
    /// There is no such document, and why.
    NotDelegated {
        /// The host that was asked.
        host: String,
        /// Why.
        why: String,
    },
    /// SRV records of a name; none is common.
    Srv {
        /// The name.
        name: String,
        /// Hosts and ports.
        targets: Vec<String>,
    },
    /// No way to the server was found.
    NoWay(String),
    /// Where the server is reached.
    Way {
        /// Hosts and ports.
        endpoints: Vec<String>,
        /// The name for which the certificate must be valid.
        certificate: String,
    },
    /// It did not answer.
    NoAnswer(String),
    /// Its certificate is good, until then (milliseconds since 1970).
    Certificate {
        /// Its name.
        name: String,
        /// The end of its validity; `None` if it cannot be read.
        until_ms: Option<u64>,
        /// What is left of it.
        left_ms: u64,
    },
    /// The keys that it publishes are not good.
    NoKeys(String),
    /// The keys that it publishes: names, values, and the time that is left.
    Keys {
        /// The name and the value of each.
        keys: Vec<(String, String)>,
        /// How long they are still valid.
        left_ms: u64,
    },
    /// None of its keys is among those that were pinned.
    PinsDiffer,
    /// All of its keys are among those that were pinned.
    PinsHold,
    /// One of its keys is on the list of bad ones.
    BadKey(String),
    /// The difference of the clocks, in milliseconds; `None` if it does not tell the time.
    Clocks(Option<u64>),
    /// Name and version of its software; `None` if it does not say.
    Version(Option<String>),
    /// It takes the requests of this server.
    TakesRequests,
    /// It refuses the requests of this server.
    RefusesRequests {
        /// The status.
        status: u16,
        /// The errcode.
        errcode: String,
    },
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name for programs.
    pub name: &'static str,
    /// How it went.
    pub mark: Mark,
    /// What was found.
    pub finding: Finding,
}

impl Step {
    /// What was found, and what to do if that is not as it should be.
    #[must_use]
    pub fn words(&self, language: Language) -> (String, Option<String>) {
        words::words(&self.finding, self.mark, language)
    }
}

/// What a check found, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The steps in their order. After one that is [`Mark::Bad`] those that need it are left out.
    pub steps: Vec<Step>,
}

impl Report {
    /// The worst of the steps.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.steps.iter().map(|step| step.mark).max().unwrap_or(Mark::Good)
    }

    /// The keys that the server publishes, for pinning.
    #[must_use]
    pub fn keys(&self) -> &[(String, String)] {
        let keys = self.steps.iter().find_map(|step| match &step.finding {
            Finding::Keys { keys, .. } => Some(keys.as_slice()),
            _ => None,
        });
        keys.unwrap_or_default()
    }

    fn note(&mut self, name: &'static str, mark: Mark, finding: Finding) {
        self.steps.push(Step { name, mark, finding });
    }
}

/// Cuts what another server says to what is shown of it.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect()
}

impl Signed {
    /// Walks the way to another server.
    ///
    /// # Errors
    /// Those of the store. What is wrong with the other server is in the report.
    pub async fn check(&self, server: &ServerName) -> Result<Report> {
        let mut report = Report::default();
        let standing = self.standing(server).await?;
        let mark = match standing {
            Standing::Partner | Standing::Open => Mark::Good,
            Standing::Stranger => Mark::Doubtful,
            Standing::Suspended | Standing::Blocked | Standing::Disabled => Mark::Bad,
        };
        report.note("standing", mark, Finding::Standing(standing));
        let Some(destination) = self.find(server, &mut report).await else { return Ok(report) };
        let Some(answer) = self.ask_keys(&destination, &mut report).await else {
            return Ok(report);
        };
        self.judge_keys(server, answer.body(), &mut report).await?;
        self.judge_clock(&answer, &mut report);
        self.ask_version(&destination, &mut report).await;
        self.ask_signed(server, &destination, &mut report).await;
        Ok(report)
    }

    async fn standing(&self, server: &ServerName) -> Result<Standing> {
        let partners = self.partners();
        if !partners.is_enabled() {
            return Ok(Standing::Disabled);
        }
        if partners.is_blocked(server).await? {
            return Ok(Standing::Blocked);
        }
        Ok(match partners.partner(server).await? {
            Some(partner) if partner.suspended => Standing::Suspended,
            Some(_) => Standing::Partner,
            None if partners.is_open() => Standing::Open,
            None => Standing::Stranger,
        })
    }

    async fn find(&self, server: &ServerName, report: &mut Report) -> Option<Destination> {
        let traced = Traced::new(self.remote());
        let found = discover(server, &traced).await;
        report.steps.extend(traced.into_steps());
        match found {
            Ok(destination) => {
                let host = |host: &Host| match host {
                    Host::Ip(ip) => ip.to_string(),
                    Host::Dns(name) => name.clone(),
                };
                let endpoints = destination.endpoints.iter();
                let endpoints = endpoints.map(|it| format!("{}:{}", host(&it.host), it.port));
                let (endpoints, certificate) =
                    (endpoints.collect(), host(&destination.certificate));
                report.note("discovery", Mark::Good, Finding::Way { endpoints, certificate });
                Some(destination)
            }
            Err(error) => {
                report.note("discovery", Mark::Bad, Finding::NoWay(error.to_string()));
                None
            }
        }
    }

    /// Asks for the keys, which shows the certificate and the clock too.
    async fn ask_keys(
        &self,
        destination: &Destination,
        report: &mut Report,
    ) -> Option<http::Response<Vec<u8>>> {
        let request = get_server_keys::v2::Request::new();
        let request = request.try_into_http_request::<Vec<u8>>("", (), ()).ok()?;
        let sent = self.remote().servers().send(destination, request, Bounds::SMALL).await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                report.note("tls", Mark::Bad, Finding::NoAnswer(why(&error)));
                return None;
            }
        };
        let now_ms = self.keys().now_ms();
        let der = answer.extensions().get::<PeerCertificate>();
        let until_ms = der.and_then(|PeerCertificate(der)| certificate::valid_until_ms(der));
        let left_ms = until_ms.map_or(u64::MAX, |until_ms| until_ms.saturating_sub(now_ms));
        let name = match &destination.certificate {
            Host::Ip(ip) => ip.to_string(),
            Host::Dns(name) => name.clone(),
        };
        let mark = if left_ms < SOON_MS { Mark::Doubtful } else { Mark::Good };
        report.note("tls", mark, Finding::Certificate { name, until_ms, left_ms });
        if answer.status().is_success() {
            return Some(answer);
        }
        let text = OutgoingError::Status(answer.status().as_u16()).to_string();
        report.note("keys", Mark::Bad, Finding::NoKeys(text));
        None
    }

    async fn judge_keys(
        &self,
        server: &ServerName,
        body: &[u8],
        report: &mut Report,
    ) -> Result<()> {
        let now_ms = self.keys().now_ms();
        let object = serde_json::from_slice::<CanonicalJsonObject>(body);
        let object = object.map_err(|error| error.to_string());
        let read = object.and_then(|object| {
            ServerKeys::read(server, &object, now_ms).map_err(|error| error.to_string())
        });
        let keys = match read {
            Ok(keys) => keys,
            Err(error) => {
                report.note("keys", Mark::Bad, Finding::NoKeys(shown(&error)));
                return Ok(());
            }
        };
        let left_ms = keys.valid_until_ms.saturating_sub(now_ms);
        let mark = match left_ms {
            0 => Mark::Bad,
            left_ms if left_ms < KEYS_SOON_MS => Mark::Doubtful,
            _ => Mark::Good,
        };
        let named = keys.current.iter().map(|(id, key)| (id.to_string(), key.encode()));
        report.note("keys", mark, Finding::Keys { keys: named.collect(), left_ms });
        for (refused, _) in self.partners().refused_keys().await? {
            let bad = keys.current.iter().find(|(_, key)| key.encode() == refused);
            if let Some((id, _)) = bad {
                report.note("bad_keys", Mark::Bad, Finding::BadKey(id.to_string()));
            }
        }
        let partner = self.partners().partner(server).await?;
        if partner.is_some_and(|partner| !partner.pinned_keys.is_empty()) {
            let believed = |(id, key): (&_, &_)| self.partners().believes(server, id, key);
            let good = keys.current.iter().all(believed);
            let (mark, finding) = match good {
                true => (Mark::Good, Finding::PinsHold),
                false => (Mark::Bad, Finding::PinsDiffer),
            };
            report.note("pinned_keys", mark, finding);
        }
        Ok(())
    }

    fn judge_clock(&self, answer: &http::Response<Vec<u8>>, report: &mut Report) {
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        let theirs = date.and_then(http_date);
        let difference = theirs.map(|theirs| theirs.abs_diff(self.keys().now_ms()));
        let mark = match difference {
            Some(ms) if ms >= CLOCK_BAD_MS => Mark::Bad,
            Some(ms) if ms >= CLOCK_DOUBTFUL_MS => Mark::Doubtful,
            _ => Mark::Good,
        };
        report.note("clock", mark, Finding::Clocks(difference));
    }

    async fn ask_version(&self, destination: &Destination, report: &mut Report) {
        let request = get_server_version::v1::Request::new();
        let Ok(request) = request.try_into_http_request::<Vec<u8>>("", (), ()) else { return };
        let answer = self.remote().servers().send(destination, request, Bounds::SMALL).await;
        let answer = answer.ok().filter(|answer| answer.status().is_success());
        let body = answer.and_then(|answer| {
            serde_json::from_slice::<serde_json::Value>(answer.body()).ok()?.get("server").cloned()
        });
        let part = |name: &str| {
            let part = body.as_ref()?.get(name)?.as_str();
            part.map(shown)
        };
        let version = part("name").map(|name| match part("version") {
            Some(version) => format!("{name} {version}"),
            None => name,
        });
        let mark = if version.is_some() { Mark::Good } else { Mark::Doubtful };
        report.note("version", mark, Finding::Version(version));
    }

    /// Asks, signed, for the profile of somebody who is not there: a refusal of the signature or of this
    /// server differs from not finding the person.
    async fn ask_signed(
        &self,
        server: &ServerName,
        destination: &Destination,
        report: &mut Report,
    ) {
        let own = self.remote().own();
        let input = XMatrixSigningInput::new(
            own.server_name().to_owned(),
            server.to_owned(),
            own.key().key_pair(),
        );
        let Ok(nobody) = UserId::parse(format!("@_pli_check:{server}")) else { return };
        let request = get_profile_information::v1::Request::new(nobody);
        let Ok(request) = request.try_into_http_request::<Vec<u8>>("", input, ()) else { return };
        let answer = self.remote().servers().send(destination, request, Bounds::SMALL).await;
        let (mark, finding) = match answer {
            Ok(answer) if matches!(answer.status().as_u16(), 401 | 403) => {
                let body: serde_json::Value =
                    serde_json::from_slice(answer.body()).unwrap_or_default();
                let errcode = body.get("errcode").and_then(serde_json::Value::as_str);
                let errcode = shown(errcode.unwrap_or_default());
                let status = answer.status().as_u16();
                (Mark::Bad, Finding::RefusesRequests { status, errcode })
            }
            Ok(_) => (Mark::Good, Finding::TakesRequests),
            Err(error) => (Mark::Bad, Finding::NoAnswer(why(&error))),
        };
        report.note("signed_request", mark, finding);
    }
}

fn why(error: &OutgoingError) -> String {
    shown(&error.to_string())
}

/// The time of a `Date` header, as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.split_once(", ")?.1.strip_suffix(" GMT")?;
    let mut parts = rest.split(' ');
    let day = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let year = parts.next()?.parse().ok()?;
    let mut time = parts.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let time = (time.next()??, time.next()??, time.next()??);
    certificate::milliseconds((year, i64::try_from(month).ok()? + 1, day), time)
}
