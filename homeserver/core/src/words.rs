//! The words of a text, as a search compares them: lower case, without accents, one for each run of
//! letters and digits. Characters of writings without spaces are words of their own.

/// Bytes of a folded word that count.
const WORD_BYTES_MAX: usize = 64;
/// Words of one text that are looked at.
const WORDS_MAX: usize = 5_000;

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As searches compare it.
    pub folded: String,
    /// As it is written.
    pub written: String,
}

/// The words of a text in their order, with repetitions.
#[must_use]
pub fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if words.len() >= WORDS_MAX {
            return words;
        }
        let alone = stands_alone(c);
        if alone || !(c.is_alphanumeric() || is_mark(c)) {
            push(&mut words, std::mem::take(&mut word));
        }
        if alone {
            push(&mut words, c.to_string());
        } else if c.is_alphanumeric() || is_mark(c) {
            word.push(c);
        }
    }
    push(&mut words, word);
    words
}

fn push(words: &mut Vec<Word>, written: String) {
    let mut folded = String::with_capacity(written.len());
    for c in written.chars().flat_map(char::to_lowercase) {
        if folded.len() >= WORD_BYTES_MAX {
            break;
        }
        match plain(c) {
            Some(text) => folded.push_str(text),
            None if is_mark(c) => {}
            None => folded.push(c),
        }
    }
    if !folded.is_empty() {
        words.push(Word { folded, written });
    }
}

/// A combining accent.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// A character of a writing without spaces.
const fn stands_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2ffff}')
}

/// A lower-case Latin letter without its accent.
const fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

/// The texts of an event that searches look at, by their key: the body of a message, the name and the
/// topic of a room (<https://spec.matrix.org/v1.19/client-server-api/#room_events>).
#[must_use]
pub fn texts(event_type: &str, content: &str) -> Vec<(SearchKey, String)> {
    let key = match event_type {
        "m.room.message" => SearchKey::Body,
        "m.room.name" => SearchKey::Name,
        "m.room.topic" => SearchKey::Topic,
        _ => return Vec::new(),
    };
    let content: serde_json::Value = serde_json::from_str(content).unwrap_or_default();
    let text =
        |value: Option<&serde_json::Value>| value.and_then(|v| v.as_str()).map(str::to_owned);
    let mut texts: Vec<String> = text(content.get(key.property())).into_iter().collect();
    let representations = content.get("m.topic").and_then(|topic| topic.get("m.text"));
    if key == SearchKey::Topic
        && let Some(plain) = representations.and_then(|texts| texts.as_array()).and_then(|texts| {
            texts.iter().find(|text| {
                text.get("mimetype").is_none_or(|kind| kind.as_str() == Some("text/plain"))
            })
        })
    {
        let plain = text(plain.get("body"));
        texts.extend(plain.filter(|plain| texts.first() != Some(plain)));
    }
    texts.into_iter().map(|text| (key, text)).collect()
}

/// What of events is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
pub enum SearchKey {
    /// `content.body` of messages.
    #[serde(rename = "content.body")]
    Body,
    /// `content.name` of room names.
    #[serde(rename = "content.name")]
    Name,
    /// `content.topic` of topics.
    #[serde(rename = "content.topic")]
    Topic,
}

impl SearchKey {
    const fn property(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Name => "name",
            Self::Topic => "topic",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.folded).collect()
    }

    #[test]
    fn words_lose_case_and_accents() {
        let cases: [(&str, &[&str]); 6] = [
            ("L’État, c’est MOI !", &["l", "etat", "c", "est", "moi"]),
            ("e\u{301}te\u{301} été", &["ete", "ete"]),
            ("cœur Straße", &["coeur", "strasse"]),
            ("RFC-2119 v1.19", &["rfc", "2119", "v1", "19"]),
            ("東京 tower", &["東", "京", "tower"]),
            (" \n\t!?", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(folded(text), expected, "{text}");
        }
        assert_eq!(words("Été")[0].written, "Été");
    }

    #[test]
    fn topics_have_two_places() {
        let content = r#"{"topic":"old","m.topic":{"m.text":[{"mimetype":"text/html","body":"h"},{"body":"new"}]}}"#;
        let texts = texts("m.room.topic", content);
        let expected = ["old", "new"].map(|text| (SearchKey::Topic, text.to_owned()));
        assert_eq!(texts, expected);
        assert!(super::texts("m.room.encrypted", r#"{"body":"x"}"#).is_empty());
        assert!(super::texts("m.room.message", r#"{"body":7}"#).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_has_short_words(text: String) {
            for word in words(&text) {
                prop_assert!(!word.folded.is_empty() && word.folded.len() < WORD_BYTES_MAX + 8);
                prop_assert!(text.contains(&word.written));
            }
        }
    }
}
