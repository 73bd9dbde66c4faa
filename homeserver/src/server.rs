//! The server in this process: opened, listening, stopped.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use pli_api::{
    AppState,
    assemble::{Parts, assemble},
    request::RequestLayer,
    serve, whole,
};
use pli_core::{Appservices, Clock, Random, Store, StoreError};
use pli_schema::config::{Config, Durability};
use pli_store::{OpenOptions, Opened, Progress};
use ruma::{OwnedServerName, ServerName};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{control, data_dir::DataDir, data_dir::DataDirError, registrations};

/// Why the server cannot start. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error("{0}")]
    Setting(String),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The control socket.
    #[error("the control socket in the data directory: {0}")]
    Control(std::io::Error),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] serve::TlsError),
    /// The core.
    #[error(transparent)]
    Core(#[from] pli_core::Error),
}

/// What a server needs besides its configuration.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The clock.
    pub clock: Clock,
    /// The random generator.
    pub random: Random,
}

impl Surroundings {
    /// The machine's clock and generator.
    #[must_use]
    pub fn of_the_machine() -> Self {
        Self { clock: Clock::system(), random: Random::from_os() }
    }
}

/// A running server.
pub struct Server {
    /// What the handlers see.
    pub state: AppState,
    /// The addresses it listens on.
    pub addresses: Vec<SocketAddr>,
    /// The TLS of its listener.
    pub tls: Option<serve::Tls>,
    /// The TLS of its listener for other servers.
    pub federation_tls: Option<serve::Tls>,
    /// The store was made just now.
    pub is_new: bool,
    store: Store,
    stop: CancellationToken,
    listening: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
}

/// How long work behind the requests may take to end.
const BACKGROUND_END: Duration = Duration::from_secs(1);

impl Server {
    /// Opens the data directory and listens.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(
        config: Config,
        surroundings: Surroundings,
        progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Self, StartError> {
        let server_name = server_name(&config)?;
        let dir = DataDir::at(&config.server.data_dir);
        dir.create()?;
        let (store, opened) = open_store(&config, &dir, progress).await?;
        let server = Self::start_on(store, opened, config, server_name, dir.clone(), surroundings);
        let server = server.await?;
        control::serve(dir.control_socket(), server.store.clone(), server.stop.clone())
            .await
            .map_err(StartError::Control)?;
        Ok(server)
    }

