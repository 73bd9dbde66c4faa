//! What the keys of the full-screen chat mean.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::chat::state::{ChatState, ReplyTarget};
use crate::lang::Lang;
use crate::text::chat::ChatMsg;

/// The longest text that can be typed, in characters.
const INPUT_MAX_CHARS: usize = 8_000;
/// Rows that a page key moves.
const PAGE_ROWS: isize = 10;

/// What the program must do after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave.
    Quit,
    /// Send a text, as an emote or as an answer.
    Send { text: String, emote: bool, reply_to: Option<ReplyTarget> },
    /// Start a call.
    Call { video: bool },
    /// The person began to type, or no longer does.
    Typing(bool),
}

/// Changes the state for a key; returns what else is to be done.
pub fn key(state: &mut ChatState, event: KeyEvent, lang: Lang) -> Option<Action> {
    let was_empty = state.input.is_empty();
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.code {
        KeyCode::Char('c' | 'd' | 'q') if control => return Some(Action::Quit),
        KeyCode::Char('u') if control => clear(state),
        KeyCode::Char(c) if !control => insert(state, c),
        KeyCode::Enter => return enter(state, lang),
        KeyCode::Backspace => backspace(state),
        KeyCode::Delete => delete(state),
        KeyCode::Left => state.cursor = state.cursor.saturating_sub(1),
        KeyCode::Right => state.cursor = (state.cursor + 1).min(state.input.chars().count()),
        KeyCode::Home => state.cursor = 0,
        KeyCode::End => state.cursor = state.input.chars().count(),
        KeyCode::Up => state.scroll_by(1),
        KeyCode::Down => state.scroll_by(-1),
        KeyCode::PageUp => state.scroll_by(PAGE_ROWS),
        KeyCode::PageDown => state.scroll_by(-PAGE_ROWS),
        KeyCode::Esc => state.scroll_by(isize::MIN / 2),
        _ => {}
    }
    let is_command = state.input.starts_with('/');
    match (was_empty, state.input.is_empty()) {
        (true, false) if !is_command => Some(Action::Typing(true)),
        (false, true) => Some(Action::Typing(false)),
        _ => None,
    }
}

/// Puts pasted text at the cursor; line feeds stay, other control characters go.
pub fn paste(state: &mut ChatState, text: &str) {
    for c in text.chars().filter(|c| *c == '\n' || !c.is_control()) {
        insert(state, c);
    }
}

fn byte_at(text: &str, chars: usize) -> usize {
    text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at)
}

fn insert(state: &mut ChatState, c: char) {
    if state.input.chars().count() < INPUT_MAX_CHARS {
        let at = byte_at(&state.input, state.cursor);
        state.input.insert(at, c);
        state.cursor += 1;
    }
}

fn backspace(state: &mut ChatState) {
    if state.cursor > 0 {
        state.cursor -= 1;
        delete(state);
    }
}

fn delete(state: &mut ChatState) {
    let at = byte_at(&state.input, state.cursor);
    if at < state.input.len() {
        state.input.remove(at);
    }
}

fn clear(state: &mut ChatState) {
    state.input.clear();
    state.cursor = 0;
}

