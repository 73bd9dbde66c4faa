//! `pli listen`

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use matrix_sdk::deserialized_responses::TimelineEvent;
use matrix_sdk::room::MessagesOptions;
use matrix_sdk::ruma::{OwnedRoomId, UInt};
use matrix_sdk::sync::SyncResponse;
use matrix_sdk::{Client, Room};

use crate::args::ListenArgs;
use crate::commands::history::decrypt_again;
use crate::connection;
use crate::context::{Context, line};
use crate::error::{CliError, Result};
use crate::event_view::EventView;
use crate::files;
use crate::profile::write_private;
use crate::room_ref::find;
use crate::sync::Syncer;
use crate::text::messages::Msg;

/// How long a message may wait for its key before it is printed as undecryptable.
const KEY_PATIENCE: Duration = Duration::from_secs(15);
/// The most messages that may wait for their keys.
const WAITING_MAX: usize = 1_000;
/// The most messages fetched to fill one gap, in pages of a hundred.
const GAP_PAGES_MAX: usize = 100;
const GAP_PAGE: u32 = 100;
/// Pause after a lost connection, doubling up to the maximum.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Prints events until it is stopped.
///
/// # Errors
/// No session, no such room, a closed standard output.
pub async fn run(context: &Context, args: ListenArgs) -> Result<()> {
    let client = connection::resume(&context.profile).await?;
    let mut listener = Listener::start(context, &args, client).await?;
    let listening = listener.run();
    match args.timeout {
        None => listening.await,
        Some(seconds) => {
            let limit = Duration::from_secs(seconds);
            tokio::time::timeout(limit, listening).await.unwrap_or(Ok(()))
        }
    }
}

struct Waiting {
    room: Room,
    event: TimelineEvent,
    since: Instant,
}

struct Listener<'a> {
    context: &'a Context,
    args: &'a ListenArgs,
    client: Client,
    syncer: Syncer,
    rooms: BTreeSet<OwnedRoomId>,
    waiting: VecDeque<Waiting>,
    printed: u64,
}

impl<'a> Listener<'a> {
    /// Finds the rooms and the place to begin.
    async fn start(context: &'a Context, args: &'a ListenArgs, client: Client) -> Result<Self> {
        let cursor = tokio::fs::read_to_string(context.profile.listen_cursor_file()).await.ok();
        let cursor = cursor.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut syncer = match cursor.filter(|_| args.since_start) {
            Some(cursor) => Syncer::at(client.clone(), cursor),
            None => Syncer::resume(&client).await?,
        };
        let before = syncer.position().map(str::to_owned);
        let first = syncer.catch_up().await?;
        let mut rooms = BTreeSet::new();
        for room in &args.rooms {
            rooms.insert(find(&client, room).await?.room_id().to_owned());
        }
        let waiting = VecDeque::new();
        let mut listener = Self { context, args, client, syncer, rooms, waiting, printed: 0 };
        if args.since_start {
            listener.print_all(first, before).await?;
        }
        listener.save_cursor()?;
        let ready = serde_json::json!({"event": "listening"});
        context.event(&ready)?;
        Ok(listener)
    }

