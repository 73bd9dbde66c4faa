//! How the full-screen chat looks: a pure function of its state.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use crate::chat::state::{ChatLine, ChatState, Kind};
use crate::lang::Lang;
use crate::text::chat::ChatMsg;

/// Columns of the list of members.
const MEMBERS_WIDTH: u16 = 24;
/// Narrower screens show no list of members, whatever was asked.
const MEMBERS_MIN_SCREEN: u16 = 60;

/// Draws everything; returns how far the view is really scrolled, the beginning being the limit.
pub fn render(frame: &mut Frame<'_>, state: &ChatState, lang: Lang) -> usize {
    let area = frame.area();
    let [title, middle, status, input] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(title_line(state, lang)), title);
    let with_members = state.show_members && area.width >= MEMBERS_MIN_SCREEN;
    let side = if with_members { MEMBERS_WIDTH } else { 0 };
    let [conversation, members] =
        Layout::horizontal([Constraint::Min(1), Constraint::Length(side)]).areas(middle);
    let scroll = render_conversation(frame, conversation, state);
    if with_members {
        render_members(frame, members, state, lang);
    }
    frame.render_widget(Paragraph::new(status_line(state, lang)), status);
    render_input(frame, input, state);
    scroll
}

fn title_line(state: &ChatState, lang: Lang) -> Line<'static> {
    let (badge, color) = if state.encrypted {
        (format!("🔒 {}", ChatMsg::Encrypted.text(lang, &[])), Color::Green)
    } else {
        (ChatMsg::NotEncrypted.text(lang, &[]), Color::Red)
    };
    let mut spans = vec![
        Span::styled(state.room_name.clone(), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw("  "),
        Span::styled(badge, Style::new().fg(color)),
        Span::raw(format!("  👥 {}", state.members.len())),
    ];
    if state.unread > 0 {
        let unread = ChatMsg::Unread.text(lang, &[&state.unread.to_string()]);
        spans.push(Span::styled(format!("  {unread}"), Style::new().fg(Color::Yellow)));
    }
    Line::from(spans)
}

fn status_line(state: &ChatState, lang: Lang) -> Line<'static> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    if let Some(status) = &state.status {
        return Line::styled(status.clone(), Style::new().fg(Color::Yellow));
    }
    if state.scroll > 0 {
        return Line::styled(ChatMsg::Below.text(lang, &[&state.scroll.to_string()]), dim);
    }
    match state.typing.as_slice() {
        [] => Line::styled(ChatMsg::Hint.text(lang, &[]), dim),
        [one] => Line::styled(ChatMsg::TypingOne.text(lang, &[one]), dim),
        many => Line::styled(ChatMsg::TypingMany.text(lang, &[&many.join(", ")]), dim),
    }
}

fn render_members(frame: &mut Frame<'_>, area: Rect, state: &ChatState, lang: Lang) {
    let block = Block::new().borders(Borders::LEFT).title(ChatMsg::Members.text(lang, &[]));
    let names: Vec<Line<'_>> =
        state.members.iter().map(|member| Line::raw(member.name.as_str())).collect();
    frame.render_widget(Paragraph::new(names).block(block), area);
}

fn render_input(frame: &mut Frame<'_>, area: Rect, state: &ChatState) {
    let before: String = state.input.chars().take(state.cursor).collect();
    let before = before.replace('\n', "⏎");
    let column = Span::raw(format!("> {before}")).width();
    let room = usize::from(area.width.saturating_sub(1));
    let shift = column.saturating_sub(room);
    let text = format!("> {}", state.input.replace('\n', "⏎"));
    let offset = u16::try_from(shift).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(text).scroll((0, offset)), area);
    let x = area.x.saturating_add(u16::try_from(column - shift).unwrap_or(u16::MAX));
    frame.set_cursor_position(Position::new(x, area.y));
}

/// Draws the newest rows that fit, `scroll` rows above the end.
fn render_conversation(frame: &mut Frame<'_>, area: Rect, state: &ChatState) -> usize {
    let height = usize::from(area.height);
    let width = usize::from(area.width);
    let mut rows: Vec<Line<'static>> = Vec::new();
    // From the end upwards, until the view and what lies under it are filled.
    for line in state.lines.iter().rev() {
        rows.extend(rows_of(line, width).into_iter().rev());
        if rows.len() >= height.saturating_add(state.scroll) {
            break;
        }
    }
    // Scrolled beyond the beginning: the first rows stay.
    let skip = state.scroll.min(rows.len().saturating_sub(height));
    let mut shown: Vec<Line<'static>> = rows.into_iter().skip(skip).take(height).collect();
    shown.reverse();
    frame.render_widget(Paragraph::new(shown), area);
    skip
}