/// Sends the line, or runs the command that it is.
fn enter(state: &mut ChatState, lang: Lang) -> Option<Action> {
    let text = state.input.trim().to_owned();
    clear(state);
    state.status = None;
    if text.is_empty() {
        return None;
    }
    state.scroll_by(isize::MIN / 2);
    let send = |text: &str, emote, reply_to| {
        (!text.is_empty()).then(|| Action::Send { text: text.to_owned(), emote, reply_to })
    };
    let Some(command) = text.strip_prefix('/') else {
        return send(&text, false, None);
    };
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    match word {
        "quit" | "q" => Some(Action::Quit),
        "me" => send(rest, true, None),
        "reply" => match state.last_from_others() {
            Some(target) => send(rest, false, Some(target)),
            None => {
                state.status = Some(ChatMsg::NothingToReply.text(lang, &[]));
                None
            }
        },
        "call" => Some(Action::Call { video: matches!(rest, "video" | "--video") }),
        "members" => {
            state.show_members = !state.show_members;
            None
        }
        // A path or two slashes: meant as text.
        _ if word.contains('/') || word.is_empty() => send(
            text.strip_prefix("//").map_or(text.clone(), |t| format!("/{t}")).as_str(),
            false,
            None,
        ),
        _ => {
            state.status = Some(ChatMsg::UnknownCommand.text(lang, &[&format!("/{word}")]));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::state::tests::line;

    fn press(state: &mut ChatState, code: KeyCode) -> Option<Action> {
        key(state, KeyEvent::new(code, KeyModifiers::NONE), Lang::En)
    }

    fn say(state: &mut ChatState, text: &str) -> Option<Action> {
        text.chars().for_each(|c| drop(press(state, KeyCode::Char(c))));
        press(state, KeyCode::Enter)
    }

    fn sent(text: &str) -> Option<Action> {
        Some(Action::Send { text: text.to_owned(), emote: false, reply_to: None })
    }

    #[test]
    fn typing_and_editing_in_the_middle_of_accents() {
        let mut state = ChatState::default();
        assert_eq!(press(&mut state, KeyCode::Char('é')), Some(Action::Typing(true)));
        press(&mut state, KeyCode::Char('b'));
        press(&mut state, KeyCode::Left);
        press(&mut state, KeyCode::Char('à'));
        assert_eq!((state.input.as_str(), state.cursor), ("éàb", 2));
        press(&mut state, KeyCode::Backspace);
        press(&mut state, KeyCode::Delete);
        assert_eq!(state.input, "é");
        press(&mut state, KeyCode::Home);
        press(&mut state, KeyCode::Delete);
        assert_eq!(state.input, "");
        assert_eq!(press(&mut state, KeyCode::Enter), None);
    }

    #[test]
    fn commands() {
        let mut state = ChatState { me: "@me:x".to_owned(), ..ChatState::default() };
        assert_eq!(say(&mut state, "hello"), sent("hello"));
        assert_eq!(say(&mut state, "/quit"), Some(Action::Quit));
        assert_eq!(say(&mut state, "/call"), Some(Action::Call { video: false }));
        assert_eq!(say(&mut state, "/call --video"), Some(Action::Call { video: true }));
        let Some(Action::Send { text, emote: true, .. }) = say(&mut state, "/me waves ") else {
            panic!("/me is an emote")
        };
        assert_eq!(text, "waves");
        assert_eq!(say(&mut state, "/members"), None);
        assert!(state.show_members);
        assert_eq!(say(&mut state, "/etc/passwd"), sent("/etc/passwd"));
        assert_eq!(say(&mut state, "//x"), sent("/x"));
        assert_eq!(say(&mut state, "/nonsense"), None);
        assert!(state.status.as_ref().unwrap().contains("/nonsense"));
    }

    #[test]
    fn a_reply_goes_to_the_last_message_of_others() {
        let mut state = ChatState { me: "@me:x".to_owned(), ..ChatState::default() };
        assert_eq!(say(&mut state, "/reply yes"), None);
        assert!(state.status.is_some());
        state.push(line("$1", "bob", "question"));
        let Some(Action::Send { reply_to: Some(target), .. }) = say(&mut state, "/reply yes")
        else {
            panic!("there is a message to answer")
        };
        assert_eq!(target.event_id, "$1");
    }

    #[test]
    fn control_keys_leave_and_clear() {
        let mut state = ChatState::default();
        say(&mut state, "");
        press(&mut state, KeyCode::Char('x'));
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        assert_eq!(key(&mut state, control('u'), Lang::Fr), Some(Action::Typing(false)));
        assert_eq!(key(&mut state, control('c'), Lang::Fr), Some(Action::Quit));
    }

    #[test]
    fn pasted_text_keeps_its_lines() {
        let mut state = ChatState::default();
        paste(&mut state, "a\nb\u{1b}\tc");
        assert_eq!(state.input, "a\nbc");
    }
}
