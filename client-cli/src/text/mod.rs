//! Everything `pli` says, in French and English.

pub mod chat;
pub mod emoji;
pub mod help;
pub mod messages;

/// Declares an enum of messages with their text in both languages.
///
/// `{0}`, `{1}` … stand for the values given to `text`.
macro_rules! bilingual {
    ($(#[$doc:meta])* $name:ident { $($msg:ident { $en:literal, $fr:literal })* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $(#[doc = $en] $msg),* }

        impl $name {
            /// Every message, for the test of completeness.
            #[cfg(test)]
            pub const ALL: &'static [Self] = &[$(Self::$msg),*];

            /// The text before the values are filled in.
            pub fn template(self, lang: $crate::lang::Lang) -> &'static str {
                match (self, lang) {
                    $((Self::$msg, $crate::lang::Lang::En) => $en,
                      (Self::$msg, $crate::lang::Lang::Fr) => $fr,)*
                }
            }

            /// The text with its values.
            pub fn text(self, lang: $crate::lang::Lang, values: &[&str]) -> String {
                $crate::text::fill(self.template(lang), values)
            }
        }
    };
}
pub(crate) use bilingual;

/// Replaces `{0}`, `{1}` … by the values, once each, never inside a value.
pub fn fill(template: &str, values: &[&str]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let placeholder = after
            .find('}')
            .and_then(|end| after.get(1..end).map(|number| (number, end)))
            .and_then(|(number, end)| number.parse::<usize>().ok().map(|index| (index, end)));
        match placeholder {
            Some((index, end)) => {
                out.push_str(values.get(index).copied().unwrap_or_default());
                rest = after.get(end + 1..).unwrap_or_default();
            }
            None => {
                out.push('{');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// "yes" as typed by a person: the word or its first letter, in either language.
pub fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "o" | "oui")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Lang;

    fn placeholders(template: &str) -> Vec<String> {
        let mut found: Vec<String> = template
            .match_indices('{')
            .filter_map(|(at, _)| {
                template[at..].find('}').map(|end| template[at..=at + end].to_owned())
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn complete(en: &str, fr: &str) {
        assert!(!en.is_empty() && !fr.is_empty());
        assert_eq!(placeholders(en), placeholders(fr), "values differ: {en} / {fr}");
    }

    #[test]
    fn every_message_exists_in_both_languages_with_the_same_values() {
        for message in messages::Msg::ALL {
            complete(message.template(Lang::En), message.template(Lang::Fr));
        }
        for message in chat::ChatMsg::ALL {
            complete(message.template(Lang::En), message.template(Lang::Fr));
        }
    }

    #[test]
    fn values_are_filled_in_once() {
        assert_eq!(fill("a {1} b {0}", &["x{1}", "y"]), "a y b x{1}");
        assert_eq!(fill("{} {0", &["x"]), "{} {0");
        assert_eq!(fill("{7}", &["x"]), "");
    }

    #[test]
    fn yes_in_both_languages() {
        assert!(is_yes("Oui\n") && is_yes("y") && is_yes("YES") && is_yes("o"));
        assert!(!is_yes("") && !is_yes("non") && !is_yes("yolo"));
    }
}
