//! From a server name or a session to a connected client.

use std::path::Path;
use std::time::Duration;

use matrix_sdk::config::RequestConfig;
use matrix_sdk::encryption::{BackupDownloadStrategy, EncryptionSettings};
use matrix_sdk::ruma::UserId;
use matrix_sdk::store::RoomLoadSettings;
use matrix_sdk::{Client, ClientBuilder, SqliteStoreConfig};
use url::{Host, Url};

use crate::error::{CliError, Result};
use crate::profile::{Profile, make_private};
use crate::secret::random_string;
use crate::session::{Session, StoreKey};
use crate::text::messages::Msg;

/// The server of a fresh `pli-homeserver` on this machine.
pub const DEFAULT_HOMESERVER: &str = "http://localhost:8008";
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is tried before the server counts as unreachable.
const REQUEST_RETRIES: usize = 4;
/// How long to wait for another `pli` on the same profile, between two tries at most.
const STORE_LOCK_BACKOFF_MAX_MS: u32 = 8_000;

/// Connects to a server without a session: to register or to sign in.
///
/// `server` is a URL, a server name, or nothing for the default; a user ID that names its server
/// is used when no server is given.
///
/// # Errors
/// A name that is none, a server that does not answer.
pub async fn connect(
    server: Option<&str>,
    user: Option<&str>,
    profile: &Profile,
    store_key: &StoreKey,
) -> Result<Client> {
    let from_user = user.and_then(|user| UserId::parse(user).ok());
    let server = match (server, &from_user) {
        (Some(server), _) => server.to_owned(),
        (None, Some(user)) => user.server_name().to_string(),
        (None, None) => DEFAULT_HOMESERVER.to_owned(),
    };
    profile.create()?;
    let url = server_url(&server)?;
    let builder = builder(profile, store_key);
    let client = builder.server_name_or_homeserver_url(url.as_str()).build().await?;
    // Asks the server once, so that a wrong address is told before the questions begin.
    client.server_versions().await?;
    Ok(client)
}

/// Continues the session of a profile.
///
/// # Errors
/// No session, or a store that cannot be opened.
pub async fn resume(profile: &Profile) -> Result<Client> {
    let session = Session::load(profile)?;
    let client = builder(profile, &session.store_key)
        .homeserver_url(session.homeserver.as_str())
        .build()
        .await?;
    client.matrix_auth().restore_session(session.to_sdk(), RoomLoadSettings::default()).await?;
    make_private(&profile.store_dir())?;
    share_store(&client).await?;
    Ok(client)
}

/// Lets several `pli` work on one profile: they take turns with the keys.
///
/// # Errors
/// When the store refuses.
pub async fn share_store(client: &Client) -> Result<()> {
    let holder = format!("pli-{}-{}", std::process::id(), random_string(8));
    Ok(client.encryption().enable_cross_process_store_lock(holder).await?)
}

/// Takes this profile's turn; it is given back when the guard is dropped.
///
/// # Errors
/// `Timeout` when another process holds the turn for too long.
pub async fn turn(client: &Client) -> Result<impl Drop + use<>> {
    match client.encryption().spin_lock_store(Some(STORE_LOCK_BACKOFF_MAX_MS)).await {
        Ok(guard) => guard.ok_or(CliError::Other("the store has no lock".to_owned())),
        Err(matrix_sdk::Error::CrossProcessLockError(_)) => {
            Err(CliError::Timeout(Msg::ErrTimeoutStore))
        }
        Err(error) => Err(error.into()),
    }
}

fn builder(profile: &Profile, store_key: &StoreKey) -> ClientBuilder {
    let requests = RequestConfig::new().timeout(REQUEST_TIMEOUT).retry_limit(REQUEST_RETRIES);
    let store = SqliteStoreConfig::new(profile.store_dir()).key(Some(store_key));
    Client::builder()
        .sqlite_store_with_config_and_cache_path(store, None::<&Path>)
        .user_agent(concat!("pli/", env!("CARGO_PKG_VERSION")))
        .request_config(requests)
        // A login answer could send later requests, and the token, to another host.
        .respect_login_well_known(false)
        .with_encryption_settings(EncryptionSettings {
            auto_enable_cross_signing: false,
            auto_enable_backups: false,
            backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
        })
}

/// Completes a server name: `https://` for the world, `http://` for this machine only.
///
/// # Errors
/// What is neither a name nor an http(s) URL.
pub fn server_url(server: &str) -> Result<Url> {
    let bad = || CliError::Usage(Msg::UsageBadServer, vec![server.to_owned()]);
    let text = server.trim();
    let has_scheme = text.contains("://");
    let mut url =
        if has_scheme { Url::parse(text) } else { Url::parse(&format!("https://{text}")) }
            .map_err(|_| bad())?;
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if !has_scheme && local {
        url = Url::parse(&format!("http://{text}")).map_err(|_| bad())?;
    }
    let web = matches!(url.scheme(), "http" | "https");
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if web && bare && url.host().is_some() { Ok(url) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_urls() {
        let url = |text: &str| server_url(text).map(String::from).ok();
        assert_eq!(url("pli.example").as_deref(), Some("https://pli.example/"));
        assert_eq!(url("localhost:8008").as_deref(), Some("http://localhost:8008/"));
        assert_eq!(url("127.0.0.1:8448").as_deref(), Some("http://127.0.0.1:8448/"));
        assert_eq!(url("[::1]:8008").as_deref(), Some("http://[::1]:8008/"));
        assert_eq!(url("https://localhost:8448").as_deref(), Some("https://localhost:8448/"));
        assert_eq!(url(" http://10.0.0.1:8008 ").as_deref(), Some("http://10.0.0.1:8008/"));
        for bad in ["", "ftp://x", "a b", "https://user:pw@x", "https://", "x?y=z"] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }
}
