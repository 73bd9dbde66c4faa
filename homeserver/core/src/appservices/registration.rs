//! Registration files: what the administrator lets an application service do.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#registration>

use regex::{Regex, RegexBuilder};
use ruma::{OwnedUserId, ServerName, UserId};
use serde::Deserialize;
use url::Url;

use super::{Appservice, Token};

/// Largest registration file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Namespaces of one kind in one file.
const NAMESPACES_MAX: usize = 1_000;
/// Memory of one compiled expression, in bytes.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

/// A registration file that was read.
#[derive(Clone, Debug)]
pub struct RegistrationFile {
    /// Its name, for messages.
    pub name: String,
    /// Its text, YAML. It holds tokens.
    pub text: RegistrationText,
}

/// The text of a registration file; never shown.
#[derive(Clone)]
pub struct RegistrationText(pub String);

impl std::fmt::Debug for RegistrationText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RegistrationText")
    }
}

/// Why a registration cannot be used. The text is for the administrator and holds no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("application service registration {file}: {problem}")]
pub struct RegistrationError {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub problem: String,
}

/// A set of ids that an application service takes care of.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// Nobody else may make what is in it.
    pub exclusive: bool,
    regex: Regex,
}

impl Namespace {
    /// Whether an id is in it. The expression must match from the first character on.
    #[must_use]
    pub fn covers(&self, id: &str) -> bool {
        self.regex.is_match(id)
    }
}

#[derive(Deserialize)]
struct File {
    id: String,
    #[serde(default)]
    url: Option<String>,
    as_token: String,
    hs_token: String,
    sender_localpart: String,
    #[serde(default)]
    namespaces: Option<Namespaces>,
    #[serde(default)]
    rate_limited: Option<bool>,
    #[serde(default)]
    protocols: Option<Vec<String>>,
    #[serde(default)]
    receive_ephemeral: Option<bool>,
    // As bridges write it for older servers.
    #[serde(default, rename = "de.sorunome.msc2409.push_ephemeral")]
    push_ephemeral: Option<bool>,
    #[serde(default, rename = "org.matrix.msc3202")]
    device_lists: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Namespaces {
    #[serde(default)]
    users: Option<Vec<NamespaceEntry>>,
    #[serde(default)]
    aliases: Option<Vec<NamespaceEntry>>,
    #[serde(default)]
    rooms: Option<Vec<NamespaceEntry>>,
}

#[derive(Deserialize)]
struct NamespaceEntry {
    #[serde(default)]
    exclusive: bool,
    regex: String,
}

/// The application service of a file.
///
/// # Errors
/// [`RegistrationError`].
pub(super) fn parse(
    file: &RegistrationFile,
    server_name: &ServerName,
) -> Result<Appservice, RegistrationError> {
    let wrong = |problem: String| RegistrationError { file: file.name.clone(), problem };
    if file.text.0.len() > FILE_BYTES_MAX {
        return Err(wrong("it is larger than 1 MiB".to_owned()));
    }
    // What the parser says may quote the file, tokens included: only the place is told.
    let read: File = serde_saphyr::from_str(&file.text.0)
        .map_err(|error| wrong(format!("it is not the YAML of a registration{}", place(&error))))?;
    check_texts(&read).map_err(wrong)?;
    let namespaces = read.namespaces.unwrap_or_default();
    let [users, aliases, rooms] = [namespaces.users, namespaces.aliases, namespaces.rooms]
        .map(|entries| compiled(entries.unwrap_or_default()));
    Ok(Appservice {
        url: service_url(read.url.as_deref()).map_err(wrong)?,
        sender: sender(&read.sender_localpart, server_name).map_err(wrong)?,
        users: users.map_err(wrong)?,
        aliases: aliases.map_err(wrong)?,
        rooms: rooms.map_err(wrong)?,
        id: read.id.into(),
        as_token: Token(read.as_token),
        hs_token: Token(read.hs_token),
        server_name: server_name.to_owned(),
        rate_limited: read.rate_limited.unwrap_or(true),
        protocols: read.protocols.unwrap_or_default(),
        wants_ephemeral: read.receive_ephemeral.or(read.push_ephemeral).unwrap_or(false),
        wants_device_lists: read.device_lists.unwrap_or(false),
        retry: Default::default(),
    })
}

fn place(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(location) => format!(" (line {})", location.line()),
        None => String::new(),
    }
}

fn check_texts(read: &File) -> Result<(), String> {
    for (name, text) in
        [("id", &read.id), ("as_token", &read.as_token), ("hs_token", &read.hs_token)]
    {
        let fits = (1..=255).contains(&text.len());
        if !fits || text.chars().any(|c| c.is_control() || c.is_whitespace()) && name != "id" {
            return Err(format!("`{name}` must have 1 to 255 characters and no blanks"));
        }
    }
    if !read.hs_token.is_ascii() || !read.as_token.is_ascii() {
        return Err("the tokens must be ASCII".to_owned());
    }
    Ok(())
}

/// Where the service is reached; `None` if it wants no traffic.
fn service_url(url: Option<&str>) -> Result<Option<Url>, String> {
    let Some(url) = url.map(str::trim).filter(|url| !url.is_empty() && *url != "null") else {
        return Ok(None);
    };
    let parsed = Url::parse(url).map_err(|_| "`url` is not an address".to_owned())?;
    let plain = parsed.username().is_empty()
        && parsed.password().is_none()
        && parsed.query().is_none()
        && parsed.fragment().is_none();
    if !matches!(parsed.scheme(), "http" | "https") || parsed.cannot_be_a_base() || !plain {
        return Err("`url` must be an http or https address without password and query".to_owned());
    }
    Ok(Some(parsed))
}

fn sender(localpart: &str, server_name: &ServerName) -> Result<OwnedUserId, String> {
    UserId::parse(format!("@{localpart}:{server_name}"))
        .ok()
        .filter(|user_id| user_id.localpart() == localpart && !localpart.is_empty())
        .ok_or_else(|| "`sender_localpart` is not the local part of a user id".to_owned())
}

fn compiled(entries: Vec<NamespaceEntry>) -> Result<Vec<Namespace>, String> {
    if entries.len() > NAMESPACES_MAX {
        return Err("it has too many namespaces".to_owned());
    }
    let compile = |entry: NamespaceEntry| {
        let anchored = format!("^(?:{})", entry.regex);
        let regex = RegexBuilder::new(&anchored)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|_| format!("`{}` is not a regular expression", entry.regex))?;
        Ok(Namespace { exclusive: entry.exclusive, regex })
    };
    entries.into_iter().map(compile).collect()
}
