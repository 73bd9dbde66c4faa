//! The first power levels of a room.

use pli_federation::room_version;
use ruma::RoomVersionId;
use serde_json::{Map, Value, json};

use super::{CreateRoom, Preset, events::object};
use crate::{Result, rooms::authorize::format_error};

/// The content of the first `m.room.power_levels`: the server's defaults with the client's wishes on
/// top, key by key.
pub(super) fn content(request: &CreateRoom, version: &RoomVersionId) -> Result<Value> {
    let rules = room_version::rules(version).map_err(format_error)?.authorization;
    let creators_above_all = rules.explicitly_privilege_room_creators;
    let mut users = Map::new();
    if !creators_above_all {
        users.insert(request.creator.to_string(), Value::from(100));
        if request.preset() == Preset::TrustedPrivate {
            for user_id in request.invite.iter().chain(&request.invite_later) {
                users.insert(user_id.to_string(), Value::from(100));
            }
        }
    }
    // Whoever may change the state of a version 12 room must not be able to close it as well.
    let tombstone = if creators_above_all { 150 } else { 100 };
    let invite = if request.preset() == Preset::Public { 50 } else { 0 };
    let mut content = json!({
        "users": users,
        "users_default": 0,
        "events": {
            "m.room.name": 50,
            "m.room.avatar": 50,
            "m.room.canonical_alias": 50,
            "m.room.power_levels": 100,
            "m.room.history_visibility": 100,
            "m.room.encryption": 100,
            "m.room.server_acl": 100,
            "m.room.tombstone": tombstone,
            // Everyone may take part in a call (MSC3401, as MatrixRTC clients still do it).
            "org.matrix.msc3401.call.member": 0,
        },
        "events_default": 0,
        "state_default": 50,
        "invite": invite,
        "kick": 50,
        "ban": 50,
        "redact": 50,
    });
    if let Some(content) = content.as_object_mut() {
        content.extend(object(request.power_levels.as_deref())?);
    }
    Ok(content)
}