    async fn run(&mut self) -> Result<()> {
        let mut pause = PAUSE;
        while !self.done() {
            let before = self.syncer.position().map(str::to_owned);
            match self.syncer.next().await {
                Ok(response) => {
                    pause = PAUSE;
                    self.print_all(response, before).await?;
                    self.print_waiting().await?;
                    self.save_cursor()?;
                }
                Err(error @ (CliError::Network(_) | CliError::Timeout(_))) => {
                    self.context.note(Msg::ListenReconnecting, &[&error.text(self.context.lang)]);
                    self.context.event(&serde_json::json!({"event": "disconnected"}))?;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn done(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.printed >= limit)
    }

    /// Prints what an answer brought, gaps filled first.
    async fn print_all(&mut self, response: SyncResponse, before: Option<String>) -> Result<()> {
        for (room_id, update) in response.rooms.joined {
            if !self.rooms.is_empty() && !self.rooms.contains(&room_id) {
                continue;
            }
            let Some(room) = self.client.get_room(&room_id) else {
                continue;
            };
            let timeline = update.timeline;
            if let (true, Some(from), Some(to)) = (timeline.limited, timeline.prev_batch, &before) {
                for event in gap(&room, &from, to).await? {
                    self.take(&room, event).await?;
                }
            }
            for event in timeline.events {
                self.take(&room, event).await?;
            }
        }
        Ok(())
    }

    /// Prints an event, or lets it wait for its key.
    async fn take(&mut self, room: &Room, event: TimelineEvent) -> Result<()> {
        if event.kind.is_utd() && self.waiting.len() < WAITING_MAX {
            let waiting = Waiting { room: room.clone(), event, since: Instant::now() };
            self.waiting.push_back(waiting);
            return Ok(());
        }
        self.print(room, &event).await
    }

    /// Prints the waiting events whose keys have come, or have not come for too long.
    async fn print_waiting(&mut self) -> Result<()> {
        for _ in 0..self.waiting.len() {
            let Some(mut item) = self.waiting.pop_front() else {
                break;
            };
            item.event = decrypt_again(&item.room, item.event).await;
            if item.event.kind.is_utd() && item.since.elapsed() < KEY_PATIENCE {
                self.waiting.push_back(item);
            } else {
                self.print(&item.room, &item.event).await?;
            }
        }
        Ok(())
    }

    async fn print(&mut self, room: &Room, event: &TimelineEvent) -> Result<()> {
        if self.done() {
            return Ok(());
        }
        let Some(view) = EventView::checked(&self.client, event).await else {
            return Ok(());
        };
        if !view.is_message() && !self.args.all {
            return Ok(());
        }
        self.printed += 1;
        let names_room = self.rooms.len() != 1;
        print_event(self.context, room, &view, self.args.download.as_ref(), names_room).await
    }

    /// Remembers how far everything is printed; what still waits for a key comes again.
    fn save_cursor(&self) -> Result<()> {
        match self.syncer.position() {
            Some(position) if self.waiting.is_empty() => {
                write_private(&self.context.profile.listen_cursor_file(), position.as_bytes())
            }
            _ => Ok(()),
        }
    }
}

/// Fetches the events between two positions, oldest first.
async fn gap(room: &Room, from: &str, to: &str) -> Result<Vec<TimelineEvent>> {
    let mut events = Vec::new();
    let mut from = from.to_owned();
    for _ in 0..GAP_PAGES_MAX {
        let mut options = MessagesOptions::backward().from(from.as_str());
        options.to = Some(to.to_owned());
        options.limit = UInt::from(GAP_PAGE);
        let page = room.messages(options).await?;
        let empty = page.chunk.is_empty();
        events.extend(page.chunk);
        match page.end {
            Some(end) if !empty && end != from => from = end,
            _ => break,
        }
    }
    events.reverse();
    Ok(events)
}

/// Prints one event as JSON or as a line, and saves its file when that is wanted.
///
/// # Errors
/// When the file cannot be had or saved, or standard output is closed.
pub async fn print_event(
    context: &Context,
    room: &Room,
    view: &EventView,
    download: Option<&PathBuf>,
    names_room: bool,
) -> Result<()> {
    let saved = match download {
        Some(dir) => files::save(&room.client(), view, dir).await?,
        None => None,
    };
    let saved = saved.map(|path| path.display().to_string());
    if context.json {
        return line(&view.json(room.room_id().as_str(), saved.as_deref()).to_string());
    }
    let name = match room
        .get_member_no_sync(view.sender.as_str().try_into().unwrap_or(room.own_user_id()))
        .await
    {
        Ok(Some(member)) if member.user_id() == view.sender.as_str() => member.name().to_owned(),
        _ => view.sender.clone(),
    };
    let room_name = if names_room {
        format!("[{}] ", crate::room_ref::display_name(room).await)
    } else {
        String::new()
    };
    let lock = if view.encrypted { "🔒" } else { "  " };
    let mut text = format!("{lock} {room_name}{name}: {}", view.body(context));
    if let Some(saved) = saved {
        text = format!("{text} → {}", context.text(Msg::EventSaved, &[&saved]));
    }
    line(&crate::context::printable(&text))
}
