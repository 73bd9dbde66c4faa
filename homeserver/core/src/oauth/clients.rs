//! Clients register themselves (RFC 7591).
//!
//! The id of a client is the hash of its metadata: whoever registers the same again gets the same id,
//! so a million people with one application make one row.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-registration>

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pli_schema::{
    Language,
    records::oauth::{OauthClientKey, OauthClientRecord, OauthUnusedClientKey},
};
use pli_store::{Scan, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Oauth, OauthError, OauthResult,
    redirects::{ApplicationType, client_uri, is_below_client, may_register},
};
use crate::Error;

/// The grant types that there are.
pub const GRANT_TYPES: [&str; 3] =
    ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"];

/// Redirect URIs of a client, at most.
const REDIRECT_URIS: usize = 20;
/// Bytes of a URI, at most.
const URI_BYTES: usize = 2_048;
/// Characters of a name, at most.
const NAME_CHARS: usize = 128;
/// New clients in a day, at most. Those that are known cost nothing.
const NEW_PER_DAY: u32 = 20_000;
/// How long a client is kept that never had a session.
const UNUSED_LIFETIME_MS: u64 = 24 * 3_600_000;
/// Old clients that are removed with each registration.
const REMOVED_AT_ONCE: usize = 16;

/// What a client says of itself, as far as this server keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Metadata {
    client_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(rename = "client_name#en", skip_serializing_if = "Option::is_none")]
    client_name_en: Option<String>,
    #[serde(rename = "client_name#fr", skip_serializing_if = "Option::is_none")]
    client_name_fr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_uri: Option<String>,
    redirect_uris: Vec<String>,
    response_types: Vec<String>,
    grant_types: Vec<String>,
    token_endpoint_auth_method: String,
    application_type: ApplicationType,
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub client_id: String,
    metadata: Metadata,
}

impl Client {
    /// Where it may have browsers sent.
    #[must_use]
    pub fn redirect_uris(&self) -> &[String] {
        &self.metadata.redirect_uris
    }

    /// The host of its page: what can be believed of it.
    #[must_use]
    pub fn host(&self) -> String {
        let url = client_uri(&self.metadata.client_uri);
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Its page.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.metadata.client_uri
    }

    /// What it calls itself; its host where it has no name.
    #[must_use]
    pub fn name(&self, language: Language) -> String {
        let localized = match language {
            Language::Fr => &self.metadata.client_name_fr,
            Language::En => &self.metadata.client_name_en,
        };
        localized
            .clone()
            .or_else(|| self.metadata.client_name.clone())
            .unwrap_or_else(|| self.host())
    }

    /// Its terms of service and its privacy policy.
    #[must_use]
    pub fn documents(&self) -> (Option<&str>, Option<&str>) {
        (self.metadata.tos_uri.as_deref(), self.metadata.policy_uri.as_deref())
    }

    /// Whether it has registered for a grant.
    #[must_use]
    pub fn may_use(&self, grant_type: &str) -> bool {
        self.metadata.grant_types.iter().any(|known| known == grant_type)
    }

    /// The answer to its registration.
    ///
    /// # Errors
    /// [`Error::Bug`] if it cannot be serialized.
    pub fn answer(&self) -> Result<Value, Error> {
        let mut answer = serde_json::to_value(&self.metadata)
            .map_err(|error| Error::Bug(format!("metadata of a client: {error}")))?;
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("client_id".to_owned(), self.client_id.clone().into());
        }
        Ok(answer)
    }
}

impl Oauth {
    /// Registers a client, or finds it if it has registered with the same metadata before.
    ///
    /// # Errors
    /// [`OauthError::InvalidClientMetadata`], [`OauthError::InvalidRedirectUri`];
    /// [`Error::LimitExceeded`] if too many new clients came in a day.
    pub async fn register_client(&self, given: &Map<String, Value>) -> OauthResult<Client> {
        let metadata = checked(given)?;
        let json = serde_json::to_string(&metadata)
            .map_err(|error| Error::Bug(format!("metadata of a client: {error}")))?;
        let digest = Sha256::digest(json.as_bytes());
        let client_id = URL_SAFE_NO_PAD.encode(digest.get(..18).unwrap_or_default());
        let key = &OauthClientKey { client_id: client_id.clone() };
        if self.store.get(key).await?.is_none() {
            self.accounts.spend("new clients", NEW_PER_DAY, 24 * 3_600_000)?;
            let created_ms = self.clock.now_ms();
            let record = &OauthClientRecord { metadata_json: json, created_ms, used: false };
            self.store
                .write(|tx| async move {
                    if tx.get(key).await?.is_none() {
                        tx.put(key, record)?;
                        let client_id = key.client_id.clone();
                        tx.put(&OauthUnusedClientKey { created_ms, client_id }, &())?;
                        self.remove_unused(&tx).await?;
                    }
                    Ok::<_, Error>(())
                })
                .await?;
        }
        Ok(Client { client_id, metadata })
    }

