//! The lists of one request: which rooms are in them, and what is wanted of each.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use pli_schema::{
    Position, RoomNumber,
    records::rooms::{Membership, UserRoomRecord},
};
use pli_store::Stored;
use ruma::{OwnedRoomId, RoomId, UserId};

use super::{
    connection::Connection,
    request::{ListConfig, ListFilters, RoomConfig, SlidingRequest},
    required::Required,
    sheets::{Facts, Sheets},
};
use crate::{
    AccountData, Result,
    rooms::Rooms,
    sync::{turn::Turn, view::StateView},
};

/// Newest events of one room in one answer at most.
const LIMIT_MAX: u64 = 500;

/// A room of the user.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) room: RoomNumber,
    /// The commit of the newest thing that the user may see of it.
    pub(super) active: Position,
    /// Its `bump_stamp`.
    pub(super) bump: Position,
    pub(super) membership: Membership,
    facts: Arc<Facts>,
}

/// What is wanted of a room, all lists and subscriptions together.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) limit: usize,
    pub(super) required: Arc<Required>,
}

/// The lists and subscriptions of one request, looked up.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Size of each list.
    pub(super) counts: BTreeMap<String, usize>,
    /// What is wanted of each room, those with the newest activity first.
    pub(super) wishes: Vec<(Listed, Wish)>,
    /// The rooms in the window of each list.
    pub(super) by_list: BTreeMap<String, BTreeSet<RoomNumber>>,
    /// The rooms of subscriptions.
    pub(super) subscribed: BTreeMap<OwnedRoomId, RoomNumber>,
}

/// Looks up the lists of one request.
pub(super) struct Lists<'a> {
    pub(super) turn: &'a Turn<'a>,
    pub(super) sheets: &'a Sheets,
    pub(super) request: &'a SlidingRequest,
    pub(super) direct: &'a HashSet<String>,
}

impl Lists<'_> {
    fn rooms(&self) -> &Rooms {
        &self.turn.parts().rooms
    }

    /// Which rooms are wanted.
    pub(super) async fn look_up(&self, connection: &Connection) -> Result<Windows> {
        let body = &self.request.body;
        if body.lists.is_empty() && body.room_subscriptions.is_empty() {
            return Ok(Windows::default());
        }
        let all = self.all(connection).await?;
        let mut windows = Windows::default();
        let mut rules: Vec<(usize, Required)> = Vec::new();
        let mut matched: HashMap<RoomNumber, Vec<usize>> = HashMap::new();
        for (name, list) in &body.lists {
            let (count, in_window) = self.list(list, &all).await?;
            for room in &in_window {
                matched.entry(*room).or_default().push(rules.len());
            }
            rules.push(self.rule(&list.room));
            windows.counts.insert(name.clone(), count);
            windows.by_list.insert(name.clone(), in_window);
        }
        for (room_id, config) in &body.room_subscriptions {
            let Some(room) = self.rooms().room_number(room_id).await? else { continue };
            matched.entry(room).or_default().push(rules.len());
            rules.push(self.rule(config));
            windows.subscribed.insert(room_id.clone(), room);
        }
        let mut joined: HashMap<Vec<usize>, Wish> = HashMap::new();
        for listed in all {
            let Some(matching) = matched.remove(&listed.room) else { continue };
            let wish = joined.entry(matching).or_insert_with_key(|matching| join(&rules, matching));
            windows.wishes.push((listed, wish.clone()));
        }
        Ok(windows)
    }

    fn rule(&self, config: &RoomConfig) -> (usize, Required) {
        let limit = config.timeline_limit.min(LIMIT_MAX);
        let required = Required::of(config, &self.request.user_id);
        (usize::try_from(limit).unwrap_or_default(), required)
    }

    /// All rooms that lists and subscriptions may name, the most recently active first.
    async fn all(&self, connection: &Connection) -> Result<Vec<Listed>> {
        let mut all = Vec::new();
        for (room, stored) in self.turn.rooms.iter() {
            if let Some(listed) = self.listed(room, stored, connection).await? {
                all.push(listed);
            }
        }
        all.sort_unstable_by_key(|listed| std::cmp::Reverse((listed.active, listed.room)));
        Ok(all)
    }

    async fn listed(
        &self,
        room: RoomNumber,
        stored: &Stored<UserRoomRecord>,
        connection: &Connection,
    ) -> Result<Option<Listed>> {
        let UserRoomRecord { membership, forgotten, .. } = stored.record;
        if membership == Membership::Join {
            let sheet = self.sheets.room(room, self.turn.now).await?;
            // A commit after `now` is told with the next answer.
            let active = sheet.active.max(stored.position).min(self.turn.now);
            let bump = sheet.bump.min(self.turn.now);
            return Ok(Some(Listed { room, active, bump, membership, facts: sheet.facts }));
        }
        let known = connection.rooms.contains_key(&room);
        if forgotten && !known {
            return Ok(None);
        }
        let outside = self.sheets.outside(stored).await?;
        let shown = match membership {
            Membership::Invite => !self.turn.hides_invite(stored).await?,
            Membership::Knock => true,
            _ => known || outside.was_put_out || self.is_subscribed(room).await?,
        };
        let active = stored.position;
        let listed = Listed { room, active, bump: active, membership, facts: outside.facts };
        Ok(shown.then_some(listed))
    }

    /// Whether the user asks for this room itself.
    async fn is_subscribed(&self, room: RoomNumber) -> Result<bool> {
        let id = &self.rooms().room(room).await?.id;
        Ok(self.request.body.room_subscriptions.contains_key(id))
    }

    /// The size of a list, and the rooms in its window.
    async fn list(
        &self,
        list: &ListConfig,
        all: &[Listed],
    ) -> Result<(usize, BTreeSet<RoomNumber>)> {
        let filter = match &list.filters {
            Some(filters) => Some(Filter::new(self, filters).await?),
            None => None,
        };
        let mut count: usize = 0;
        let mut in_window = BTreeSet::new();
        for listed in all {
            let passes = match &filter {
                Some(filter) => filter.passes(listed).await?,
                None => true,
            };
            if passes {
                let index = u64::try_from(count).unwrap_or(u64::MAX);
                count = count.saturating_add(1);
                let ranges = list.ranges.as_deref();
                let inside = |(first, last): &(u64, u64)| (*first..=*last).contains(&index);
                if ranges.is_none_or(|ranges| ranges.iter().any(inside)) {
                    in_window.insert(listed.room);
                }
            }
        }
        Ok((count, in_window))
    }
}

