//! `pli profiles list`

use serde_json::{Value, json};

use crate::args::ProfilesCommand;
use crate::context::{Context, line};
use crate::error::Result;
use crate::profile::{self, Profile};
use crate::session::Session;
use crate::text::messages::Msg;

/// Lists the accounts signed in on this machine, without asking any server.
///
/// # Errors
/// When the folder of the profiles cannot be read.
pub fn run(context: &Context, command: &ProfilesCommand) -> Result<()> {
    let ProfilesCommand::List = command;
    let mut profiles: Vec<Value> = Vec::new();
    for name in profile::list(&context.home)? {
        let session = Session::load(&Profile::new(&context.home, &name)?)?;
        profiles.push(json!({
            "profile": name, "user_id": session.user_id, "device_id": session.device_id,
            "homeserver": session.homeserver, "current": name == context.profile.name,
        }));
    }
    if context.json {
        return line(&json!({"profiles": profiles}).to_string());
    }
    if profiles.is_empty() {
        return line(&context.text(Msg::ProfilesNone, &[]));
    }
    profiles.iter().try_for_each(|profile| {
        let text = |key: &str| profile.get(key).and_then(Value::as_str).unwrap_or_default();
        let current = profile.get("current").and_then(Value::as_bool).unwrap_or_default();
        let mark = if current { "*" } else { " " };
        let (name, user, server) = (text("profile"), text("user_id"), text("homeserver"));
        line(&format!("{mark} {name}  {user}  {server}"))
    })
}
