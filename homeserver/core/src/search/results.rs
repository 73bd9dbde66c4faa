//! Results as clients get them.

use std::collections::{BTreeMap, BTreeSet};

use pli_schema::Position;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, api::client::filter::RoomEventFilter};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    ContextWish, GroupKey, Search, SearchRequest,
    query::{Found, Matches, Token},
};
use crate::{
    Result,
    history::{Reader, RenderOptions},
};

/// Results on a page if the filter does not say how many, and at most.
const PAGE: usize = 10;
const PAGE_MAX: usize = 100;
/// Events before or after a result at most.
const CONTEXT_MAX: usize = 50;

/// A page of results. Absent values are left out of the JSON.
#[derive(Debug, Serialize)]
pub struct SearchResults {
    /// All that matches.
    pub count: usize,
    /// The words as they are written where they were found.
    pub highlights: Vec<String>,
    /// The results.
    pub results: Vec<SearchResult>,
    /// The groups of these results.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<GroupKey, BTreeMap<String, Group>>,
    /// The state of their rooms.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// One result.
#[derive(Debug, Serialize)]
pub struct SearchResult {
    /// How well it matches; more is better.
    pub rank: f64,
    /// The event.
    pub result: Box<RawValue>,
    /// What is around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<SearchContext>,
}

/// What is around a result.
#[derive(Debug, Serialize)]
pub struct SearchContext {
    /// Events before it, the newest first.
    pub events_before: Vec<Box<RawValue>>,
    /// Events after it, the oldest first.
    pub events_after: Vec<Box<RawValue>>,
    /// Where the events before it go on.
    pub start: String,
    /// Where the events after it go on.
    pub end: String,
    /// What the senders were called then.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub profile_info: BTreeMap<OwnedUserId, Profile>,
}

/// What somebody was called at an event.
#[derive(Debug, Default, Serialize, serde::Deserialize)]
pub struct Profile {
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub displayname: Option<String>,
    /// The avatar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// A group of results.
#[derive(Debug, Default, Serialize)]
pub struct Group {
    /// The place of the group among the others.
    pub order: usize,
    /// Which of the results are in it.
    pub results: Vec<OwnedEventId>,
    /// Where to go on in this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

impl Search {
    /// A page of what matches a search.
    ///
    /// # Errors
    /// [`crate::Error::InvalidParam`] for a token of another search.
    pub async fn search(&self, request: &SearchRequest<'_>) -> Result<SearchResults> {
        let now = self.rooms().store().position();
        let start = request.start(now)?;
        self.catch_up(now).await?;
        let mut matches = self.matches(request, Position(start.until)).await?;
        if let Some((key, value)) = &start.group {
            let mut found = Vec::new();
            for one in matches.found {
                if self.group_of(*key, &one).await? == *value {
                    found.push(one);
                }
            }
            matches.found = found;
        }
        let wished = |limit| usize::try_from(u64::from(limit)).unwrap_or(PAGE_MAX);
        let limit = request.filter.limit.map_or(PAGE, wished).clamp(1, PAGE_MAX);
        let end = start.shown.saturating_add(limit);
        let next = Token { shown: end, ..start.clone() };
        let next_batch = (end < matches.found.len()).then(|| next.write()).transpose()?;
        let page = start.shown.min(matches.found.len())..end.min(matches.found.len());
        let mut results = SearchResults {
            count: matches.found.len(),
            highlights: std::mem::take(&mut matches.highlights),
            results: Vec::new(),
            groups: self.groups(request, &matches, (page.clone(), &start)).await?,
            state: BTreeMap::new(),
            next_batch,
        };
        for found in matches.found.get(page).unwrap_or_default() {
            if let Some(reader) = matches.readers.get(&found.room) {
                results.results.push(self.result(request, reader, found).await?);
                if request.include_state && !results.state.contains_key(&reader.room().id) {
                    let state = self.history.state(reader, request.viewer).await?;
                    results.state.insert(reader.room().id.clone(), state);
                }
            }
        }
        Ok(results)
    }

