//! Which rule of a user matches an event.

use std::{collections::HashSet, sync::Arc};

use pli_schema::{
    Position, RoomNumber,
    records::rooms::{MemberRecord, TimelineKey},
    records::sync::{AccountDataKey, ThreadSubscriptionKey},
};
use pli_store::Scan;
use ruma::{
    OwnedUserId, UInt, UserId,
    events::{
        AnySyncTimelineEvent,
        room::{
            create::RoomCreateEventContent,
            power_levels::{RoomPowerLevels, RoomPowerLevelsEventContent, RoomPowerLevelsSource},
        },
    },
    push::{Action, PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset},
    serde::Raw,
};

use super::Push;
use crate::{Error, Result, rooms::StoredEvent};

/// An event in its place.
pub(super) struct Placed {
    pub(super) at: Position,
    pub(super) index: u32,
    pub(super) event: Arc<StoredEvent>,
}

/// Everything that a user's rules are evaluated with in a room.
pub(super) struct Eye {
    pub(super) rules: Arc<Ruleset>,
    context: PushConditionRoomCtx,
    ignored: Vec<OwnedUserId>,
}

impl Eye {
    /// The actions that an event has for the user; `None` if it does not notify. Own events, events of
    /// ignored users, rejected and redacted ones never do.
    pub(super) async fn actions(&self, event: &StoredEvent) -> Result<Option<&[Action]>> {
        let record = &event.record;
        if record.rejected || record.soft_failed || record.redacted_because.is_some() {
            return Ok(None);
        }
        let sender = &event.pdu()?.sender;
        if *sender == self.context.user_id || self.ignored.contains(sender) {
            return Ok(None);
        }
        let raw: Raw<AnySyncTimelineEvent> = Raw::from_json_string(record.json.clone())
            .map_err(|error| Error::bug(format!("stored event: {error}")))?;
        let actions = self.rules.get_actions(&raw, &self.context).await;
        Ok(actions.iter().any(Action::should_notify).then_some(actions))
    }
}

impl Push {
    /// The eye of a user on a room, for events whose senders have these levels
    /// ([`Self::levels_of_senders`]).
    pub(super) async fn eye(
        &self,
        room: RoomNumber,
        user_id: &UserId,
        member: Option<&MemberRecord>,
        levels: &Option<PushConditionPowerLevelsCtx>,
    ) -> Result<Eye> {
        let head = self.rooms.head(room).await?;
        let name = member.and_then(|member| member.display_name.clone());
        let context = PushConditionRoomCtx::new(
            self.rooms.room(room).await?.id.clone(),
            UInt::new_saturating(head.joined_members),
            user_id.to_owned(),
            name.unwrap_or_else(|| user_id.localpart().to_owned()),
        );
        let context = self.with_threads(context, room, user_id);
        let context = match levels.clone() {
            Some(levels) => context.with_power_levels(levels),
            None => context,
        };
        Ok(Eye {
            rules: self.rules(user_id).await?,
            context,
            ignored: self.ignored_users(user_id).await?,
        })
    }

    /// Lets the rules ask whether the user is subscribed to a thread (MSC4306).
    fn with_threads(
        &self,
        context: PushConditionRoomCtx,
        room: RoomNumber,
        user_id: &UserId,
    ) -> PushConditionRoomCtx {
        let (store, user_id) = (self.store().clone(), user_id.to_owned());
        context.with_has_thread_subscription_fn(move |root| {
            let (user_id, root) = (user_id.clone(), root.to_owned());
            let store = store.clone();
            Box::pin(async move {
                let key = ThreadSubscriptionKey { user_id, room, root };
                // A store that fails tells so where it is asked next.
                matches!(store.get(&key).await, Ok(Some(record)) if record.subscribed)
            })
        })
    }

    /// The power levels of a room, of its users those who sent these events: read once for all who look
    /// at them, and small where the room has many users with a level.
    pub(super) async fn levels_of_senders(
        &self,
        room: RoomNumber,
        events: &[Placed],
    ) -> Result<Option<PushConditionPowerLevelsCtx>> {
        if events.is_empty() {
            return Ok(None);
        }
        let Some(rules) = self.rooms.room(room).await?.version.rules() else {
            return Ok(None);
        };
        let Some(create) = self.rooms.current_state_event(room, "m.room.create", "").await? else {
            return Ok(None);
        };
        let mut creators = vec![create.pdu()?.sender.clone()];
        if let Some(content) = create.content::<RoomCreateEventContent>()? {
            creators.extend(content.additional_creators);
        }
        let content: Option<RoomPowerLevelsEventContent> =
            self.rooms.current_content(room, "m.room.power_levels").await?;
        let source =
            content.map_or_else(RoomPowerLevelsSource::default, RoomPowerLevelsSource::Original);
        let levels = RoomPowerLevels::new(source, &rules.authorization, creators);
        let mut levels = PushConditionPowerLevelsCtx::from(levels);
        let pdus = events.iter().map(|placed| placed.event.pdu()).collect::<Result<Vec<_>>>()?;
        let senders: HashSet<&UserId> = pdus.iter().map(|pdu| &*pdu.sender).collect();
        levels.users.retain(|user_id, _| senders.contains(&**user_id));
        Ok(Some(levels))
    }

    /// `m.ignored_user_list` of a user.
    async fn ignored_users(&self, user_id: &UserId) -> Result<Vec<OwnedUserId>> {
        let key = AccountDataKey {
            user_id: user_id.to_owned(),
            room_id: String::new(),
            data_type: "m.ignored_user_list".to_owned(),
        };
        let Some(record) = self.store().get(&key).await? else {
            return Ok(Vec::new());
        };
        let content: serde_json::Value = serde_json::from_str(&record.content).unwrap_or_default();
        let users = content.get("ignored_users").and_then(|users| users.as_object());
        let users = users.into_iter().flat_map(|users| users.keys());
        Ok(users.filter_map(|user| OwnedUserId::try_from(user.as_str()).ok()).collect())
    }

    /// The events of a room after one commit, up to another, oldest first; the newest `limit` of them.
    pub(super) async fn events_between(
        &self,
        room: RoomNumber,
        after: Position,
        to: Position,
        limit: usize,
    ) -> Result<Vec<Placed>> {
        let range = Scan::<TimelineKey>::prefix((room,)).after((room, after)).up_to((room, to));
        let mut rows = self.store().scan(&range.backward().limit(limit)).await?;
        rows.reverse();
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let event = self.rooms.existing_event(row.record.event).await?;
            let at = row.key.at.position().unwrap_or_default();
            events.push(Placed { at, index: row.key.index, event });
        }
        Ok(events)
    }
}
