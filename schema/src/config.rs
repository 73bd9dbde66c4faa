//! The configuration: one TOML file, every key optional, each documented once, here in code.
//!
//! `pli-homeserver config` and `docs/configuration.md` are made from [`sections`].

mod load;
mod sections;
mod tables;

use serde::{Deserialize, Serialize};

use crate::account_settings::{
    MailSettings, OauthSettings, PasswordSettings, ProfileSettings, RegistrationSettings,
    SessionSettings,
};

pub use self::{
    load::{ConfigError, load, suggestion},
    sections::{
        Addresses, ApplicationServiceSettings, CallSettings, ConnectionSettings, Durability,
        FederationSettings, LogFormat, LogSettings, MediaSettings, MetricsSettings,
        PresenceSettings, RateLimit, RateLimitSettings, RoomSettings, ServerSettings,
        StorageSettings, TlsSettings, WellKnownSettings,
    },
    tables::{
        DelayedEventSettings, RetentionSettings, SupportSettings, TestDeployment, TimeoutSettings,
        TurnSettings, UrlPreviewSettings, UserQuota, tables,
    },
};

/// One key of the configuration, as documented.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyDoc {
    /// Its name within the section.
    pub name: &'static str,
    /// What it does, one line per element.
    pub doc: Vec<&'static str>,
    /// Its Rust type.
    pub type_name: &'static str,
    /// Its default; `None` if it is absent by default.
    pub default: Option<toml::Value>,
}

impl KeyDoc {
    /// The key takes a text (so that a value from the environment needs no quotes).
    #[must_use]
    pub fn is_text(&self) -> bool {
        match &self.default {
            Some(value) => value.is_str(),
            None => self.type_name.contains("String"),
        }
    }

    /// The key takes a list of texts.
    #[must_use]
    pub fn is_text_list(&self) -> bool {
        self.type_name == "Addresses" || self.type_name == "Vec<String>"
    }
}

/// A section of the configuration, as documented.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionDoc {
    /// Its name; empty for the keys at the top.
    pub name: &'static str,
    /// What it is about.
    pub doc: Vec<&'static str>,
    /// Its keys.
    pub keys: Vec<KeyDoc>,
}

/// Declares the settings of a section: a struct whose fields have defaults and whose documentation can
/// be read at run time.
#[macro_export]
macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])+ pub $field:ident: $type:ty = $default:expr; )*
        }
    )+) => {$(
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            /// The documentation of the section and its keys.
            #[must_use]
            pub fn documentation(name: &'static str) -> $crate::config::SectionDoc {
                let defaults = toml::Value::try_from(Self::default()).ok();
                let default_of = |key: &str| defaults.as_ref().and_then(|all| all.get(key)).cloned();
                $crate::config::SectionDoc {
                    name,
                    doc: vec![$($section_doc.trim()),+],
                    keys: vec![$(
                        $crate::config::KeyDoc {
                            name: stringify!($field),
                            doc: vec![$($doc.trim()),+],
                            type_name: stringify!($type),
                            default: default_of(stringify!($field)),
                        },
                    )*],
                }
            }
        }
    )+};
}