    async fn group_of(&self, key: GroupKey, found: &Found) -> Result<String> {
        Ok(match key {
            GroupKey::RoomId => self.rooms().room(found.room).await?.id.to_string(),
            GroupKey::Sender => found.event.pdu()?.sender.to_string(),
        })
    }

    /// The groups of the results of a page. A group goes on where results of it come after the page.
    async fn groups(
        &self,
        request: &SearchRequest<'_>,
        matches: &Matches,
        (page, start): (std::ops::Range<usize>, &Token),
    ) -> Result<BTreeMap<GroupKey, BTreeMap<String, Group>>> {
        let mut groups = BTreeMap::new();
        for key in &request.group_by {
            let mut of_key: BTreeMap<String, Group> = BTreeMap::new();
            let mut before: BTreeMap<String, usize> = BTreeMap::new();
            for (index, found) in matches.found.iter().enumerate() {
                let value = self.group_of(*key, found).await?;
                let order = of_key.len();
                if index < page.start {
                    let seen = before.entry(value).or_default();
                    *seen = seen.saturating_add(1);
                } else if page.contains(&index) {
                    let group = of_key.entry(value);
                    let group = group.or_insert_with(|| Group { order, ..Group::default() });
                    group.results.push(found.event.record.event_id.clone());
                } else if let Some(group) = of_key.get_mut(&value)
                    && group.next_batch.is_none()
                {
                    let seen = before.get(&value).copied().unwrap_or_default();
                    // Within a group that a token names, places count as in the whole list.
                    let shown = match &start.group {
                        Some(_) => page.end,
                        None => seen.saturating_add(group.results.len()),
                    };
                    let next = Token { shown, group: Some((*key, value)), ..start.clone() };
                    group.next_batch = Some(next.write()?);
                }
            }
            groups.insert(*key, of_key);
        }
        Ok(groups)
    }

    async fn result(
        &self,
        request: &SearchRequest<'_>,
        reader: &Reader,
        found: &Found,
    ) -> Result<SearchResult> {
        let (viewer, options) = (request.viewer, RenderOptions::FULL);
        let result = self.history.render(&found.event, viewer, Some(reader), options).await?;
        let context = match request.context {
            Some(wish) => Some(self.context(request, reader, found, wish).await?),
            None => None,
        };
        Ok(SearchResult { rank: found.rank, result, context })
    }

    async fn context(
        &self,
        request: &SearchRequest<'_>,
        reader: &Reader,
        found: &Found,
        wish: ContextWish,
    ) -> Result<SearchContext> {
        let limits = (wish.before.min(CONTEXT_MAX), wish.after.min(CONTEXT_MAX));
        let filter = RoomEventFilter::default();
        let around = self.history.neighbors(reader, &found.event, limits, &filter).await?;
        let mut context = SearchContext {
            events_before: Vec::new(),
            events_after: Vec::new(),
            start: around.start.to_string(),
            end: around.end.to_string(),
            profile_info: BTreeMap::new(),
        };
        let mut senders = BTreeSet::from([found.event.pdu()?.sender.clone()]);
        let lists = [
            (&around.before, &mut context.events_before),
            (&around.after, &mut context.events_after),
        ];
        for (events, out) in lists {
            for event in events {
                senders.insert(event.pdu()?.sender.clone());
                let options = RenderOptions::FULL;
                out.push(self.history.render(event, request.viewer, Some(reader), options).await?);
            }
        }
        if wish.profiles {
            for sender in senders {
                let root = found.event.record.state_before;
                let member =
                    self.rooms().state_event(root, "m.room.member", sender.as_str()).await?;
                let profile = member.map(|event| event.content::<Profile>()).transpose()?.flatten();
                context.profile_info.insert(sender, profile.unwrap_or_default());
            }
        }
        Ok(context)
    }
}
