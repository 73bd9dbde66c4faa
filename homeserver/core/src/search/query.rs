//! What is searched for, and which events match.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pli_schema::{Position, RoomNumber, records::search::SearchWordKey};
use pli_store::{Row, Scan};
use ruma::{OwnedRoomId, RoomId, api::client::filter::RoomEventFilter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Search;
use crate::{
    Error, Result,
    filters::allows_room_events,
    history::{Reader, Viewer},
    rooms::StoredEvent,
    words::{self, SearchKey, texts},
};

/// Words of a search that count.
const TERM_WORDS_MAX: usize = 20;
/// Hits of one word in one room that are looked at, the newest first.
const HITS_PER_ROOM: usize = 1_000;
/// Events of one search that are read.
const READ_MAX: usize = 5_000;
/// Replaced rooms that are followed back.
const PREDECESSORS_MAX: usize = 50;

/// By what results are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKey {
    /// The room.
    RoomId,
    /// The sender.
    Sender,
}

/// How much is told around each result.
#[derive(Clone, Copy, Debug)]
pub struct ContextWish {
    /// Events before it.
    pub before: usize,
    /// Events after it.
    pub after: usize,
    /// What the senders were called then.
    pub profiles: bool,
}

/// A search.
#[derive(Clone, Debug)]
pub struct SearchRequest<'a> {
    /// Who searches.
    pub viewer: Viewer<'a>,
    /// The words, all of which must be there.
    pub term: String,
    /// Where they must be.
    pub keys: Vec<SearchKey>,
    /// Which events.
    pub filter: RoomEventFilter,
    /// The newest first; else those that match best.
    pub recent: bool,
    /// How much is told around each result; `None` for nothing.
    pub context: Option<ContextWish>,
    /// The state of the rooms of the results.
    pub include_state: bool,
    /// By what to group.
    pub group_by: Vec<GroupKey>,
    /// Where to go on.
    pub next_batch: Option<String>,
}

/// A place in a list of results, as clients keep it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Token {
    /// The search that it belongs to.
    pub(super) of: String,
    /// Up to which commit events are searched.
    pub(super) until: u64,
    /// Results already shown.
    pub(super) shown: usize,
    /// Only results of this group.
    pub(super) group: Option<(GroupKey, String)>,
}

