//! `pli history`

use matrix_sdk::Room;
use matrix_sdk::deserialized_responses::{TimelineEvent, TimelineEventKind};
use matrix_sdk::room::MessagesOptions;
use matrix_sdk::ruma::UInt;
use matrix_sdk::ruma::events::room::encrypted::OriginalSyncRoomEncryptedEvent;
use matrix_sdk::ruma::serde::Raw;

use crate::args::HistoryArgs;
use crate::commands::listen::print_event;
use crate::commands::online;
use crate::context::Context;
use crate::error::Result;
use crate::event_view::EventView;
use crate::room_ref::find;

/// The most events asked for at once.
const PAGE: u32 = 100;
/// The most pages read when a room has more state events than messages.
const PAGES_MAX: u32 = 1_000;

/// Prints the last messages of a room, oldest first.
///
/// # Errors
/// No session, no such room, a refusal.
pub async fn run(context: &Context, args: HistoryArgs) -> Result<()> {
    let online = online(context).await?;
    let room = find(&online.client, &args.room).await?;
    room.sync_members().await?;
    let wanted = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let events = last(&room, wanted, args.all).await?;
    for view in &events {
        print_event(context, &room, view, args.download.as_ref(), false).await?;
    }
    online.finish().await;
    Ok(())
}

/// The last `wanted` messages of a room (events of every kind with `all`), oldest first.
///
/// # Errors
/// Network errors and refusals.
pub async fn last(room: &Room, wanted: usize, all: bool) -> Result<Vec<EventView>> {
    let mut events = Vec::new();
    let mut from: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut options = MessagesOptions::backward().from(from.as_deref());
        options.limit = UInt::from(PAGE);
        let page = room.messages(options).await?;
        for event in page.chunk {
            let event = if event.kind.is_utd() { fetch_key(room, event).await } else { event };
            let view = EventView::checked(&room.client(), &event)
                .await
                .filter(|view| all || view.is_message());
            events.extend(view);
        }
        if events.len() >= wanted || page.end.is_none() || page.end == from {
            break;
        }
        from = page.end;
    }
    events.truncate(wanted);
    events.reverse();
    Ok(events)
}

/// Looks for the missing key of an event in the backup and tries again.
///
/// An event whose key is nowhere stays as it is; that is shown, not an error.
async fn fetch_key(room: &Room, event: TimelineEvent) -> TimelineEvent {
    let TimelineEventKind::UnableToDecrypt { utd_info, .. } = &event.kind else {
        return event;
    };
    let Some(session) = utd_info.session_id.clone() else {
        return event;
    };
    let backups = room.client().encryption().backups();
    match backups.download_room_key(room.room_id(), &session).await {
        Ok(true) => decrypt_again(room, event).await,
        Ok(false) => event,
        Err(error) => {
            tracing::warn!(%error, "the backup has no key for a message");
            event
        }
    }
}

/// Tries to decrypt an event that could not be decrypted before.
pub async fn decrypt_again(room: &Room, event: TimelineEvent) -> TimelineEvent {
    if !event.kind.is_utd() {
        return event;
    }
    let raw: &Raw<OriginalSyncRoomEncryptedEvent> = event.raw().cast_ref_unchecked();
    match room.decrypt_event(raw, None).await {
        Ok(decrypted) => decrypted,
        Err(error) => {
            tracing::warn!(%error, "a message cannot be decrypted");
            event
        }
    }
}
