//! File, environment and flags into a [`Config`]; unknown keys are errors with a suggestion.

use toml::{Table, Value};

use super::{Config, KeyDoc, SectionDoc, path_of, sections, tables};

/// Why the configuration cannot be used. The text is for the administrator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is no TOML.
    #[error("the configuration file is not valid TOML: {0}")]
    Syntax(String),
    /// There is no such key.
    #[error("unknown key `{key}` in the configuration{}", .suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    UnknownKey {
        /// The key, with its section.
        key: String,
        /// The nearest key that exists.
        suggestion: Option<String>,
    },
    /// A value is of the wrong type or out of range.
    #[error("{0}")]
    Value(String),
}

/// The configuration from the text of a file, `PLI_…` variables (only those; others are passed over)
/// and `section.key=value` flags, each overriding the one before.
///
/// # Errors
/// [`ConfigError`] for an unknown key or a wrong value.
pub fn load(
    file: Option<&str>,
    environment: &[(String, String)],
    flags: &[(String, String)],
) -> Result<Config, ConfigError> {
    let mut table = match file {
        Some(text) => text.parse::<Table>().map_err(|e| ConfigError::Syntax(e.to_string()))?,
        None => Table::new(),
    };
    let mut sections = sections();
    refuse_unknown_keys(&table, &sections)?;
    // What is set from outside names the fields of a key's table like keys of a section.
    sections.extend(tables());
    for (name, value) in environment {
        if let Some(key) = environment_key(name) {
            set(&mut table, &sections, &key, value)?;
        }
    }
    for (key, value) in flags {
        set(&mut table, &sections, key, value)?;
    }
    Value::Table(table).try_into().map_err(|error: toml::de::Error| {
        ConfigError::Value(format!("in the configuration: {}", error.message()))
    })
}

/// `PLI_STORAGE__CACHE_MIB` is `storage.cache_mib`, `PLI_MAIL__SMTP__HOST` the field `host` of the table
/// `mail.smtp`. `PLI_CONFIG` names the file, and what only the
/// client reads is passed over.
fn environment_key(name: &str) -> Option<String> {
    let rest = name.strip_prefix("PLI_")?;
    let known = sections().iter().any(|section| {
        section
            .keys
            .iter()
            .any(|key| path_of(section, key).replace('.', "__").eq_ignore_ascii_case(rest))
    });
    (known || rest.contains("__")).then(|| rest.to_ascii_lowercase().replace("__", "."))
}

fn refuse_unknown_keys(table: &Table, sections: &[SectionDoc]) -> Result<(), ConfigError> {
    for (name, value) in table {
        let section = sections.iter().find(|section| section.name == name && !name.is_empty());
        match (section, value) {
            (Some(section), Value::Table(inner)) => {
                for key in inner.keys() {
                    find(sections, &format!("{}.{key}", section.name))?;
                }
            }
            _ => {
                find(sections, name)?;
            }
        }
    }
    Ok(())
}

fn find<'a>(sections: &'a [SectionDoc], path: &str) -> Result<&'a KeyDoc, ConfigError> {
    for section in sections {
        for key in &section.keys {
            if path_of(section, key) == path {
                return Ok(key);
            }
        }
    }
    let names = sections.iter().flat_map(|section| {
        let keys = section.keys.iter().map(move |key| path_of(section, key));
        keys.chain((!section.name.is_empty()).then(|| section.name.to_owned()))
    });
    let suggestion = suggestion(path, names);
    Err(ConfigError::UnknownKey { key: path.to_owned(), suggestion })
}

