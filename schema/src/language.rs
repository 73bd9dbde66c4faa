//! The languages in which people are spoken to.

use serde::{Deserialize, Serialize};

/// A language of mails, pages and refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// French.
    #[default]
    Fr,
    /// English.
    En,
}

/// A text in every language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// In French.
    pub fr: &'static str,
    /// In English.
    pub en: &'static str,
}

impl Text {
    /// The text in a language.
    #[must_use]
    pub const fn in_language(self, language: Language) -> &'static str {
        match language {
            Language::Fr => self.fr,
            Language::En => self.en,
        }
    }
}

impl Language {
    /// The language that an `Accept-Language` header prefers among those known (RFC 9110, 12.5.4);
    /// `fallback` if it names none of them.
    #[must_use]
    pub fn from_accept_language(header: Option<&str>, fallback: Self) -> Self {
        let mut best: Option<(u16, Self)> = None;
        for item in header.unwrap_or_default().split(',').take(32) {
            let mut parts = item.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let language = match tag.split('-').next() {
                Some("fr") => Self::Fr,
                Some("en") => Self::En,
                _ => continue,
            };
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .and_then(|q| q.trim().parse::<f32>().ok())
                .unwrap_or(1.0);
            // Truncation is wanted: three digits is all the grammar allows.
            let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
            if weight > 0 && best.is_none_or(|(known, _)| weight > known) {
                best = Some((weight, language));
            }
        }
        best.map_or(fallback, |(_, language)| language)
    }

    /// The language's tag (BCP 47).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Fr => "fr",
            Self::En => "en",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_weight_wins_and_unknown_languages_fall_back() {
        let pick = |header: &str| Language::from_accept_language(Some(header), Language::Fr);
        assert_eq!(pick("en-GB,en;q=0.9,fr;q=0.8"), Language::En);
        assert_eq!(pick("fr;q=0.9, en;q=0.3"), Language::Fr);
        assert_eq!(pick("de, en;q=0.1"), Language::En);
        assert_eq!(pick("de"), Language::Fr);
        assert_eq!(pick("en;q=0"), Language::Fr);
        assert_eq!(pick(""), Language::Fr);
        assert_eq!(pick("en;q=nonsense"), Language::En);
        assert_eq!(Language::from_accept_language(None, Language::En), Language::En);
    }
}