    /// Removes some of the clients that never had a session.
    async fn remove_unused(&self, tx: &Tx) -> Result<(), Error> {
        let before = self.clock.now_ms().saturating_sub(UNUSED_LIFETIME_MS);
        let oldest = Scan::<OauthUnusedClientKey>::prefix(()).limit(REMOVED_AT_ONCE);
        for row in tx.scan(&oldest).await? {
            if row.key.created_ms < before {
                tx.delete(&OauthClientKey { client_id: row.key.client_id.clone() });
                tx.delete(&row.key);
            }
        }
        Ok(())
    }

    /// A client.
    ///
    /// # Errors
    /// [`OauthError::InvalidClient`] if there is none.
    pub async fn client(&self, client_id: &str) -> OauthResult<Client> {
        if client_id.len() > 64 {
            return Err(OauthError::InvalidClient);
        }
        let key = OauthClientKey { client_id: client_id.to_owned() };
        let record = self.store.get(&key).await?.ok_or(OauthError::InvalidClient)?;
        let metadata = serde_json::from_str(&record.metadata_json)
            .map_err(|error| Error::Bug(format!("metadata of a client: {error}")))?;
        Ok(Client { client_id: key.client_id, metadata })
    }
}

fn invalid<T>(why: &'static str) -> OauthResult<T> {
    Err(OauthError::InvalidClientMetadata(why))
}

/// A text; empty ones count as absent.
fn text(given: &Map<String, Value>, name: &str) -> OauthResult<Option<String>> {
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= URI_BYTES => {
            Ok(Some(text.clone()).filter(|text| !text.is_empty()))
        }
        Some(_) => invalid("A text is expected, of at most 2048 bytes"),
    }
}

fn texts(given: &Map<String, Value>, name: &str) -> OauthResult<Option<Vec<String>>> {
    let wrong = || invalid("A list of texts is expected");
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) if items.len() <= 100 => {
            let read = |item: &Value| item.as_str().map(str::to_owned);
            items.iter().map(read).collect::<Option<Vec<_>>>().map_or_else(wrong, |it| Ok(Some(it)))
        }
        Some(_) => wrong(),
    }
}

fn name(given: &Map<String, Value>, key: &str) -> OauthResult<Option<String>> {
    let name = text(given, key)?;
    let odd = |c: char| {
        c.is_control()
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    if name.as_ref().is_some_and(|it| it.chars().count() > NAME_CHARS || it.chars().any(odd)) {
        return invalid("A name has at most 128 characters, none of them a control character");
    }
    Ok(name)
}

/// A page below the client's own.
fn page(given: &Map<String, Value>, key: &str, client: &Url) -> OauthResult<Option<String>> {
    let page = text(given, key)?;
    if page.as_ref().is_some_and(|page| !is_below_client(page, client)) {
        return invalid("Addresses must be HTTPS on the host of client_uri or below it");
    }
    Ok(page)
}

/// What is known of the metadata, if it is valid. The rest is left out.
fn checked(given: &Map<String, Value>) -> OauthResult<Metadata> {
    let Some(uri) = text(given, "client_uri")? else {
        return invalid("client_uri is missing");
    };
    let Some(client) = client_uri(&uri) else {
        return invalid("client_uri must be an HTTPS address");
    };
    let application_type = match text(given, "application_type")?.as_deref() {
        None | Some("web") => ApplicationType::Web,
        Some("native") => ApplicationType::Native,
        Some(_) => return invalid("application_type is web or native"),
    };
    if !matches!(text(given, "token_endpoint_auth_method")?.as_deref(), None | Some("none")) {
        return invalid("token_endpoint_auth_method must be none");
    }
    let known = |list: Option<Vec<String>>, default: &str, known: &[&str]| {
        let list = list.unwrap_or_else(|| vec![default.to_owned()]);
        let in_list = |value: &&&str| list.iter().any(|given| given == **value);
        known.iter().filter(in_list).map(|value| (*value).to_owned()).collect::<Vec<_>>()
    };
    let grant_types = known(texts(given, "grant_types")?, "authorization_code", &GRANT_TYPES);
    let response_types = known(texts(given, "response_types")?, "code", &["code"]);
    if grant_types.iter().all(|grant| grant == "refresh_token") {
        return invalid("None of the grant types is known");
    }
    let redirect_uris = texts(given, "redirect_uris")?.unwrap_or_default();
    let uris_ok = redirect_uris.len() <= REDIRECT_URIS
        && redirect_uris
            .iter()
            .all(|uri| uri.len() <= URI_BYTES && may_register(uri, application_type, &client));
    let needs_one = grant_types.iter().any(|grant| grant == "authorization_code");
    if !uris_ok || (needs_one && redirect_uris.is_empty()) {
        return Err(OauthError::InvalidRedirectUri("A redirect URI is missing or not allowed"));
    }
    if needs_one && response_types.is_empty() {
        return invalid("response_types must have code");
    }
    Ok(Metadata {
        client_name: name(given, "client_name")?,
        client_name_en: name(given, "client_name#en")?,
        client_name_fr: name(given, "client_name#fr")?,
        logo_uri: page(given, "logo_uri", &client)?,
        tos_uri: page(given, "tos_uri", &client)?,
        policy_uri: page(given, "policy_uri", &client)?,
        client_uri: uri,
        redirect_uris,
        response_types,
        grant_types,
        token_endpoint_auth_method: "none".to_owned(),
        application_type,
    })
}
