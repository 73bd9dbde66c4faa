//! `pli chat`: the full-screen chat, between the terminal and the server.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt;
use matrix_sdk::Room;
use matrix_sdk::deserialized_responses::TimelineEvent;
use matrix_sdk::room::reply::{EnforceThread, Reply};
use matrix_sdk::ruma::EventId;
use matrix_sdk::ruma::api::client::receipt::create_receipt::v3::ReceiptType;
use matrix_sdk::ruma::events::receipt::ReceiptThread;
use matrix_sdk::ruma::events::room::message::{
    AddMentions, EmoteMessageEventContent, MessageType, RoomMessageEventContent,
    TextMessageEventContent,
};
use matrix_sdk::sync::SyncResponse;
use matrix_sdk::{RoomMemberships, RoomState};
use ratatui::DefaultTerminal;
use tokio::sync::mpsc;

use crate::args::{CallStartArgs, ChatArgs};
use crate::chat::input::{self, Action};
use crate::chat::render::render;
use crate::chat::state::{ChatLine, ChatState, Kind, Member, ReplyTarget};
use crate::commands::send::reply_content;
use crate::commands::{call, history};
use crate::connection::{self, turn};
use crate::context::{Context, printable};
use crate::error::{CliError, Result};
use crate::event_view::EventView;
use crate::room_ref::{display_name, find};
use crate::sync::Syncer;
use crate::text::chat::ChatMsg;
use crate::text::messages::Msg;

/// Messages of the past shown at the start.
const PAST: usize = 100;
/// News that may wait for the screen.
const NEWS_MAX: usize = 256;
/// Undecryptable messages that are tried again after every answer of the server.
const LOCKED_MAX: usize = 200;
/// Pause after a lost connection.
const PAUSE: Duration = Duration::from_secs(2);

/// What the network tells the screen.
enum News {
    Lines(Vec<Entry>),
    Members(Vec<Member>),
    Typing(Vec<Member>),
    Connected(bool),
    Status(String),
}

/// A line, or a change of one.
enum Entry {
    Line(ChatLine),
    Edit { event_id: String, body: String },
}

/// Opens the chat of a room until the person leaves.
///
/// # Errors
/// No terminal, no session, no such room.
pub async fn run(context: &Context, args: ChatArgs) -> Result<()> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(CliError::Other(ChatMsg::NeedsTerminal.text(context.lang, &[])));
    }
    eprintln!("{}", ChatMsg::Loading.text(context.lang, &[]));
    let client = connection::resume(&context.profile).await?;
    let mut syncer = Syncer::resume(&client).await?;
    syncer.catch_up().await?;
    client.encryption().wait_for_e2ee_initialization_tasks().await;
    let room = find(&client, &args.room).await?;
    if room.state() != RoomState::Joined {
        return Err(CliError::NotFound(Msg::ErrNoRoom, args.room));
    }
    room.sync_members().await?;
    let (news, inbox) = mpsc::channel(NEWS_MAX);
    let chat = Chat { context: context.clone(), room, news };
    let state = chat.first_state().await?;
    let listener = tokio::spawn(chat.clone().listen(syncer));
    let mut terminal = ratatui::try_init().map_err(terminal_error)?;
    let result = chat.screen(&mut terminal, state, inbox).await;
    ratatui::restore();
    listener.abort();
    result
}

fn terminal_error(error: io::Error) -> CliError {
    CliError::Other(error.to_string())
}

#[derive(Clone)]
struct Chat {
    context: Context,
    room: Room,
    news: mpsc::Sender<News>,
}

impl Chat {
    async fn first_state(&self) -> Result<ChatState> {
        let mut state = ChatState {
            me: self.room.own_user_id().to_string(),
            room_name: printable(&display_name(&self.room).await),
            encrypted: self.room.latest_encryption_state().await?.is_encrypted(),
            members: self.members().await?,
            ..ChatState::default()
        };
        for view in history::last(&self.room, PAST, true).await? {
            self.entry(&view).await.into_iter().for_each(|entry| apply(&mut state, entry));
        }
        self.mark_read(&state);
        Ok(state)
    }

