//! Handing in a member event where it is to be taken: by today's endpoint, or by that of older servers.

use std::sync::Arc;

use pli_federation::event_format::Pdu;
use ruma::{
    OwnedEventId, OwnedRoomId, ServerName,
    api::federation::membership::create_join_event::v2::{self, RoomState},
};
use serde_json::value::RawValue;

use super::RemoteRooms;
use crate::{
    Error, Result,
    federation::{Bounds, RemoteError},
};

/// An event as JSON that is in its one form already.
pub(super) fn raw(pdu: &Pdu) -> Result<Box<RawValue>> {
    RawValue::from_string(pdu.json.to_string()).map_err(|error| Error::bug(error.to_string()))
}

/// Whether another server does not know an endpoint.
pub(super) fn is_unknown(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Status { status: 404 | 405, errcode, .. }
        if errcode.is_empty() || errcode == "M_UNRECOGNIZED")
        || matches!(error, RemoteError::Status { status: 400, errcode, .. }
            if errcode == "M_UNRECOGNIZED")
}

impl RemoteRooms {
    pub(super) async fn send_join(
        &self,
        server: &ServerName,
        join: &Arc<Pdu>,
    ) -> Result<Result<RoomState, RemoteError>> {
        let (room_id, event_id) = (join.room().to_owned(), join.event_id.clone());
        let request = v2::Request::new(room_id.clone(), event_id.clone(), raw(join)?);
        match self.signed.remote().request(server, request, Bounds::ROOM).await {
            Ok(answer) => Ok(Ok(answer.room_state)),
            Err(error) if is_unknown(&error) => {
                Ok(self.send_join_v1(server, (room_id, event_id), join).await)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// The old endpoint answers `[200, {…}]`.
    async fn send_join_v1(
        &self,
        server: &ServerName,
        (room_id, event_id): (OwnedRoomId, OwnedEventId),
        join: &Arc<Pdu>,
    ) -> Result<RoomState, RemoteError> {
        let path = ["send_join", room_id.as_str(), event_id.as_str()];
        let answer = self.signed.remote().put_v1(server, path, &join.json, Bounds::ROOM).await?;
        let (_, state): (u16, RoomState) = serde_json::from_slice(&answer)
            .map_err(|error| RemoteError::Malformed(error.to_string()))?;
        Ok(state)
    }
}
