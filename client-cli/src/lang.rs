//! Which language to speak: French or English.

use std::ffi::OsString;

/// A language of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    /// English
    En,
    /// French
    Fr,
}

impl Lang {
    /// Reads a locale name such as `fr_FR.UTF-8`, `fr-CA`, `en` or `C`.
    ///
    /// Anything that is not French is English, the language of a machine without a locale.
    pub fn from_locale(locale: &str) -> Self {
        let language = locale.split(['_', '-', '.', '@']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("fr") { Self::Fr } else { Self::En }
    }

    /// The two letters of the language (ISO 639-1).
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
        }
    }

    /// Chooses the language before the arguments are parsed, since the help needs it too.
    ///
    /// Order: `--lang`, `PLI_LANG`, `LC_ALL`, `LC_MESSAGES`, `LANG`, then what the system says.
    pub fn choose(args: &[OsString], env: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(value) = lang_argument(args) {
            return Self::from_locale(&value);
        }
        ["PLI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| env(name).filter(|value| !value.is_empty()))
            .or_else(sys_locale::get_locale)
            .map_or(Self::En, |locale| Self::from_locale(&locale))
    }
}

/// The value of `--lang X` or `--lang=X`, wherever it stands before a bare `--`.
fn lang_argument(args: &[OsString]) -> Option<String> {
    let mut args = args.iter().map(|arg| arg.to_string_lossy()).take_while(|arg| arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--lang" {
            return args.next().map(|value| value.into_owned());
        }
        if let Some(value) = arg.strip_prefix("--lang=") {
            return Some(value.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn locales() {
        assert_eq!(Lang::from_locale("fr_FR.UTF-8"), Lang::Fr);
        assert_eq!(Lang::from_locale("fr-CA"), Lang::Fr);
        assert_eq!(Lang::from_locale("FR"), Lang::Fr);
        assert_eq!(Lang::from_locale("C"), Lang::En);
        assert_eq!(Lang::from_locale("frp_FR"), Lang::En);
        assert_eq!(Lang::from_locale(""), Lang::En);
    }

    #[test]
    fn an_argument_wins_over_the_environment() {
        let french = |name: &str| (name == "LC_ALL").then(|| "fr_FR".to_owned());
        assert_eq!(Lang::choose(&args(&["pli", "whoami"]), french), Lang::Fr);
        assert_eq!(Lang::choose(&args(&["pli", "--lang", "en", "whoami"]), french), Lang::En);
        assert_eq!(Lang::choose(&args(&["pli", "whoami", "--lang=en"]), french), Lang::En);
        assert_eq!(Lang::choose(&args(&["pli", "send", "r", "--", "--lang=en"]), french), Lang::Fr);
    }

    #[test]
    fn the_environment_has_an_order() {
        let env = |name: &str| match name {
            "LC_ALL" => Some(String::new()),
            "LC_MESSAGES" => Some("fr_BE".to_owned()),
            "LANG" => Some("en_US".to_owned()),
            _ => None,
        };
        assert_eq!(Lang::choose(&args(&["pli"]), env), Lang::Fr);
    }
}
