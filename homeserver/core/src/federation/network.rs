//! What discovery asks of the network, with its answers kept as long as they may be
//! (<https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names>).

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use hickory_resolver::{
    TokioResolver,
    proto::rr::{RData, RecordType},
};
use lru::LruCache;
use parking_lot::Mutex;
use pli_federation::discovery::{Lookup, SrvRecord};
use ruma::exports::http::HeaderMap;
use serde::Deserialize;
use url::Url;

use crate::{
    Clock,
    outgoing::{Bounds, Servers},
};

/// Largest document `/.well-known/matrix/server`, in bytes.
const WELL_KNOWN_BYTES: usize = 64 * 1024;
/// How long one is kept where it does not say, and at most.
const WELL_KNOWN_MS: u64 = 24 * 3_600_000;
const WELL_KNOWN_MAX_MS: u64 = 48 * 3_600_000;
/// How long it is kept that there is none.
const NO_WELL_KNOWN_MS: u64 = 3_600_000;
/// Documents that are kept.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// `m.server` of a host, and until when it is believed, in milliseconds since 1970.
type Kept = (Option<String>, u64);

/// The network as discovery sees it. Clones share what is kept.
#[derive(Clone)]
pub struct Network {
    servers: Servers,
    clock: Clock,
    /// `None` where the machine has no resolver.
    resolver: Option<Arc<TokioResolver>>,
    well_known: Arc<Mutex<LruCache<String, Kept>>>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("servers", &self.servers).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct WellKnown {
    #[serde(rename = "m.server")]
    server: String,
}

impl Network {
    /// The network through a client, with the machine's resolver.
    #[must_use]
    pub fn new(servers: Servers, clock: Clock) -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        if let Err(error) = &resolver {
            tracing::warn!(%error, "no SRV records are looked up");
        }
        let well_known = Arc::new(Mutex::new(LruCache::new(KEPT_MAX)));
        Self { servers, clock, resolver: resolver.ok().map(Arc::new), well_known }
    }

    /// Forgets what is known of a host, so that it is asked anew.
    pub fn forget(&self, host: &str) {
        self.well_known.lock().pop(host);
    }

    async fn fetch_well_known(&self, host: &str) -> Kept {
        let bounds = Bounds { timeout: Duration::from_secs(15), limit_bytes: WELL_KNOWN_BYTES };
        let now = self.clock.now_ms();
        let none = (None, now.saturating_add(NO_WELL_KNOWN_MS));
        let Ok(url) = Url::parse(&format!("https://{host}/.well-known/matrix/server")) else {
            return none;
        };
        match self.servers.document(url, bounds).await {
            Ok(answer) => match serde_json::from_slice::<WellKnown>(answer.body()) {
                Ok(document) => {
                    (Some(document.server), now.saturating_add(kept_for_ms(answer.headers())))
                }
                Err(_) => none,
            },
            Err(_) => none,
        }
    }
}

/// How long the headers allow a document to be kept, within bounds.
fn kept_for_ms(headers: &HeaderMap) -> u64 {
    let directives = headers.get("cache-control").and_then(|value| value.to_str().ok());
    let mut kept = WELL_KNOWN_MS;
    for directive in directives.unwrap_or_default().split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        if directive == "no-store" || directive == "no-cache" {
            return 0;
        }
        if let Some(Ok(seconds)) = directive.strip_prefix("max-age=").map(str::parse::<u64>) {
            kept = seconds.saturating_mul(1_000);
        }
    }
    kept.min(WELL_KNOWN_MAX_MS)
}

impl Lookup for Network {
    async fn well_known(&self, host: &str) -> Option<String> {
        let kept = self.well_known.lock().get(host).cloned();
        if let Some((server, until)) = kept
            && self.clock.now_ms() < until
        {
            return server;
        }
        let kept = self.fetch_well_known(host).await;
        self.well_known.lock().put(host.to_owned(), kept.clone());
        kept.0
    }

    async fn srv(&self, name: &str) -> Vec<SrvRecord> {
        let Some(resolver) = &self.resolver else { return Vec::new() };
        let Ok(found) = resolver.lookup(format!("{name}."), RecordType::SRV).await else {
            return Vec::new();
        };
        let records = found.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                target: srv.target.to_utf8(),
                port: srv.port,
            }),
            _ => None,
        });
        records.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_as_long_as_they_say_within_bounds() {
        let kept = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("cache-control", value.parse().unwrap());
            kept_for_ms(&headers)
        };
        assert_eq!(kept_for_ms(&HeaderMap::new()), WELL_KNOWN_MS);
        assert_eq!(kept("public, max-age=60"), 60_000);
        assert_eq!(kept("max-age=99999999"), WELL_KNOWN_MAX_MS);
        assert_eq!(kept("max-age=60, no-store"), 0);
        assert_eq!(kept("max-age=never"), WELL_KNOWN_MS);
    }
}
