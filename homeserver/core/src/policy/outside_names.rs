//! Display names of people of other servers: whether one looks like the name of an agent without being
//! entitled to it. Pure decisions on plain data.
//!
//! Agents are called `Name [Label]`; the server gives the name and they cannot change it. Of other servers
//! this is believed for the labels that were agreed with them only.

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It has a label that was not agreed with its server.
    Label,
    /// It is written so that it looks like another one: with invisible characters, or with letters of
    /// another script among Latin ones.
    Disguised,
}

impl Flag {
    /// The word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Label => "label_not_agreed",
            Self::Disguised => "disguised",
        }
    }
}

/// Judges the name of somebody of another server with which these labels were agreed.
#[must_use]
pub fn judge(name: &str, labels: &[String]) -> Option<Flag> {
    if name.chars().any(is_hidden) {
        return Some(Flag::Disguised);
    }
    let looks: String = name.chars().map(look).collect();
    if looks.trim_end().ends_with(']') && looks.contains('[') {
        let label = name.trim_end().strip_suffix(']').and_then(|name| name.rsplit_once(" ["));
        let agreed = label.is_some_and(|(person, label)| {
            // A label within the name of the person would be read as one too.
            !person.chars().any(|c| matches!(look(c), '[' | ']'))
                && labels.iter().any(|agreed| agreed == label)
        });
        if !agreed {
            return Some(Flag::Label);
        }
    }
    let mixes = |word: &str| {
        word.chars().any(|c| c.is_ascii_alphabetic()) && word.chars().any(is_look_alike)
    };
    name.split_whitespace().any(mixes).then_some(Flag::Disguised)
}

/// Characters that nobody sees or that turn the writing direction around.
const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether a letter of another script looks like a Latin one.
const fn is_look_alike(c: char) -> bool {
    look(c) as u32 != c as u32
}

/// What a character looks like; the character itself if that is no other one (Unicode Technical Standard
/// 39, "Confusable Detection": those of the scripts that are met most).
const fn look(c: char) -> char {
    match c {
        // Cyrillic.
        'а' => 'a',
        'в' | 'В' => 'B',
        'с' => 'c',
        'ԁ' => 'd',
        'е' | 'ё' => 'e',
        'һ' => 'h',
        'і' | 'ї' => 'i',
        'ј' => 'j',
        'к' => 'k',
        'м' => 'm',
        'о' => 'o',
        'р' => 'p',
        'ԛ' => 'q',
        'ѕ' => 's',
        'т' => 't',
        'ѵ' => 'v',
        'ԝ' => 'w',
        'х' => 'x',
        'у' => 'y',
        'А' => 'A',
        'С' => 'C',
        'Е' | 'Ё' => 'E',
        'Н' => 'H',
        'І' | 'Ї' => 'I',
        'Ј' => 'J',
        'К' => 'K',
        'М' => 'M',
        'О' => 'O',
        'Р' => 'P',
        'Ѕ' => 'S',
        'Т' => 'T',
        'Х' => 'X',
        'У' => 'Y',
        // Greek.
        'α' => 'a',
        'ε' => 'e',
        'ι' => 'i',
        'κ' => 'k',
        'ν' => 'v',
        'ο' => 'o',
        'ρ' => 'p',
        'τ' => 't',
        'υ' => 'u',
        'χ' => 'x',
        'Α' => 'A',
        'Β' => 'B',
        'Ε' => 'E',
        'Ζ' => 'Z',
        'Η' => 'H',
        'Ι' => 'I',
        'Κ' => 'K',
        'Μ' => 'M',
        'Ν' => 'N',
        'Ο' => 'O',
        'Ρ' => 'P',
        'Τ' => 'T',
        'Υ' => 'Y',
        'Χ' => 'X',
        // Brackets, in all widths and shapes.
        '［' | '⁅' | '〔' | '【' | '〚' | '⟦' | '❲' | '⦋' | '⦍' | '⦏' => '[',
        '］' | '⁆' | '〕' | '】' | '〛' | '⟧' | '❳' | '⦌' | '⦎' | '⦐' => ']',
        // Letters in full width.
        'Ａ'..='Ｚ' | 'ａ'..='ｚ' => 'x',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_believed_as_they_were_agreed() {
        let agreed = ["Éducation".to_owned(), "Justice".to_owned()];
        for (name, expected) in [
            ("Jane Doe", None),
            ("Jane Doe [Justice]", None),
            ("Zoé [Éducation] ", None),
            ("Jane Doe [Élysée]", Some(Flag::Label)),
            ("Jane Doe [justice]", Some(Flag::Label)),
            ("Jane Doe [Jus\u{200b}tice]", Some(Flag::Disguised)),
            ("Jane Doe ［Justice］", Some(Flag::Label)),
            ("Jane Doe 【Justice】", Some(Flag::Label)),
            ("Jane Doe [Élysée] [Justice]", Some(Flag::Label)),
            ("Jane Doe[Justice]", Some(Flag::Label)),
            ("[Justice]", Some(Flag::Label)),
            ("Jane [x] Doe", None),
        ] {
            assert_eq!(judge(name, &agreed), expected, "{name}");
        }
        assert_eq!(judge("Jane Doe [Justice]", &[]), Some(Flag::Label));
    }

    #[test]
    fn names_in_one_script_are_names_and_mixtures_are_disguises() {
        for name in
            ["Мария Иванова", "Ελένη Παππά", "Мария (Paris)", "日本 太郎", "Nguyễn Văn A", ""]
        {
            assert_eq!(judge(name, &[]), None, "{name}");
        }
        for name in ["Jаne Doe", "Pаul", "Marοn", "Jane\u{202e}eoD", "Ｊane Doe"] {
            assert_eq!(judge(name, &[]), Some(Flag::Disguised), "{name}");
        }
    }
}
