//! Searching the messages of rooms without encryption
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-side-search>).
//!
//! [`Search::run`] follows the log and writes down which words are in which events, with a watermark of
//! its own: sending costs nothing for it. [`Search::search`] first brings that up to the present, so
//! that whatever was acknowledged is found; each hit is then read from the timeline and shown only as
//! far as the reader may see it. A redaction takes the words of its event away in its own transaction.

mod index;
mod query;
mod results;

use std::sync::Arc;

use pli_schema::Position;
use tokio::sync::Mutex;

pub use self::{
    query::{ContextWish, GroupKey, SearchRequest},
    results::{Group, SearchContext, SearchResult, SearchResults},
};
use crate::{History, Rooms};

/// Searches rooms for people. Clones share everything.
#[derive(Clone, Debug)]
pub struct Search {
    history: History,
    /// Up to where the words are known; `None` until that was read from the store.
    followed: Arc<Mutex<Option<Position>>>,
}

impl Search {
    /// Searches of these rooms. It needs [`Self::run`] to stay up to date between searches.
    #[must_use]
    pub fn new(history: History) -> Self {
        Self { history, followed: Arc::default() }
    }

    fn rooms(&self) -> &Rooms {
        self.history.rooms()
    }
}

#[cfg(test)]
mod tests;