impl Token {
    pub(super) fn write(&self) -> Result<String> {
        let json = serde_json::to_vec(self).map_err(|error| Error::bug(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    fn read(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// An event that matches.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) event: Arc<StoredEvent>,
    pub(super) room: RoomNumber,
    pub(super) place: (Position, u32),
    pub(super) rank: f64,
}

/// All that matches, in the order asked for, with what was looked up on the way.
#[derive(Debug)]
pub(super) struct Matches {
    pub(super) found: Vec<Found>,
    pub(super) readers: HashMap<RoomNumber, Reader>,
    pub(super) highlights: Vec<String>,
}

impl SearchRequest<'_> {
    /// The place where to go on.
    pub(super) fn start(&self, now: Position) -> Result<Token> {
        let of = self.identity()?;
        let Some(text) = &self.next_batch else {
            return Ok(Token { of, until: now.0, shown: 0, group: None });
        };
        Token::read(text)
            .filter(|token| token.of == of)
            .ok_or_else(|| Error::invalid_param("`next_batch` is not a token of this search"))
    }

    /// A short text that differs for different searches.
    fn identity(&self) -> Result<String> {
        let filter =
            serde_json::to_string(&self.filter).map_err(|error| Error::bug(error.to_string()))?;
        let parts = (self.viewer.user_id, &self.term, &self.keys, filter, self.recent);
        let hash = Sha256::digest(format!("{parts:?}"));
        Ok(URL_SAFE_NO_PAD.encode(hash.get(..9).unwrap_or(&hash)))
    }
}

impl Search {
    /// The events that match and that the reader may see, up to a commit.
    pub(super) async fn matches(
        &self,
        request: &SearchRequest<'_>,
        until: Position,
    ) -> Result<Matches> {
        let mut matches =
            Matches { found: Vec::new(), readers: HashMap::new(), highlights: Vec::new() };
        let mut wanted: Vec<String> =
            words::words(&request.term).into_iter().map(|word| word.folded).collect();
        wanted.sort();
        wanted.dedup();
        wanted.truncate(TERM_WORDS_MAX);
        if wanted.is_empty() {
            return Ok(matches);
        }
        let mut left = READ_MAX;
        for room in self.rooms_to_search(request).await? {
            let rows = self.rarest(room, &wanted, until, left).await?;
            if rows.is_empty() {
                continue;
            }
            let of_room = self.rooms().room(room).await?;
            let reader = self.history.reader(of_room, request.viewer.user_id).await?;
            if !reader.was_joined() {
                continue;
            }
            left = left.saturating_sub(rows.len());
            for row in rows {
                let found = self.look_at(request, &reader, row, (&wanted, &mut matches.highlights));
                matches.found.extend(found.await?);
            }
            matches.readers.insert(room, reader);
        }
        matches.found.sort_by(|a, b| {
            let by_rank =
                if request.recent { std::cmp::Ordering::Equal } else { b.rank.total_cmp(&a.rank) };
            by_rank.then_with(|| b.place.cmp(&a.place)).then_with(|| b.room.cmp(&a.room))
        });
        Ok(matches)
    }

    /// Where the rarest of the words is in a room, the newest first.
    async fn rarest(
        &self,
        room: RoomNumber,
        wanted: &[String],
        until: Position,
        left: usize,
    ) -> Result<Vec<Row<SearchWordKey>>> {
        let mut rarest: Option<Vec<Row<SearchWordKey>>> = None;
        for word in wanted {
            let scan = Scan::<SearchWordKey>::prefix((room, word.clone()))
                .up_to((room, word.clone(), until))
                .backward()
                .limit(HITS_PER_ROOM.min(left));
            let rows = self.rooms().store().scan(&scan).await?;
            if rarest.as_ref().is_none_or(|known| rows.len() < known.len()) {
                let none = rows.is_empty();
                rarest = Some(rows);
                if none {
                    break;
                }
            }
        }
        Ok(rarest.unwrap_or_default())
    }

    /// Reads a hit: whether it has all words where they are asked for, and is to be shown.
    async fn look_at(
        &self,
        request: &SearchRequest<'_>,
        reader: &Reader,
        row: Row<SearchWordKey>,
        (wanted, highlights): (&[String], &mut Vec<String>),
    ) -> Result<Option<Found>> {
        let event = self.rooms().existing_event(row.record).await?;
        let pdu = event.pdu()?;
        if event.record.redacted_because.is_some() {
            return Ok(None);
        }
        let texts = texts(&pdu.event_type.to_string(), pdu.content.get());
        let texts = texts.iter().filter(|(key, _)| request.keys.contains(key));
        let words: Vec<words::Word> = texts.flat_map(|(_, text)| words::words(text)).collect();
        let Some(rank) = rank(&words, wanted) else {
            return Ok(None);
        };
        if !crate::history::wanted(&request.filter, &event)? || !reader.may_see(&event).await? {
            return Ok(None);
        }
        for word in words.into_iter().filter(|word| wanted.contains(&word.folded)) {
            let written = word.written.to_lowercase();
            if !highlights.contains(&written) {
                highlights.push(written);
            }
        }
        let place = (row.key.at, row.key.index);
        Ok(Some(Found { event, room: row.key.room, place, rank }))
    }

    /// The rooms without encryption in which the user has been, as far as the filter lets them
    /// through; a room that the filter names stands for those that it replaced as well.
    async fn rooms_to_search(&self, request: &SearchRequest<'_>) -> Result<Vec<RoomNumber>> {
        let mut filter = request.filter.clone();
        if let Some(named) = filter.rooms.take() {
            let mut rooms = Vec::new();
            for room_id in named {
                self.with_predecessors(room_id, &mut rooms).await?;
            }
            filter.rooms = Some(rooms);
        }
        let mut rooms = Vec::new();
        for (number, stored) in self.rooms().rooms_of(request.viewer.user_id, None).await? {
            let room = self.rooms().room(number).await?;
            let wanted = !stored.record.forgotten && allows_room_events(&filter, &room.id);
            if wanted && !self.rooms().is_encrypted(number).await? {
                rooms.push(number);
            }
        }
        Ok(rooms)
    }

    async fn with_predecessors(
        &self,
        room_id: OwnedRoomId,
        out: &mut Vec<OwnedRoomId>,
    ) -> Result<()> {
        let mut next = Some(room_id);
        for _ in 0..PREDECESSORS_MAX {
            let Some(room_id) = next.filter(|room_id| !out.contains(room_id)) else {
                return Ok(());
            };
            next = self.predecessor(&room_id).await?;
            out.push(room_id);
        }
        Ok(())
    }

    async fn predecessor(&self, room_id: &RoomId) -> Result<Option<OwnedRoomId>> {
        match self.rooms().room_by_id(room_id).await? {
            Some(room) => self.rooms().predecessor(&room).await,
            None => Ok(None),
        }
    }
}

/// How well a text matches: more for words that come often, less for long texts; `None` if a word is
/// missing.
fn rank(words: &[words::Word], wanted: &[String]) -> Option<f64> {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let mut rank = 0.0;
    for one in wanted {
        let count = words.iter().filter(|word| word.folded == *one).count();
        if count == 0 {
            return None;
        }
        rank += 1.0 + number(count).ln();
    }
    Some(rank / (1.0 + number(words.len()).ln()))
}