/// The wishes of several rules together.
fn join(rules: &[(usize, Required)], matching: &[usize]) -> Wish {
    let mut limit = 0;
    let mut required = Required::default();
    for (rule_limit, rule) in matching.iter().filter_map(|index| rules.get(*index)) {
        limit = limit.max(*rule_limit);
        required.join(rule);
    }
    Wish { limit, required: Arc::new(required) }
}

/// The filters of one list, with what they need.
struct Filter<'a> {
    filters: &'a ListFilters,
    rooms: &'a Rooms,
    account_data: &'a AccountData,
    user_id: &'a UserId,
    direct: &'a HashSet<String>,
    name_like: Option<String>,
    children: Option<HashSet<String>>,
}

impl<'a> Filter<'a> {
    async fn new(lists: &'a Lists<'a>, filters: &'a ListFilters) -> Result<Self> {
        let children = match &filters.spaces {
            Some(spaces) => Some(children(lists, spaces).await?),
            None => None,
        };
        Ok(Self {
            filters,
            rooms: lists.rooms(),
            account_data: &lists.turn.parts().account_data,
            user_id: &lists.request.user_id,
            direct: lists.direct,
            name_like: filters.room_name_like.as_ref().map(|name| name.to_lowercase()),
            children,
        })
    }

    async fn passes(&self, listed: &Listed) -> Result<bool> {
        let ListFilters { is_dm, is_encrypted, is_invite, .. } = self.filters;
        let facts = &listed.facts;
        let is = |wanted: Option<bool>, found: bool| wanted.is_none_or(|wanted| wanted == found);
        let named = |name: &String| {
            facts.name.as_ref().is_some_and(|own| own.to_lowercase().contains(name.as_str()))
        };
        if !is(*is_encrypted, facts.encrypted)
            || !is(*is_invite, listed.membership == Membership::Invite)
            || !self.has_type(facts)
            || !self.name_like.as_ref().is_none_or(named)
        {
            return Ok(false);
        }
        if is_dm.is_none() && self.children.is_none() && !self.asks_for_tags() {
            return Ok(true);
        }
        let room = self.rooms.room(listed.room).await?;
        let id = room.id.as_str();
        Ok(is(*is_dm, self.direct.contains(id))
            && self.children.as_ref().is_none_or(|children| children.contains(id))
            && (!self.asks_for_tags() || self.has_tags(&room.id).await?))
    }

    fn has_type(&self, facts: &Facts) -> bool {
        let own = &facts.room_type;
        self.filters.room_types.as_ref().is_none_or(|types| types.contains(own))
            && !self.filters.not_room_types.as_ref().is_some_and(|types| types.contains(own))
    }

    const fn asks_for_tags(&self) -> bool {
        self.filters.tags.is_some() || self.filters.not_tags.is_some()
    }

    async fn has_tags(&self, room_id: &RoomId) -> Result<bool> {
        let own = self.account_data.tags(self.user_id, room_id).await?;
        let any = |tags: &Vec<String>| tags.iter().any(|tag| own.contains_key(tag));
        Ok(self.filters.tags.as_ref().is_none_or(any)
            && !self.filters.not_tags.as_ref().is_some_and(any))
    }
}

/// The rooms that are directly in spaces in which the user is joined.
async fn children(lists: &Lists<'_>, spaces: &[String]) -> Result<HashSet<String>> {
    #[derive(serde::Deserialize)]
    struct Child {
        via: Vec<String>,
    }
    let rooms = lists.rooms();
    let mut children = HashSet::new();
    for space in spaces {
        let Ok(id) = <&RoomId>::try_from(space.as_str()) else { continue };
        let Some(number) = rooms.room_number(id).await? else { continue };
        if !lists.turn.rooms.is_joined(number) {
            continue;
        }
        let view = StateView::of(rooms.head(number).await?.state);
        for (_, event) in view.entries_of_type(rooms, "m.space.child").await? {
            let event = rooms.existing_event(event).await?;
            let is_child = event.content::<Child>()?.is_some_and(|child| !child.via.is_empty());
            if let Some(child) = event.pdu()?.state_key.clone().filter(|_| is_child) {
                children.insert(child);
            }
        }
    }
    Ok(children)
}
