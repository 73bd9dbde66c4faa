//! The power levels of the few users that a rule asks for. In a large room `users` is long, and `ruma`
//! reads all of it for each event that is checked; so it is read once per power levels event, and `ruma`
//! is shown one with those users only.

use std::collections::BTreeMap;

use ruma::{
    OwnedUserId, UserId,
    room_version_rules::AuthorizationRules,
    state_res::{Event, events::RoomPowerLevelsEvent},
};
use serde_json::{Value, value::RawValue};

use super::Subject;
use crate::event_format::{Pdu, UserLevels};

/// With fewer users the whole event is read as fast.
const USERS_MIN: usize = 16;

/// Reads an event. `None` where it has few users, and where `users` is not what the rules want: that is
/// for them to reject.
pub(super) fn read(event: Subject, rules: &AuthorizationRules) -> Option<UserLevels> {
    let mut content: BTreeMap<String, Value> = serde_json::from_str(event.content().get()).ok()?;
    content.remove("users")?;
    let event = RoomPowerLevelsEvent::new(event);
    let users = event.users(rules).ok().flatten().filter(|users| users.len() >= USERS_MIN)?;
    let mut head = "{".to_owned();
    for (name, value) in &content {
        head.push_str(&Value::from(name.as_str()).to_string());
        head.push(':');
        head.push_str(&value.to_string());
        head.push(',');
    }
    Some(UserLevels { users: users.clone(), head })
}

/// The content with some users only.
pub(super) fn content_for(levels: &UserLevels, users: &[OwnedUserId]) -> Option<Box<RawValue>> {
    let found = users.iter().filter_map(|user_id| levels.users.get_key_value(user_id));
    let found = serde_json::to_string(&found.collect::<BTreeMap<_, _>>()).ok()?;
    RawValue::from_string(format!("{}\"users\":{found}}}", levels.head)).ok()
}

/// The users whose levels the rules look at for an event that is no power levels event: the sender, the
/// member that a membership is about, and who authorizes a restricted join.
pub(super) fn concerned(pdu: &Pdu) -> Vec<OwnedUserId> {
    #[derive(serde::Deserialize)]
    struct Member {
        join_authorised_via_users_server: Option<OwnedUserId>,
    }
    let mut users = vec![pdu.sender.clone()];
    if let Some(state_key) = &pdu.state_key {
        users.extend(UserId::parse(state_key.as_str()));
        let member = serde_json::from_str::<Member>(pdu.content.get());
        users.extend(member.ok().and_then(|member| member.join_authorised_via_users_server));
    }
    users
}