/// The nearest of some names, if it is near enough to be meant: a third of the letters may differ.
pub fn suggestion(wrong: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let last = |path: &str| path.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    names
        .map(|name| {
            let whole = distance(wrong, &name);
            // The right key in the wrong section is as near as one wrong letter.
            let by_key = if last(wrong) == last(&name) { 1 } else { usize::MAX };
            (whole.min(by_key), name)
        })
        .min()
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let diagonal = row.get(j).copied().unwrap_or(usize::MAX - 1);
            let left = next.get(j).copied().unwrap_or(usize::MAX - 1);
            next.push((above + 1).min(left + 1).min(diagonal + usize::from(from != *to)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

fn set(
    table: &mut Table,
    sections: &[SectionDoc],
    path: &str,
    text: &str,
) -> Result<(), ConfigError> {
    let key = find(sections, path)?;
    let value = value_of(key, text)
        .ok_or_else(|| ConfigError::Value(format!("`{path}` cannot be `{text}`")))?;
    let mut place = table;
    let mut rest = path;
    while let Some((name, within)) = rest.split_once('.') {
        let entry = place.entry(name).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return Err(ConfigError::Value(format!("`{name}` in `{path}` is a table")));
        };
        (place, rest) = (inner, within);
    }
    place.insert(rest.to_owned(), value);
    Ok(())
}

/// A value from text: texts need no quotes, lists of texts no brackets.
fn value_of(key: &KeyDoc, text: &str) -> Option<Value> {
    let quoted = || text.starts_with('"') || text.starts_with('[');
    if key.is_text_list() && !quoted() {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        return Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()));
    }
    if key.is_text() && !quoted() {
        return Some(Value::String(text.to_owned()));
    }
    let document = format!("value = {text}").parse::<Table>().ok()?;
    document.get("value").cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(load(None, &[], &[]).unwrap(), Config::default());
    }

    #[test]
    fn environment_overrides_the_file_and_flags_the_environment() {
        let file = "server_name = \"a.example\"\n[storage]\ncache_mib = 1\n[registration]\nenabled = false";
        let environment = pairs(&[
            ("PLI_SERVER_NAME", "b.example"),
            ("PLI_LISTEN", "127.0.0.1:1, [::1]:1"),
            ("PLI_STORAGE__CACHE_MIB", "2"),
            ("PLI_PASSPHRASE", "not ours"),
        ]);
        let config = load(Some(file), &environment, &pairs(&[("storage.cache_mib", "3")])).unwrap();
        assert_eq!(config.server.server_name, "b.example");
        assert_eq!(config.server.listen.0, ["127.0.0.1:1", "[::1]:1"]);
        assert_eq!(config.storage.cache_mib, 3);
        assert!(!config.registration.enabled);
    }

    #[test]
    fn fields_of_a_table_are_set_like_keys_or_all_at_once() {
        let file = "[mail]\nsmtp = { host = \"a.example\", port = 25 }";
        let environment = pairs(&[
            ("PLI_MAIL__SMTP__HOST", "smtp.example"),
            ("PLI_TEST_DEPLOYMENT__NO_LIMITS", "true"),
            ("PLI_ROOMS__RETENTION", "{ days_min = 7, legal_hold = [\"!a:b\"] }"),
            ("PLI_MEDIA__URL_PREVIEWS", "{}"),
        ]);
        let flags = pairs(&[("rooms.retention.days_max", "30"), ("mail.smtp.user", "123")]);
        let config = load(Some(file), &environment, &flags).unwrap();
        let smtp = config.mail.smtp.unwrap();
        assert_eq!((smtp.host.as_str(), smtp.port), ("smtp.example", Some(25)));
        assert_eq!(smtp.user.as_deref(), Some("123"));
        assert!(config.server.test_deployment.no_limits);
        assert!(!config.server.test_deployment.guest_access);
        let retention = config.rooms.retention.unwrap();
        assert_eq!((retention.days_min, retention.days_max), (7, 30));
        assert_eq!(retention.legal_hold, ["!a:b"]);
        assert_eq!(config.media.url_previews, Some(Default::default()));
        let section = "[test_deployment]\nguest_access = true\n[mail.smtp]\nhost = \"x\"";
        let config = load(Some(section), &[], &[]).unwrap();
        assert!(config.server.test_deployment.guest_access);
        assert!(load(Some("[mail]\nsmtp = { hots = \"x\" }"), &[], &[]).is_err());
        let wrong = load(None, &[], &pairs(&[("mail.smtp.hots", "x")])).unwrap_err();
        assert!(wrong.to_string().contains("did you mean `mail.smtp.host`"), "{wrong}");
    }

    #[test]
    fn unknown_keys_are_errors_with_a_suggestion() {
        for (file, key, suggestion) in [
            ("server_nme = \"x\"", "server_nme", Some("server_name")),
            ("[storage]\ncache_mb = 1", "storage.cache_mb", Some("storage.cache_mib")),
            ("[stroage]\ncache_mib = 1", "stroage", Some("storage")),
            ("durability = \"sync\"", "durability", Some("storage.durability")),
            ("xyzzy = 1", "xyzzy", None),
        ] {
            let suggestion = suggestion.map(str::to_owned);
            let expected = ConfigError::UnknownKey { key: key.to_owned(), suggestion };
            assert_eq!(load(Some(file), &[], &[]), Err(expected), "{file}");
        }
        assert!(load(None, &pairs(&[("PLI_STORAGE__CACHE", "1")]), &[]).is_err());
        assert!(load(None, &[], &pairs(&[("nope", "1")])).is_err());
    }

    #[test]
    fn wrong_values_are_errors() {
        assert!(load(Some("[storage]\ncache_mib = \"much\""), &[], &[]).is_err());
        assert!(load(Some("[storage]\ndurability = \"never\""), &[], &[]).is_err());
        assert!(load(Some("storage = 1"), &[], &[]).is_err());
        assert!(load(Some("server_name = "), &[], &[]).is_err());
        assert!(load(None, &[], &pairs(&[("storage.cache_mib", "one two")])).is_err());
    }
}