    /// Listens, on a store that is open.
    async fn start_on(
        store: Store,
        opened: Opened,
        config: Config,
        server_name: OwnedServerName,
        dir: DataDir,
        surroundings: Surroundings,
    ) -> Result<Self, StartError> {
        let Surroundings { clock, random } = surroundings;
        let signing_key = Arc::new(dir.load_or_make_signing_key(&random)?);
        let old_keys = dir.old_signing_keys(&signing_key)?;
        let tls = tls(&config)?;
        let federation_tls = federation_tls(&config, tls.as_ref())?;
        let trusted_proxies = trusted_proxies(&config)?;
        let listeners = listen(&config.server.listen.0).await?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let base_url = base_url(&config, tls.is_some(), addresses.first());
        let federation_listeners = federation_listeners(&config).await?;
        let config = Arc::new(config);
        let appservices = appservices(&config, &server_name)?;
        let assembled = assemble(Parts {
            store: store.clone(),
            clock,
            random: random.clone(),
            signing_key,
            old_keys,
            server_name,
            base_url,
            data_dir: dir.path().to_owned(),
            config: config.clone(),
            appservices: appservices.clone(),
        })?;
        let state = assembled.state;
        let mut first_id = [0_u8; 8];
        random.fill(&mut first_id);
        let layer = RequestLayer::new(
            state.rate_limits.clone(),
            trusted_proxies,
            u64::from_be_bytes(first_id),
        )
        .with_appservices(appservices);
        let stop = state.stopping.0.clone();
        let service = whole::service(state.clone(), layer.clone());
        let mut background: Vec<_> = assembled.background.into_iter().map(tokio::spawn).collect();
        let connections = config.connections.clone();
        if let Some(tls) = &federation_tls {
            let service = whole::federation_service(state.clone(), layer);
            let (settings, tls) = (connections.clone(), Some(tls.clone()));
            let serving = serve::serve(federation_listeners, service, settings, tls, stop.clone());
            background.push(tokio::spawn(serving));
        }
        let listening =
            tokio::spawn(serve::serve(listeners, service, connections, tls.clone(), stop.clone()));
        let is_new = opened.is_new;
        Ok(Self {
            state,
            addresses,
            tls,
            federation_tls,
            is_new,
            store,
            stop,
            listening,
            background,
        })
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The token that is cancelled when the server is to stop.
    #[must_use]
    pub const fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Stops: no new connections, requests under way end, the store is flushed and closed.
    ///
    /// # Errors
    /// [`StartError::Store`] if the store cannot be closed; what was acknowledged is on disk anyway.
    pub async fn stop(self) -> Result<(), StartError> {
        self.stop.cancel();
        if let Err(error) = self.listening.await {
            tracing::warn!(%error, "the listener");
        }
        for mut task in self.background {
            if tokio::time::timeout(BACKGROUND_END, &mut task).await.is_err() {
                task.abort();
            }
        }
        self.store.close().await?;
        Ok(())
    }
}

/// Opens the store of a data directory.
///
/// # Errors
/// [`StartError::Store`].
pub async fn open_store(
    config: &Config,
    dir: &DataDir,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<(Store, Opened), StartError> {
    let options = OpenOptions {
        dir: dir.store(),
        server_name: config.server.server_name.clone(),
        durability: match config.storage.durability {
            Durability::Sync => pli_store::Durability::Sync,
            Durability::Relaxed => pli_store::Durability::Relaxed,
        },
        cache_bytes: config.storage.cache_mib.saturating_mul(1024 * 1024),
    };
    Ok(Store::open_with(options, progress).await?)
}

fn server_name(config: &Config) -> Result<OwnedServerName, StartError> {
    let name = &config.server.server_name;
    OwnedServerName::try_from(name.as_str())
        .map_err(|_| StartError::Setting(format!("`{name}` cannot be the name of a server")))
}

/// The application services of the directory that the configuration names.
fn appservices(config: &Config, server_name: &ServerName) -> Result<Appservices, StartError> {
    let Some(directory) = &config.application_services.directory else {
        return Ok(Appservices::default());
    };
    let files = registrations::read(Path::new(directory)).map_err(StartError::Setting)?;
    Appservices::new(&files, server_name).map_err(|error| StartError::Setting(error.to_string()))
}

fn trusted_proxies(config: &Config) -> Result<Vec<IpAddr>, StartError> {
    let parse = |text: &String| {
        text.parse::<IpAddr>().map_err(|_| {
            StartError::Setting(format!("trusted_proxies: `{text}` is not an IP address"))
        })
    };
    config.server.trusted_proxies.iter().map(parse).collect()
}

fn tls(config: &Config) -> Result<Option<serve::Tls>, StartError> {
    match (&config.tls.certificate_file, &config.tls.private_key_file) {
        (Some(certificate), Some(key)) => {
            Ok(Some(serve::Tls::from_files(Path::new(certificate), Path::new(key))?))
        }
        (None, None) => Ok(None),
        _ => Err(StartError::Setting(
            "tls.certificate_file and tls.private_key_file belong together".to_owned(),
        )),
    }
}

/// The TLS of the listener for other servers, if there is such a listener.
fn federation_tls(
    config: &Config,
    tls: Option<&serve::Tls>,
) -> Result<Option<serve::Tls>, StartError> {
    let federation = &config.federation;
    if !federation.enabled || federation.listen.0.is_empty() {
        return Ok(None);
    }
    match (&federation.certificate_file, &federation.private_key_file, tls) {
        (Some(certificate), Some(key), _) => {
            Ok(Some(serve::Tls::from_files(Path::new(certificate), Path::new(key))?))
        }
        (None, None, Some(tls)) => Ok(Some(tls.clone())),
        _ => Err(StartError::Setting(
            "federation.listen needs federation.certificate_file and federation.private_key_file"
                .to_owned(),
        )),
    }
}

async fn federation_listeners(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    match config.federation.enabled && !config.federation.listen.0.is_empty() {
        true => listen(&config.federation.listen.0).await,
        false => Ok(Vec::new()),
    }
}

async fn listen(addresses: &[String]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| StartError::Listen { address: address.clone(), source })?;
        listeners.push(listener);
    }
    if listeners.is_empty() {
        return Err(StartError::Setting("`listen` names no address".to_owned()));
    }
    Ok(listeners)
}

/// Where clients reach the server, without a slash at the end.
fn base_url(config: &Config, is_tls: bool, address: Option<&SocketAddr>) -> String {
    if let Some(url) = &config.server.public_base_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if is_tls { "https" } else { "http" };
    match address {
        Some(address) if address.ip().is_unspecified() => {
            format!("{scheme}://localhost:{}", address.port())
        }
        Some(address) => format!("{scheme}://{address}"),
        None => format!("{scheme}://{}", config.server.server_name),
    }
}
