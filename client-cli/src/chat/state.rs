//! What the full-screen chat knows; pure data, no terminal and no network.

use std::collections::VecDeque;

/// The most lines that are kept; older ones are in `pli history`.
pub const LINES_MAX: usize = 2_000;

/// What sort of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Someone says something.
    Message,
    /// Someone does something: `/me`.
    Emote,
    /// A program says something.
    Notice,
    /// The room says something: a person joined, left.
    System,
}

/// One entry of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// The event; `None` for what was never one.
    pub event_id: Option<String>,
    /// The user ID of the sender.
    pub sender_id: String,
    /// The name to show.
    pub sender: String,
    /// The time to show, `HH:MM`.
    pub time: String,
    /// The text, safe for a terminal.
    pub body: String,
    /// Whether it travelled encrypted.
    pub encrypted: bool,
    /// Whether it came from a verified device.
    pub verified: bool,
    /// What sort of line it is.
    pub kind: Kind,
}

/// Someone in the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The user ID.
    pub user_id: String,
    /// The name to show.
    pub name: String,
}

/// The message that the next one answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTarget {
    /// Its event ID.
    pub event_id: String,
    /// Who wrote it, to show.
    pub sender: String,
}

/// Everything on the screen.
#[derive(Clone, Debug, Default)]
pub struct ChatState {
    /// The user ID of this person.
    pub me: String,
    /// The name of the room.
    pub room_name: String,
    /// Whether the room is encrypted.
    pub encrypted: bool,
    /// The conversation, oldest first.
    pub lines: VecDeque<ChatLine>,
    /// Who is in the room.
    pub members: Vec<Member>,
    /// Whether the list of members is shown.
    pub show_members: bool,
    /// Who is typing, without this person.
    pub typing: Vec<String>,
    /// Messages of others that came while the view was scrolled up.
    pub unread: usize,
    /// Rows between the end of the conversation and the bottom of the view.
    pub scroll: usize,
    /// The text being typed.
    pub input: String,
    /// The cursor, in characters from the start.
    pub cursor: usize,
    /// A word to the person: an error, a connection lost.
    pub status: Option<String>,
}

impl ChatState {
    /// Adds a line, or puts it in the place of the one with the same event.
    pub fn push(&mut self, line: ChatLine) {
        let same = |old: &&mut ChatLine| old.event_id.is_some() && old.event_id == line.event_id;
        if let Some(old) = self.lines.iter_mut().rev().find(same) {
            *old = line;
            return;
        }
        if self.scroll > 0 {
            // Keeps what is being read in its place, near enough.
            self.scroll += 1;
            if line.sender_id != self.me && line.kind != Kind::System {
                self.unread += 1;
            }
        }
        self.lines.push_back(line);
        if self.lines.len() > LINES_MAX {
            self.lines.pop_front();
        }
    }

    /// Changes the text of a line: an edit came for it.
    pub fn edit(&mut self, event_id: &str, body: String) {
        let wanted = Some(event_id);
        if let Some(line) = self.lines.iter_mut().rev().find(|l| l.event_id.as_deref() == wanted) {
            line.body = body;
        }
    }

    /// Sets who is typing; this person is left out.
    pub fn set_typing(&mut self, typing: Vec<Member>) {
        let others = typing.into_iter().filter(|member| member.user_id != self.me);
        self.typing = others.map(|member| member.name).collect();
    }

    /// Moves the view up (`rows` positive) or down; at the bottom everything is read.
    pub fn scroll_by(&mut self, rows: isize) {
        self.scroll = self.scroll.saturating_add_signed(rows);
        if self.scroll == 0 {
            self.unread = 0;
        }
    }

    /// The newest message of somebody else, to answer it.
    pub fn last_from_others(&self) -> Option<ReplyTarget> {
        let line = self
            .lines
            .iter()
            .rev()
            .find(|line| line.kind != Kind::System && line.sender_id != self.me)?;
        Some(ReplyTarget { event_id: line.event_id.clone()?, sender: line.sender.clone() })
    }

    /// The event up to which everything has been shown.
    pub fn last_event(&self) -> Option<&str> {
        self.lines.iter().rev().find_map(|line| line.event_id.as_deref())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A line of somebody, for tests.
    pub fn line(event_id: &str, sender: &str, body: &str) -> ChatLine {
        ChatLine {
            event_id: Some(event_id.to_owned()),
            sender_id: format!("@{sender}:x"),
            sender: sender.to_owned(),
            time: "12:34".to_owned(),
            body: body.to_owned(),
            encrypted: true,
            verified: true,
            kind: Kind::Message,
        }
    }

    fn state() -> ChatState {
        ChatState { me: "@me:x".to_owned(), ..ChatState::default() }
    }

    #[test]
    fn an_event_stands_once() {
        let mut state = state();
        state.push(line("$1", "bob", "locked"));
        state.push(line("$2", "bob", "two"));
        state.push(line("$1", "bob", "one"));
        let bodies: Vec<_> = state.lines.iter().map(|l| l.body.as_str()).collect();
        assert_eq!(bodies, ["one", "two"]);
        state.edit("$2", "zwei".to_owned());
        assert_eq!(state.lines[1].body, "zwei");
    }

    #[test]
    fn what_comes_while_reading_above_is_unread_until_the_bottom() {
        let mut state = state();
        state.push(line("$1", "bob", "a"));
        assert_eq!(state.unread, 0);
        state.scroll_by(5);
        state.push(line("$2", "bob", "b"));
        state.push(line("$3", "me", "c"));
        assert_eq!((state.unread, state.scroll), (1, 7));
        state.scroll_by(-100);
        assert_eq!((state.unread, state.scroll), (0, 0));
    }

    #[test]
    fn one_answers_others_only() {
        let mut state = state();
        assert_eq!(state.last_from_others(), None);
        state.push(line("$1", "bob", "a"));
        state.push(line("$2", "me", "b"));
        assert_eq!(state.last_from_others().unwrap().event_id, "$1");
        assert_eq!(state.last_event(), Some("$2"));
    }

    #[test]
    fn one_does_not_see_oneself_typing() {
        let mut state = state();
        let member = |name: &str| Member { user_id: format!("@{name}:x"), name: name.to_owned() };
        state.set_typing(vec![member("me"), member("bob")]);
        assert_eq!(state.typing, ["bob"]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut state = state();
        for i in 0..LINES_MAX + 10 {
            state.push(line(&format!("${i}"), "bob", "x"));
        }
        assert_eq!(state.lines.len(), LINES_MAX);
        assert_eq!(state.lines[0].event_id.as_deref(), Some("$10"));
    }
}
