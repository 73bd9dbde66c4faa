//! Spaces and rooms that this server does not take part in, as servers tell that do.

use std::sync::Arc;

use ruma::{
    OwnedRoomId, OwnedServerName, RoomId, api::federation::space::get_hierarchy::v1 as hierarchy,
    room::RoomSummary,
};
use serde_json::value::RawValue;

use super::{Queries, SPACE_MS, VIA_MAX};
use crate::federation::{Bounds, Use};

/// Children of a space that are taken.
const CHILDREN_MAX: usize = 1_000;

/// What another server says of a space.
#[derive(Clone, Debug)]
pub struct RemoteSpace {
    /// The space.
    pub room: RoomSummary,
    /// Its children, as its state says: stripped state with times.
    pub children_state: Vec<Box<RawValue>>,
    /// Those of the children of which it tells.
    pub children: Vec<RoomSummary>,
    /// Children that this server may not know of.
    pub inaccessible: Vec<OwnedRoomId>,
}

impl RemoteSpace {
    fn read(answer: hierarchy::Response) -> Self {
        let children = answer.room.children_state.into_iter().map(ruma::serde::Raw::into_json);
        Self {
            room: answer.room.summary,
            children_state: children.take(CHILDREN_MAX).collect(),
            children: answer.children.into_iter().take(CHILDREN_MAX).collect(),
            inaccessible: answer.inaccessible_children.into_iter().take(CHILDREN_MAX).collect(),
        }
    }

    /// About its bytes in memory.
    fn weight(&self) -> usize {
        const SUMMARY: usize = 512;
        let state: usize = self.children_state.iter().map(|raw| raw.get().len()).sum();
        state.saturating_add(self.children.len().saturating_add(1).saturating_mul(SUMMARY))
    }
}

pub(super) async fn ask(
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
                found = Some(Arc::new(RemoteSpace::read(answer)));
                break;
            }
            Ok(_) => tracing::info!(%server, "a server answered about another room"),
            Err(error) => tracing::debug!(%server, %error, "a server does not tell of a room"),
        }
    }
    let weight = found.as_ref().map_or(64, |space| space.weight());
    queries.spaces.put(key, (found.clone(), now_ms.saturating_add(SPACE_MS)), weight);
    found
}
