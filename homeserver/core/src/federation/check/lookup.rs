//! Discovery that writes down what it asked and what it got.

use parking_lot::Mutex;
use pli_federation::discovery::{Lookup, SrvRecord};
use serde::Deserialize;
use url::Url;

use super::{Finding, Mark, Step, shown};
use crate::federation::{Bounds, Remote};

/// Asks anew what discovery needs, and keeps what was found.
pub(super) struct Traced<'a> {
    remote: &'a Remote,
    steps: Mutex<Vec<Step>>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "m.server")]
    server: String,
}

impl<'a> Traced<'a> {
    pub(super) fn new(remote: &'a Remote) -> Self {
        Self { remote, steps: Mutex::default() }
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps.into_inner()
    }

    fn note(&self, name: &'static str, mark: Mark, finding: Finding) {
        self.steps.lock().push(Step { name, mark, finding });
    }

    async fn document(&self, host: &str) -> Result<String, String> {
        let url = format!("https://{host}/.well-known/matrix/server");
        let url = Url::parse(&url).map_err(|error| error.to_string())?;
        let bounds = Bounds { limit_bytes: 64 * 1024, ..Bounds::SMALL };
        let answer = self.remote.servers().document(url, bounds).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let document = serde_json::from_slice::<Document>(answer.body());
        document.map(|document| document.server).map_err(|error| error.to_string())
    }
}

impl Lookup for Traced<'_> {
    async fn well_known(&self, host: &str) -> Option<String> {
        // What follows is asked anew too.
        self.remote.network().forget(host);
        let found = self.document(host).await;
        let host = host.to_owned();
        match found {
            Ok(to) => {
                let finding = Finding::Delegated { host, to: shown(&to) };
                self.note("well_known", Mark::Good, finding);
                Some(to)
            }
            Err(why) => {
                let finding = Finding::NotDelegated { host, why: shown(&why) };
                self.note("well_known", Mark::Good, finding);
                None
            }
        }
    }

    async fn srv(&self, name: &str) -> Vec<SrvRecord> {
        let records = self.remote.network().srv(name).await;
        let targets = records.iter();
        let targets = targets.map(|it| shown(&format!("{}:{}", it.target, it.port))).collect();
        self.note("srv", Mark::Good, Finding::Srv { name: name.to_owned(), targets });
        records
    }
}
