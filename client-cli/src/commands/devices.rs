//! `pli devices`

use matrix_sdk::ruma::api::client::device::Device;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::commands::online;
use crate::context::{Context, line, printable};
use crate::error::{CliError, Result};
use crate::text::messages::Msg;

/// Lists the devices of the account, and which are verified.
///
/// # Errors
/// No session, a refusal.
pub async fn run(context: &Context) -> Result<()> {
    let online = online(context).await?;
    let me = online.client.user_id().ok_or(CliError::NotLoggedIn)?.to_owned();
    let own = online.client.device_id().ok_or(CliError::NotLoggedIn)?.to_owned();
    let known = online.client.encryption().get_user_devices(&me).await?;
    let listed = online.client.devices().await?.devices;
    online.finish().await;
    let mut devices: Vec<Value> = listed
        .iter()
        .map(|device| {
            let keys = known.get(&device.device_id);
            let verified = keys.is_some_and(|keys| keys.is_cross_signed_by_owner());
            entry(device, device.device_id == own, verified)
        })
        .collect();
    devices.sort_by_key(|device| device["device_id"].as_str().unwrap_or_default().to_owned());
    if context.json {
        return line(&json!({"devices": devices}).to_string());
    }
    devices.iter().try_for_each(|device| line(&human(context, device)))
}

fn entry(device: &Device, this: bool, verified: bool) -> Value {
    json!({
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ts": device.last_seen_ts.map(|ts| u64::from(ts.get())),
        "last_seen_ip": device.last_seen_ip,
        "current": this,
        "verified": verified,
    })
}

fn human(context: &Context, device: &Value) -> String {
    let text = |key: &str| device.get(key).and_then(Value::as_str).unwrap_or_default();
    let flag = |key: &str| device.get(key).and_then(Value::as_bool).unwrap_or_default();
    let verified = if flag("verified") { Msg::DeviceVerified } else { Msg::DeviceUnverified };
    let mut notes = vec![context.text(verified, &[])];
    if flag("current") {
        notes.push(context.text(Msg::DeviceThis, &[]));
    }
    let seen = device.get("last_seen_ts").and_then(Value::as_i64).and_then(date);
    notes.extend(seen.map(|date| context.text(Msg::DeviceLastSeen, &[&date])));
    let name = match text("display_name") {
        "" => context.text(Msg::Unnamed, &[]),
        name => printable(name),
    };
    format!("{}  {name}  ({})", text("device_id"), notes.join(", "))
}

/// A time in milliseconds since 1970 as a UTC date and time.
pub(super) fn date(timestamp_ms: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(timestamp_ms / 1_000).ok()?;
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_utc() {
        assert_eq!(date(1_700_000_000_123).as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(date(i64::MAX), None);
    }
}