    /// Draws, waits for a key or news, and so on until the person leaves.
    async fn screen(
        &self,
        terminal: &mut DefaultTerminal,
        mut state: ChatState,
        mut inbox: mpsc::Receiver<News>,
    ) -> Result<()> {
        let mut events = EventStream::new();
        loop {
            let mut scroll = state.scroll;
            terminal
                .draw(|frame| scroll = render(frame, &state, self.context.lang))
                .map_err(terminal_error)?;
            state.scroll = scroll;
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        if self.on_terminal(&mut state, event) {
                            return Ok(());
                        }
                    }
                    Some(Err(error)) => return Err(terminal_error(error)),
                    None => return Ok(()),
                },
                news = inbox.recv() => match news {
                    Some(news) => self.on_news(&mut state, news),
                    None => return Ok(()),
                },
            }
        }
    }

    /// Takes a key; true when the person leaves.
    fn on_terminal(&self, state: &mut ChatState, event: Event) -> bool {
        let action = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                input::key(state, key, self.context.lang)
            }
            Event::Paste(text) => {
                input::paste(state, &text);
                None
            }
            // A resize draws again by itself.
            _ => None,
        };
        match action {
            Some(Action::Quit) => return true,
            Some(action) => drop(tokio::spawn(self.clone().act(action))),
            None => {}
        }
        false
    }

    fn on_news(&self, state: &mut ChatState, news: News) {
        match news {
            News::Lines(entries) => {
                entries.into_iter().for_each(|entry| apply(state, entry));
                self.mark_read(state);
            }
            News::Members(members) => state.members = members,
            News::Typing(typing) => state.set_typing(typing),
            News::Connected(true) => {
                let lost = ChatMsg::Reconnecting.text(self.context.lang, &[]);
                state.status.take_if(|status| *status == lost);
            }
            News::Connected(false) => {
                state.status = Some(ChatMsg::Reconnecting.text(self.context.lang, &[]));
            }
            News::Status(text) => state.status = Some(text),
        }
    }

    /// Tells the server what has been seen, without waiting for it.
    fn mark_read(&self, state: &ChatState) {
        let last = state.last_event().filter(|_| state.scroll == 0);
        let Some(event_id) = last.and_then(|id| EventId::parse(id).ok()) else {
            return;
        };
        let room = self.room.clone();
        tokio::spawn(async move {
            let receipt = (ReceiptType::Read, ReceiptThread::Unthreaded);
            if let Err(error) = room.send_single_receipt(receipt.0, receipt.1, event_id).await {
                tracing::warn!(%error, "the read receipt was not sent");
            }
        });
    }

    /// Does what a key asked for; a failure is shown, and the chat goes on.
    async fn act(self, action: Action) {
        let lang = self.context.lang;
        let status = match action {
            Action::Send { text, emote, reply_to } => {
                let sent = self.send(&text, emote, reply_to).await;
                sent.err().map(|e| ChatMsg::SendFailed.text(lang, &[&e.text(lang)]))
            }
            Action::Call { video } => Some(match self.call(video).await {
                Ok(url) => ChatMsg::CallStarted.text(lang, &[&url]),
                Err(error) => ChatMsg::CallFailed.text(lang, &[&error.text(lang)]),
            }),
            Action::Typing(typing) => {
                if let Err(error) = self.room.typing_notice(typing).await {
                    tracing::warn!(%error, "the typing notice was not sent");
                }
                None
            }
            Action::Quit => None,
        };
        if let Some(status) = status {
            self.tell(News::Status(status)).await;
        }
    }

    async fn send(&self, text: &str, emote: bool, reply_to: Option<ReplyTarget>) -> Result<()> {
        let message = if emote {
            MessageType::Emote(EmoteMessageEventContent::plain(text))
        } else {
            MessageType::Text(TextMessageEventContent::plain(text))
        };
        let _turn = turn(&self.room.client()).await?;
        let content = match reply_to {
            None => RoomMessageEventContent::new(message),
            Some(target) => {
                let missing = |_| CliError::NotFound(Msg::ErrNoEvent, target.event_id.clone());
                let reply = Reply {
                    event_id: EventId::parse(&target.event_id).map_err(missing)?,
                    enforce_thread: EnforceThread::MaybeThreaded,
                    add_mentions: AddMentions::Yes,
                };
                reply_content(&self.room, message, reply).await?
            }
        };
        self.room.send(content).await?;
        Ok(())
    }

    async fn call(&self, video: bool) -> Result<String> {
        let _turn = turn(&self.room.client()).await?;
        let room = self.room.room_id().to_string();
        let domain = std::env::var("PLI_CALL_DOMAIN").ok();
        let args = CallStartArgs { room, video, domain };
        Ok(call::start(&self.context, &self.room, &args).await?.url)
    }

    /// Hears the server until the chat is closed.
    async fn listen(self, mut syncer: Syncer) {
        let mut locked: Vec<TimelineEvent> = Vec::new();
        loop {
            match syncer.next().await {
                Ok(response) => {
                    self.tell(News::Connected(true)).await;
                    self.take_in(response, &mut locked).await;
                }
                Err(CliError::SessionEnded) => {
                    let text = CliError::SessionEnded.text(self.context.lang);
                    self.tell(News::Status(text)).await;
                    return;
                }
                Err(error) => {
                    tracing::warn!(?error, "sync failed");
                    self.tell(News::Connected(false)).await;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn tell(&self, news: News) {
        // A closed screen needs no news.
        drop(self.news.send(news).await);
    }

    async fn take_in(&self, mut response: SyncResponse, locked: &mut Vec<TimelineEvent>) {
        let update = response.rooms.joined.remove(self.room.room_id());
        let mut events: Vec<TimelineEvent> = Vec::new();
        for event in std::mem::take(locked) {
            events.push(history::decrypt_again(&self.room, event).await);
        }
        let mut typing = None;
        if let Some(update) = update {
            events.extend(update.timeline.events);
            typing = update.ephemeral.iter().find_map(|raw| typing_users(raw.json().get()));
        }
        locked.extend(events.iter().filter(|event| event.kind.is_utd()).take(LOCKED_MAX).cloned());
        let mut views = Vec::new();
        for event in &events {
            views.extend(EventView::checked(&self.room.client(), event).await);
        }
        let mut entries = Vec::new();
        for view in &views {
            entries.extend(self.entry(view).await);
        }
        if views.iter().any(|view| view.event_type == "m.room.member")
            && let Ok(members) = self.members().await
        {
            self.tell(News::Members(members)).await;
        }
        if !entries.is_empty() {
            self.tell(News::Lines(entries)).await;
        }
        if let Some(users) = typing {
            let mut typing = Vec::new();
            for user in users {
                typing.push(Member { name: self.name(&user).await, user_id: user });
            }
            self.tell(News::Typing(typing)).await;
        }
    }

    async fn members(&self) -> Result<Vec<Member>> {
        let members = self.room.members(RoomMemberships::JOIN).await?;
        let mut members: Vec<Member> = members
            .iter()
            .map(|m| Member { user_id: m.user_id().to_string(), name: printable(m.name()) })
            .collect();
        members.sort_by_key(|member| member.name.to_lowercase());
        Ok(members)
    }

    async fn name(&self, user_id: &str) -> String {
        let Ok(user) = matrix_sdk::ruma::UserId::parse(user_id) else {
            return printable(user_id);
        };
        match self.room.get_member_no_sync(&user).await {
            Ok(Some(member)) => printable(member.name()),
            _ => printable(user_id),
        }
    }

    /// How an event is shown, if it is.
    async fn entry(&self, view: &EventView) -> Option<Entry> {
        let sender = self.name(&view.sender).await;
        if view.event_type == "m.room.member" {
            return self.membership(view, &sender).await;
        }
        if !view.is_message() {
            return None;
        }
        let relation = |key: &str| view.content.pointer(&format!("/m.relates_to/{key}"))?.as_str();
        if relation("rel_type") == Some("m.replace") {
            let body = view.content.pointer("/m.new_content/body")?.as_str()?;
            let event_id = relation("event_id")?.to_owned();
            return Some(Entry::Edit { event_id, body: printable(body) });
        }
        let lang = self.context.lang;
        let mut body = match (view.undecryptable, view.file()) {
            (Some(_), _) => ChatMsg::Undecryptable.text(lang, &[]),
            (None, Some(file)) => ChatMsg::File.text(lang, &[&printable(&file.name)]),
            (None, None) => view.body(&self.context),
        };
        if view.reply_to().is_some() {
            body = format!("↩ {body}");
        }
        let kind = match view.field("msgtype") {
            Some("m.emote") => Kind::Emote,
            Some("m.notice") => Kind::Notice,
            _ => Kind::Message,
        };
        Some(Entry::Line(line(view, sender, body, kind)))
    }

    async fn membership(&self, view: &EventView, sender: &str) -> Option<Entry> {
        let lang = self.context.lang;
        let target = self.name(view.state_key.as_deref()?).await;
        let body = match view.field("membership")? {
            "join" => ChatMsg::Joined.text(lang, &[&target]),
            "leave" | "ban" => ChatMsg::Left.text(lang, &[&target]),
            "invite" => ChatMsg::Invited.text(lang, &[sender, &target]),
            _ => return None,
        };
        Some(Entry::Line(line(view, sender.to_owned(), body, Kind::System)))
    }
}

fn apply(state: &mut ChatState, entry: Entry) {
    match entry {
        Entry::Line(line) => state.push(line),
        Entry::Edit { event_id, body } => state.edit(&event_id, body),
    }
}

fn line(view: &EventView, sender: String, body: String, kind: Kind) -> ChatLine {
    ChatLine {
        event_id: Some(view.event_id.clone()),
        sender_id: view.sender.clone(),
        sender,
        time: time_of_day(view.timestamp_ms),
        body,
        encrypted: view.encrypted,
        verified: view.verified.unwrap_or_default(),
        kind,
    }
}

/// `HH:MM` in UTC: the local offset cannot be had safely in a program with threads.
fn time_of_day(timestamp_ms: i64) -> String {
    let minutes = timestamp_ms.div_euclid(60_000).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The users of a typing event; `None` when it is another event.
fn typing_users(raw: &str) -> Option<Vec<String>> {
    let event: serde_json::Value = serde_json::from_str(raw).ok()?;
    (event.get("type")? == "m.typing").then_some(())?;
    let users = event.pointer("/content/user_ids")?.as_array()?;
    Some(users.iter().filter_map(|user| user.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_hours_and_minutes() {
        assert_eq!(time_of_day(0), "00:00");
        assert_eq!(time_of_day(1_700_000_000_000), "22:13");
        assert_eq!(time_of_day(-60_000), "23:59");
    }

    #[test]
    fn typing_events_only() {
        let raw = r#"{"type":"m.typing","content":{"user_ids":["@a:b"]}}"#;
        assert_eq!(typing_users(raw).unwrap(), ["@a:b"]);
        assert!(typing_users(r#"{"type":"m.receipt","content":{}}"#).is_none());
    }
}
