//! Servers that somebody waits for.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::{Notify, futures::Notified};

/// Servers that somebody waits for, and which of them are there again. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    awaited: HashSet<OwnedServerName>,
    back: BTreeSet<OwnedServerName>,
}

impl Awaited {
    /// A server is there again, or is to be tried whether it is or not.
    pub fn is_back(&self, server: &ServerName) {
        let mut state = self.state.lock();
        if state.awaited.remove(server) {
            state.back.insert(server.to_owned());
            drop(state);
            self.news.notify_one();
        }
    }

    /// Somebody waits for a server.
    pub(in crate::federation) fn wait_for(&self, server: &ServerName) {
        self.state.lock().awaited.insert(server.to_owned());
    }

    /// Nobody waits for a server any more.
    pub(in crate::federation) fn no_longer(&self, server: &ServerName) {
        self.state.lock().awaited.remove(server);
    }

    /// Those of the awaited servers that are there again.
    pub(in crate::federation) fn take_back(&self) -> BTreeSet<OwnedServerName> {
        std::mem::take(&mut self.state.lock().back)
    }

    /// Ends when an awaited server is there again.
    pub(in crate::federation) fn news(&self) -> Notified<'_> {
        self.news.notified()
    }
}