/// The rows of one entry, wrapped to the width.
fn rows_of(line: &ChatLine, width: usize) -> Vec<Line<'static>> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let badge = match (line.kind, line.encrypted, line.verified) {
        (Kind::System, ..) => "  ",
        (_, true, true) => "🔒",
        (_, true, false) => "🔓",
        (_, false, _) => "⚠ ",
    };
    let (name, style) = match line.kind {
        Kind::System => (String::new(), dim),
        Kind::Emote => (format!("* {} ", line.sender), Style::new().add_modifier(Modifier::ITALIC)),
        Kind::Notice => (format!("{}: ", line.sender), dim),
        Kind::Message => (format!("{}: ", line.sender), Style::new()),
    };
    let prefix = format!("{} {badge} ", line.time);
    let indent = Span::raw(prefix.as_str()).width().min(width / 2);
    let room = width.saturating_sub(indent).max(1);
    let name_width = Span::raw(name.as_str()).width();
    let name_style = Style::new().fg(color_of(&line.sender_id)).add_modifier(Modifier::BOLD);
    wrap(&format!("{name}{}", line.body), room)
        .into_iter()
        .enumerate()
        .map(|(row, text)| {
            if row > 0 || name_width > room {
                let lead = if row == 0 { prefix.clone() } else { " ".repeat(indent) };
                return Line::from(vec![Span::styled(lead, dim), Span::styled(text, style)]);
            }
            let rest = text.get(name.len()..).unwrap_or_default().to_owned();
            Line::from(vec![
                Span::styled(prefix.clone(), dim),
                Span::styled(name.clone(), name_style),
                Span::styled(rest, style),
            ])
        })
        .collect()
}

/// Breaks a text into rows no wider than `width`, between words where that is possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for paragraph in text.split('\n') {
        let mut row = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let needed = Span::raw(word.trim_end()).width();
            if used > 0 && used + needed > width {
                rows.push(std::mem::take(&mut row));
                used = 0;
            }
            for c in word.chars() {
                let columns = Span::raw(c.to_string()).width();
                if used > 0 && used + columns > width {
                    rows.push(std::mem::take(&mut row));
                    used = 0;
                }
                row.push(c);
                used += columns;
            }
        }
        rows.push(row);
    }
    rows
}

/// A color that stays the same for a person.
fn color_of(user_id: &str) -> Color {
    const COLORS: [Color; 6] =
        [Color::Cyan, Color::Green, Color::Yellow, Color::Blue, Color::Magenta, Color::LightRed];
    let sum = user_id.bytes().fold(0_usize, |sum, byte| sum * 31 % 65_521 + usize::from(byte));
    COLORS[sum % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::state::Member;
    use crate::chat::state::tests::line;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(state: &ChatState, width: u16, height: u16, lang: Lang) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| {
                render(frame, state, lang);
            })
            .unwrap();
        let buffer = terminal.backend().buffer();
        (0..height)
            .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>())
            .map(|row| row.trim_end().to_owned())
            .collect()
    }

    fn state() -> ChatState {
        let mut state = ChatState {
            me: "@me:x".to_owned(),
            room_name: "Crisis".to_owned(),
            encrypted: true,
            ..ChatState::default()
        };
        state.members.push(Member { user_id: "@bob:x".to_owned(), name: "Bob".to_owned() });
        for i in 1..=30 {
            state.push(line(&format!("${i}"), "bob", &format!("message {i}")));
        }
        state
    }

    #[test]
    fn the_newest_messages_stand_at_the_bottom() {
        let rows = screen(&state(), 60, 10, Lang::Fr);
        assert!(rows[0].contains("Crisis") && rows[0].contains("chiffré"), "{rows:?}");
        assert!(rows[7].contains("bob: message 30"), "{rows:?}");
        assert!(rows[1].contains("message 24"), "{rows:?}");
        assert!(rows[8].contains("/quit"));
        assert!(rows[9].starts_with('>'));
    }

    #[test]
    fn scrolling_shows_what_came_before_and_stops_at_the_beginning() {
        let mut state = state();
        state.scroll_by(5);
        let rows = screen(&state, 60, 10, Lang::En);
        assert!(rows[7].contains("message 25"), "{rows:?}");
        assert!(rows[8].contains("5 below"));
        state.push(line("$31", "bob", "message 31"));
        let rows = screen(&state, 60, 10, Lang::En);
        assert!(rows[7].contains("message 25"), "the view stays in its place: {rows:?}");
        assert!(rows[0].contains("1 unread"));
        state.scroll_by(10_000);
        let rows = screen(&state, 60, 10, Lang::En);
        assert!(rows[1].contains("message 1"), "{rows:?}");
    }

    #[test]
    fn an_open_room_says_so() {
        let state = ChatState { encrypted: false, ..state() };
        assert!(screen(&state, 60, 10, Lang::Fr)[0].contains("NON CHIFFRÉ"));
    }

    #[test]
    fn members_and_typing() {
        let mut state = state();
        state.show_members = true;
        state.set_typing(vec![Member { user_id: "@bob:x".to_owned(), name: "Bob".to_owned() }]);
        let rows = screen(&state, 80, 10, Lang::Fr);
        assert!(rows[1].contains("Membres") && rows[2].contains("Bob"), "{rows:?}");
        assert!(rows[8].contains("Bob écrit…"));
        assert!(!screen(&state, 40, 10, Lang::Fr)[1].contains("Membres"));
    }

    #[test]
    fn every_size_can_be_drawn() {
        let mut state = state();
        state.push(line("$w", "日本語の名前", &"長い文章 ".repeat(50)));
        state.show_members = true;
        state.input = "é".repeat(300);
        state.cursor = 300;
        for (width, height) in [(1, 1), (2, 3), (3, 50), (200, 2), (61, 8)] {
            screen(&state, width, height, Lang::En);
        }
    }

    #[test]
    fn words_are_kept_whole_where_they_fit() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
    }

    #[test]
    fn a_long_input_shows_its_end() {
        let mut state = state();
        state.input = format!("{}END", "x".repeat(100));
        state.cursor = state.input.chars().count();
        assert!(screen(&state, 40, 10, Lang::En)[9].ends_with("END"));
    }
}
