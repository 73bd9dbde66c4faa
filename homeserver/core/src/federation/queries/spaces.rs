//! Spaces and rooms that this server does not take part in, as servers tell that do.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use ruma::{
    OwnedServerName, RoomId, api::federation::space::get_hierarchy::v1 as hierarchy,
    room::JoinRuleSummary,
};
use serde_json::value::RawValue;

use super::{Queries, SPACE_MS, VIA_MAX};
use crate::{
    Error, Result,
    federation::{Bounds, Use},
    rooms::{Description, Elsewhere, RemoteChild, RemoteSpace, RoomSummary},
};

/// Longest text of a summary that is taken, in bytes.
const TEXT_MAX: usize = 8 * 1024;
/// Rooms whose members may join that are taken.
const ALLOWED_MAX: usize = 100;
/// Children of a space that are taken.
const CHILDREN_MAX: usize = 1_000;

impl Elsewhere for Queries {
    fn space<'a>(
        &'a self,
        room_id: &'a RoomId,
        via: &'a [OwnedServerName],
        suggested_only: bool,
    ) -> BoxFuture<'a, Option<Arc<RemoteSpace>>> {
        Box::pin(ask(self, room_id, via, suggested_only))
    }
}

fn read(answer: hierarchy::Response) -> RemoteSpace {
    let children = answer.room.children_state.into_iter().map(ruma::serde::Raw::into_json);
    let children_state: Vec<Box<RawValue>> = children.take(CHILDREN_MAX).collect();
    let children = children_state.iter().filter_map(|event| RemoteChild::read(event));
    let mut children: Vec<RemoteChild> = children.collect();
    children.sort_by(|a, b| a.child.cmp(&b.child));
    RemoteSpace {
        room: summary(answer.room.summary),
        children,
        children_state,
        known: answer.children.into_iter().take(CHILDREN_MAX).map(summary).collect(),
        inaccessible: answer.inaccessible_children.into_iter().take(CHILDREN_MAX).collect(),
    }
}

/// A summary of another server; texts that are too long are left out.
fn summary(told: ruma::room::RoomSummary) -> RoomSummary {
    let short = |text: &String| text.len() <= TEXT_MAX && !text.is_empty();
    let allowed = match &told.join_rule {
        JoinRuleSummary::Restricted(rule) | JoinRuleSummary::KnockRestricted(rule) => {
            rule.allowed_room_ids.iter().take(ALLOWED_MAX).cloned().collect()
        }
        _ => Vec::new(),
    };
    RoomSummary {
        room_id: told.room_id,
        num_joined_members: told.num_joined_members.into(),
        description: Arc::new(Description {
            canonical_alias: told.canonical_alias,
            name: told.name.filter(short),
            topic: told.topic.filter(short),
            avatar_url: told.avatar_url.map(|url| url.to_string()).filter(short),
            room_type: told.room_type.map(|kind| kind.to_string()).filter(short),
            join_rule: told.join_rule.as_str().to_owned(),
            allowed_room_ids: allowed,
            world_readable: told.world_readable,
            guest_can_join: told.guest_can_join,
            encrypted: told.encryption.is_some(),
            encryption: told.encryption.map(|algorithm| algorithm.to_string()).filter(short),
        }),
        room_version: told.room_version.map(|version| version.to_string()),
    }
}

/// Join rules that are told to other servers; any other lets in those who are invited.
const JOIN_RULES: [&str; 6] =
    ["public", "invite", "knock", "private", "restricted", "knock_restricted"];

/// A summary as it is told to other servers.
///
/// # Errors
/// [`Error::Bug`] for a summary that is none.
pub fn for_servers(summary: &RoomSummary) -> Result<ruma::room::RoomSummary> {
    let json = serde_json::to_value(summary).and_then(|mut json| {
        if !JOIN_RULES.contains(&summary.description.join_rule.as_str()) {
            json["join_rule"] = "invite".into();
        }
        serde_json::from_value(json)
    });
    json.map_err(|error| Error::bug(format!("the summary of a room: {error}")))
}

/// About the bytes of a space in memory.
fn weight(space: &RemoteSpace) -> usize {
    const SUMMARY: usize = 1_024;
    let state: usize = space.children_state.iter().map(|raw| raw.get().len()).sum();
    let rooms = space.known.len().saturating_add(space.children.len()).saturating_add(1);
    state.saturating_add(rooms.saturating_mul(SUMMARY))
}

async fn ask(
    queries: &Queries,
    room_id: &RoomId,
    via: &[OwnedServerName],
    suggested_only: bool,
) -> Option<Arc<RemoteSpace>> {
    let key = (room_id.to_owned(), suggested_only);
    let now_ms = queries.clock.now_ms();
    if let Some((kept, until_ms)) = queries.spaces.get(&key)
        && now_ms < until_ms
    {
        return kept;
    }
    let own = queries.remote.own().server_name();
    let mut servers: Vec<OwnedServerName> = Vec::new();
    for server in via.iter().map(|it| &**it).chain(room_id.server_name()) {
        if server != own && !servers.iter().any(|known| *known == server) {
            servers.push(server.to_owned());
        }
    }
    let mut found = None;
    for server in servers.iter().take(VIA_MAX) {
        if queries.remote.partners().require(server, Use::PublicRooms).await.is_err() {
            continue;
        }
        let mut request = hierarchy::Request::new(room_id.to_owned());
        request.suggested_only = suggested_only;
        match queries.remote.request(server, request, Bounds::SMALL).await {
            Ok(answer) if answer.room.summary.room_id == room_id => {
                found = Some(Arc::new(read(answer)));
                break;
            }
            Ok(_) => tracing::info!(%server, "a server answered about another room"),
            Err(error) => tracing::debug!(%server, %error, "a server does not tell of a room"),
        }
    }
    let weight = found.as_ref().map_or(64, |space| weight(space));
    queries.spaces.put(key, (found.clone(), now_ms.saturating_add(SPACE_MS)), weight);
    found
}