macro_rules! config {
    ($( $(#[doc = $doc:literal])+ $section:ident: $type:ty ),+ $(,)?) => {
        /// The whole configuration.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Config {
            /// The keys at the top.
            #[serde(flatten)]
            pub server: ServerSettings,
            $( $(#[doc = $doc])+ pub $section: $type, )+
        }

        /// Every section with its keys, in the order of the documentation.
        #[must_use]
        pub fn sections() -> Vec<SectionDoc> {
            vec![
                ServerSettings::documentation(""),
                $( <$type>::documentation(stringify!($section)), )+
            ]
        }
    };
}

config! {
    /// `[tls]`
    tls: TlsSettings,
    /// `[storage]`
    storage: StorageSettings,
    /// `[connections]`
    connections: ConnectionSettings,
    /// `[rate_limits]`
    rate_limits: RateLimitSettings,
    /// `[registration]`
    registration: RegistrationSettings,
    /// `[passwords]`
    passwords: PasswordSettings,
    /// `[sessions]`
    sessions: SessionSettings,
    /// `[profiles]`
    profiles: ProfileSettings,
    /// `[mail]`
    mail: MailSettings,
    /// `[oauth]`
    oauth: OauthSettings,
    /// `[rooms]`
    rooms: RoomSettings,
    /// `[application_services]`
    application_services: ApplicationServiceSettings,
    /// `[federation]`
    federation: FederationSettings,
    /// `[media]`
    media: MediaSettings,
    /// `[presence]`
    presence: PresenceSettings,
    /// `[calls]`
    calls: CallSettings,
    /// `[well_known]`
    well_known: WellKnownSettings,
    /// `[metrics]`
    metrics: MetricsSettings,
    /// `[log]`
    log: LogSettings,
}

/// The fields of the table that a key holds, if it holds one.
fn fields_of(section: &SectionDoc, key: &KeyDoc) -> Vec<KeyDoc> {
    let path = path_of(section, key);
    let table = tables().into_iter().find(|table| table.name == path);
    table.map(|table| table.keys).unwrap_or_default()
}

/// A key with its section, as in `storage.cache_mib`.
fn path_of(section: &SectionDoc, key: &KeyDoc) -> String {
    match section.name {
        "" => key.name.to_owned(),
        name => format!("{name}.{}", key.name),
    }
}

/// The configuration as a commented TOML file: every key with its documentation; keys at their default
/// are commented out.
#[must_use]
pub fn as_toml(config: &Config) -> String {
    let values = toml::Value::try_from(config).ok();
    let mut out = String::new();
    for section in sections() {
        if !section.name.is_empty() {
            out.push('\n');
        }
        for line in &section.doc {
            out.push_str(&format!("# {line}\n"));
        }
        if !section.name.is_empty() {
            out.push_str(&format!("[{}]\n", section.name));
        }
        let table = match section.name {
            "" => values.as_ref(),
            name => values.as_ref().and_then(|all| all.get(name)),
        };
        for key in &section.keys {
            out.push('\n');
            for line in &key.doc {
                out.push_str(&format!("# {line}\n"));
            }
            for field in fields_of(&section, key) {
                let default = field.default.as_ref().map(|it| format!(" ({it})"));
                let (name, default) = (field.name, default.unwrap_or_default());
                out.push_str(&format!("# - {name}{default}: {}\n", field.doc.join(" ")));
            }
            let value = table.and_then(|table| table.get(key.name));
            let is_default = value == key.default.as_ref();
            let shown = value.map_or_else(|| "…".to_owned(), toml::Value::to_string);
            let comment = if is_default { "# " } else { "" };
            out.push_str(&format!("{comment}{} = {shown}\n", key.name));
        }
    }
    out
}

/// The reference `docs/configuration.md`.
#[must_use]
pub fn as_markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Generated from `schema/src/config/` by `pli-homeserver config --markdown`; a test \
         checks that it is fresh.\n\n\
         One TOML file (`--config FILE` or `PLI_CONFIG`), every key optional. The environment overrides \
         the file: `PLI_SERVER_NAME`, `PLI_REGISTRATION__ENABLED` (two underscores between section and \
         key). Flags override the environment: `--set registration.enabled=false`. Where a key holds a \
         table, its fields are set like keys: `PLI_MAIL__SMTP__HOST`, `--set mail.smtp.port=465`, or all \
         at once: `--set 'mail.smtp={ host = \"smtp.example.org\", port = 465 }'`. Unknown keys are \
         errors. `kill -HUP` reads the file again; the keys marked *reload* take effect then, the others \
         at the next start.\n",
    );
    for section in sections() {
        let title = if section.name.is_empty() {
            "At the top".to_owned()
        } else {
            format!("`[{}]`", section.name)
        };
        out.push_str(&format!("\n## {title}\n\n{}\n\n", section.doc.join(" ")));
        out.push_str("| Key | Default | Meaning |\n|---|---|---|\n");
        for key in &section.keys {
            let fields = fields_of(&section, key);
            let default = match &key.default {
                None => "–".to_owned(),
                Some(_) if !fields.is_empty() => String::new(),
                Some(value) => format!("`{value}`"),
            };
            out.push_str(&row(key.name, &default, &key.doc));
            for field in fields {
                let default = field.default.map_or_else(|| "–".into(), |it| format!("`{it}`"));
                out.push_str(&row(&format!("{}.{}", key.name, field.name), &default, &field.doc));
            }
        }
    }
    out
}

fn row(name: &str, default: &str, doc: &[&str]) -> String {
    format!("| `{name}` | {default} | {} |\n", doc.join(" ").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_80_keys_each_documented() {
        let keys: usize = sections().iter().map(|section| section.keys.len()).sum();
        assert!(keys <= 80, "{keys} keys");
        for section in sections() {
            assert!(!section.doc.is_empty());
            for key in section.keys {
                assert!(key.doc.join(" ").len() > 10, "{} is not documented", key.name);
            }
        }
    }

    #[test]
    fn a_key_says_that_it_is_a_table_and_a_table_belongs_to_a_key() {
        let tables = tables();
        let mut found = Vec::new();
        for section in sections() {
            for key in &section.keys {
                let path = path_of(&section, key);
                let says = key.doc.last().is_some_and(|line| line.ends_with("of:"));
                let is_table = tables.iter().any(|table| table.name == path);
                assert_eq!(says, is_table, "{path}");
                found.extend(is_table.then_some(path));
            }
        }
        assert_eq!(found.len(), tables.len(), "{found:?}");
    }

    #[test]
    fn what_is_printed_can_be_read() {
        let mut config = Config::default();
        config.server.server_name = "example.org".into();
        config.storage.durability = Durability::Relaxed;
        let printed = as_toml(&config);
        let read = load(Some(&printed), &[], &[]).unwrap();
        assert_eq!(read, config);
        let all: String = as_toml(&Config::default())
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") && !rest.contains('…') => rest.to_owned(),
                _ => line.to_owned(),
            })
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(load(Some(&all), &[], &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_reference_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        if std::env::var_os("PLI_BLESS").is_some() {
            std::fs::write(path, as_markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == as_markdown(),
            "docs/configuration.md is stale: PLI_BLESS=1 cargo test -p pli-schema the_reference_is_fresh"
        );
    }
}
