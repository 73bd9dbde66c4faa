//! Builds the core's structs from what the process has: the one place where they are put together.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;
use pli_core::{
    AccountData, Appservices, Clock, DelayedEvents, Filters, History, Invitations, Media, Notices,
    Notifier, Numbers, Oauth, Presence, Push, Random, Receipts, Rendezvous, Reports, Result, Rooms,
    Search, SigningKey, Store, Sweep, ThreadSubscriptions, Transactions, Typing, UserDirectory,
    accounts::{AccountSettings, Accounts, Secret},
    delayed_events::DelayLimits,
    encryption::Encryption,
    federation::{
        Backfill, Devices, DevicesParts, Edus, EdusParts, Inbound, KeyRing, Network, OldKey,
        Openness, OwnKeys, Partners, Queries, Readings, Remote, RemoteParts, RemoteRooms, Sender,
        SenderParts, Signed,
    },
    mail::Mailer,
    media::{MediaFiles, MediaSettings},
    outgoing::{Outgoing, Servers},
    policy::retention::Limits,
    previews::{PreviewSettings, Previews},
    rooms::{Retention, RoomSettings, RoomsParts},
    sync::{Sync, SyncParts},
    transactions::TransactionsParts,
};
use pli_schema::config::{Config, RetentionSettings};
use ruma::{OwnedRoomOrAliasId, OwnedServerName, OwnedServerSigningKeyId, RoomVersionId};

use crate::{
    AppState,
    health::measure_sending,
    rate_limits::RateLimits,
    sends::Sends,
    state::{ServerInfo, Stopping},
};

/// What the process has.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// The random generator.
    pub random: Random,
    /// The key with which this server signs.
    pub signing_key: Arc<SigningKey>,
    /// The keys with which it signed once.
    pub old_keys: BTreeMap<OwnedServerSigningKeyId, OldKey>,
    /// The server's name.
    pub server_name: OwnedServerName,
    /// Where clients reach it, without a slash at the end.
    pub base_url: String,
    /// The directory of everything the server keeps.
    pub data_dir: PathBuf,
    /// The configuration.
    pub config: Arc<Config>,
    /// The application services.
    pub appservices: Appservices,
}

/// The core, ready.
pub struct Assembled {
    /// What handlers see.
    pub state: AppState,
    /// Work behind the requests, to be run; each ends when [`Stopping`] is cancelled.
    pub background: Vec<BoxFuture<'static, ()>>,
}

/// Puts the core together.
///
/// # Errors
/// Those of the core's structs, for settings out of their bounds.
pub fn assemble(parts: Parts) -> Result<Assembled> {
    let config = &parts.config;
    let rooms = rooms(&parts)?;
    let accounts = accounts(&parts)?;
    let oauth = oauth(&parts, &accounts)?;
    let encryption =
        Encryption::new(parts.store.clone(), parts.clock.clone(), parts.server_name.clone())
            .federating(config.federation.enabled);
    let push = Push::new(
        rooms.clone(),
        parts.random.clone(),
        Outgoing::new(config.server.test_deployment.private_addresses)?,
    );
    let directory = UserDirectory::new(rooms.clone(), config.profiles.directory);
    let stopping = Stopping::default();
    let sync = sync_of(&rooms, &encryption, (&push, config.presence.enabled), &stopping);
    let delayed_events = delayed_events(&parts, &rooms);
    let invitations = Invitations::new(
        rooms.clone(),
        accounts.policy().clone(),
        parts.random.clone(),
        parts.base_url.clone(),
    );
    let signed = federation(&parts)?;
    let devices = devices(&parts, &rooms, (&encryption, &signed));
    let edus = edus((&sync, &signed), (&rooms, &encryption, &devices));
    let inbound = Inbound::new(rooms.clone(), signed.clone(), edus);
    let sender = sender(&parts, (&sync, &rooms), (&devices, &encryption, &signed));
    let media = media(&parts)?.with_remote(signed.remote().clone());
    let previews = previews(&parts, &media)?;
    let notices = Notices::new(rooms.clone(), accounts.clone(), sync.account_data().clone());
    let state = AppState {
        account_data: sync.account_data().clone(),
        accounts,
        backfill: Backfill::new(rooms.clone(), signed.clone()),
        delayed_events,
        devices,
        encryption,
        filters: sync.filters().clone(),
        inbound,
        history: sync.history().clone(),
        invitations,
        media,
        oauth,
        previews,
        notices,
        push,
        rate_limits: RateLimits::new(config),
        sender,
        sends: Sends::default(),
        receipts: sync.receipts().clone(),
        remote_rooms: RemoteRooms::new(rooms.clone(), signed.clone()),
        readings: Readings::new(rooms.clone()),
        reports: Reports::new(rooms.clone(), History::new(rooms.clone())),
        rendezvous: Rendezvous::new(parts.clock.clone(), parts.random.clone()),
        rooms,
        search: Search::new(sync.history().clone()),
        server: server_info(&parts),
        queries: Queries::new(&signed, parts.clock.clone()),
        signed,
        stopping,
        presence: sync.presence().clone(),
        thread_subscriptions: sync.thread_subscriptions().clone(),
        typing: sync.typing().clone(),
        user_directory: directory,
        sync,
    };
    let background = background(&parts, &state)?;
    Ok(Assembled { state, background })
}

/// Work behind the requests.
fn background(parts: &Parts, state: &AppState) -> Result<Vec<BoxFuture<'static, ()>>> {
    let stop = || state.stopping.0.clone();
    let mut background: Vec<BoxFuture<'static, ()>> = vec![
        Box::pin(state.delayed_events.clone().run(stop())),
        Box::pin(state.devices.clone().run(stop())),
        Box::pin(state.inbound.clone().run(stop())),
        Box::pin(state.invitations.clone().run(stop())),
        Box::pin(mailer(parts)?.run(stop())),
        Box::pin(state.push.clone().run(stop())),
        Box::pin(state.sender.clone().run(stop())),
        Box::pin(sweep(parts, state).run(stop())),
        Box::pin(state.sync.clone().run()),
        Box::pin(transactions(parts, state).run(stop())),
        Box::pin(state.user_directory.clone().run(stop())),
    ];
    background.extend(optional_work(&parts.config, state));
    Ok(background)
}

fn server_info(parts: &Parts) -> ServerInfo {
    ServerInfo {
        server_name: parts.server_name.clone(),
        base_url: parts.base_url.as_str().into(),
        config: parts.config.clone(),
    }
}

fn transactions(parts: &Parts, state: &AppState) -> Transactions {
    Transactions::new(TransactionsParts {
        appservices: parts.appservices.clone(),
        rooms: state.rooms.clone(),
        encryption: state.encryption.clone(),
        receipts: state.receipts.clone(),
        typing: state.typing.clone(),
        random: parts.random.clone(),
    })
}

fn sweep(parts: &Parts, state: &AppState) -> Sweep {
    let (store, clock) = (parts.store.clone(), parts.clock.clone());
    Sweep::new(store, clock, state.media.clone(), state.previews.clone(), state.reports.clone())
}

/// Work that the configuration switches on.
fn optional_work(config: &Config, state: &AppState) -> Vec<BoxFuture<'static, ()>> {
    let stop = &state.stopping.0;
    let mut work: Vec<BoxFuture<'static, ()>> = Vec::new();
    if config.registration.validity.is_some() {
        work.push(Box::pin(state.accounts.clone().run_validity(stop.clone())));
    }
    if let Some(settings) = &config.rooms.retention {
        let rooms = state.rooms.clone();
        work.push(Box::pin(rooms.run_retention(retention(settings), stop.clone())));
    }
    if config.federation.enabled {
        work.push(Box::pin(measure_sending(state.sender.clone(), stop.clone())));
    }
    if config.rooms.search {
        work.push(Box::pin(state.search.clone().run(stop.clone())));
    }
    work
}

/// The rooms as the configuration wants them.
fn rooms(parts: &Parts) -> Result<Rooms> {
    let config = &parts.config;
    let default_version = RoomVersionId::try_from(config.rooms.default_version.as_str())
        .ok()
        .filter(|version| version.rules().is_some())
        .ok_or_else(|| pli_core::Error::invalid_param("rooms.default_version is not known"))?;
    Ok(Rooms::new(RoomsParts {
        store: parts.store.clone(),
        numbers: Numbers::new(parts.store.clone()),
        clock: parts.clock.clone(),
        random: parts.random.clone(),
        signing_key: parts.signing_key.clone(),
        server_name: parts.server_name.clone(),
        settings: RoomSettings {
            default_version,
            creation_open: config.rooms.creation_open,
            tchap_room_rules: config.rooms.tchap_rules,
            accounts_expire: config.registration.validity.is_some(),
            external_rules: config.rooms.external_rules,
            last_admin_rule: config.rooms.last_admin_rule,
            policy_rooms: policy_rooms(config)?,
            display_names_locked: config.profiles.display_name_locked,
            appservices: parts.appservices.clone(),
            ..RoomSettings::default()
        },
    }))
}

/// A number of days; 0 is no bound.
fn days_ms(days: u32) -> Option<u64> {
    const DAY_MS: u64 = 24 * 3_600_000;
    (days > 0).then(|| u64::from(days).saturating_mul(DAY_MS))
}

/// How long messages are kept.
fn retention(settings: &RetentionSettings) -> Retention {
    let limits = Limits {
        default_ms: days_ms(settings.days_default),
        least_ms: days_ms(settings.days_min),
        most_ms: days_ms(settings.days_max),
    };
    Retention { limits, legal_hold: settings.legal_hold.clone() }
}

/// The rooms of `rooms.policy_rooms`.
fn policy_rooms(config: &Config) -> Result<Vec<OwnedRoomOrAliasId>> {
    let rooms = config.rooms.policy_rooms.iter().map(|room| {
        OwnedRoomOrAliasId::try_from(room.as_str()).map_err(|_| {
            let text = format!("rooms.policy_rooms: {room} is no room id and no alias");
            pli_core::Error::InvalidParam(text)
        })
    });
    rooms.collect()
}

fn accounts(parts: &Parts) -> Result<Accounts> {
    let config = &parts.config;
    let settings = AccountSettings {
        server_name: parts.server_name.clone(),
        base_url: parts.base_url.clone(),
        registration: config.registration.clone(),
        passwords: config.passwords.clone(),
        sessions: config.sessions.clone(),
        profiles: config.profiles.clone(),
        oauth: config.oauth.clone(),
        test_deployment: config.server.test_deployment.clone(),
        appservices: parts.appservices.clone(),
    };
    Accounts::new(parts.store.clone(), parts.clock.clone(), parts.random.clone(), settings)
}

fn delayed_events(parts: &Parts, rooms: &Rooms) -> DelayedEvents {
    let settings = &parts.config.rooms.delayed_events;
    let limits = DelayLimits {
        delay_max_ms: settings.max_ms,
        scheduled_max: usize::try_from(settings.per_user).unwrap_or(usize::MAX),
    };
    DelayedEvents::new(rooms.clone(), parts.random.clone(), limits)
}

/// The OAuth server; the secrets of its providers are read here, once.
fn oauth(parts: &Parts, accounts: &Accounts) -> Result<Oauth> {
    let mut secrets = Vec::new();
    for provider in &parts.config.oauth.providers {
        let Some(file) = &provider.client_secret_file else { continue };
        let text = std::fs::read_to_string(file).map_err(|error| {
            pli_core::Error::invalid_param(format!("oauth.providers: {file}: {error}"))
        })?;
        let secret = text.lines().next().unwrap_or_default().trim();
        secrets.push((provider.id.clone(), Secret::from(secret)));
    }
    let base = (parts.store.clone(), parts.clock.clone(), parts.random.clone());
    Oauth::new(base, accounts.clone(), &secrets)
}

fn mailer(parts: &Parts) -> Result<Mailer> {
    Mailer::new(
        parts.store.clone(),
        parts.clock.clone(),
        parts.random.clone(),
        &parts.config.mail,
        (parts.server_name.clone(), parts.base_url.clone(), parts.data_dir.join("mail")),
    )
}

/// Syncs with all they need.
fn sync_of(
    rooms: &Rooms,
    encryption: &Encryption,
    (push, presence_enabled): (&Push, bool),
    stopping: &Stopping,
) -> Sync {
    let store = rooms.store();
    let notifier = Notifier::new(rooms.clone());
    Sync::new(SyncParts {
        rooms: rooms.clone(),
        history: History::new(rooms.clone()),
        encryption: encryption.clone(),
        push: push.clone(),
        filters: Filters::new(store.clone()),
        account_data: AccountData::new(store.clone()),
        receipts: Receipts::new(rooms.clone()),
        presence: Presence::new(rooms.clone(), notifier.clone(), presence_enabled),
        thread_subscriptions: ThreadSubscriptions::new(rooms.clone(), push.clone()),
        typing: Typing::new(rooms.clone(), notifier.clone()),
        notifier,
        stopping: stopping.0.clone(),
    })
}

/// The devices of users of other servers.
fn devices(parts: &Parts, rooms: &Rooms, (encryption, signed): (&Encryption, &Signed)) -> Devices {
    Devices::new(DevicesParts {
        rooms: rooms.clone(),
        encryption: encryption.clone(),
        signed: signed.clone(),
        random: parts.random.clone(),
    })
}

/// What takes what other servers tell.
fn edus(
    (sync, signed): (&Sync, &Signed),
    (rooms, encryption, devices): (&Rooms, &Encryption, &Devices),
) -> Edus {
    Edus::new(EdusParts {
        rooms: rooms.clone(),
        typing: sync.typing().clone(),
        receipts: sync.receipts().clone(),
        presence: sync.presence().clone(),
        partners: signed.partners().clone(),
        encryption: encryption.clone(),
        devices: devices.clone(),
    })
}

/// What tells other servers what happens here.
fn sender(
    parts: &Parts,
    (sync, rooms): (&Sync, &Rooms),
    (devices, encryption, signed): (&Devices, &Encryption, &Signed),
) -> Sender {
    Sender::new(SenderParts {
        rooms: rooms.clone(),
        devices: devices.clone(),
        encryption: encryption.clone(),
        receipts: sync.receipts().clone(),
        typing: sync.typing().clone(),
        presence: sync.presence().clone(),
        signed: signed.clone(),
        random: parts.random.clone(),
    })
}

/// What other servers are asked with, and known by.
fn federation(parts: &Parts) -> Result<Signed> {
    let config = &parts.config.federation;
    let roots = match &config.extra_ca_file {
        None => None,
        Some(file) => Some(std::fs::read(file).map_err(|error| {
            pli_core::Error::invalid_param(format!("federation.extra_ca_file: {file}: {error}"))
        })?),
    };
    let notaries = config.notaries.iter().map(|name| {
        OwnedServerName::try_from(name.as_str()).map_err(|_| {
            let text = format!("federation.notaries: {name} is no name of a server");
            pli_core::Error::InvalidParam(text)
        })
    });
    let notaries = notaries.collect::<Result<Vec<_>>>()?;
    let servers = Servers::new(roots.as_deref(), config.allow_private_addresses)?;
    let (clock, key) = (parts.clock.clone(), parts.signing_key.clone());
    let openness = Openness { enabled: config.enabled, open: config.open };
    let remote = Remote::new(RemoteParts {
        network: Network::new(servers.clone(), clock.clone()),
        servers,
        own: OwnKeys::new(parts.server_name.clone(), key, parts.old_keys.clone(), clock.clone()),
        partners: Partners::new(parts.store.clone(), clock.clone(), openness),
    });
    let keys = KeyRing::new(parts.store.clone(), clock, remote.clone(), notaries);
    Ok(Signed::new(remote, keys))
}

fn media(parts: &Parts) -> Result<Media> {
    let config = &parts.config.media;
    let settings = MediaSettings {
        upload_limit_bytes: config.upload_limit_bytes,
        thumbnail_workers: usize::try_from(config.thumbnail_workers).unwrap_or(usize::MAX),
        user_quota_bytes: config.user_quota.bytes,
        user_quota_files: config.user_quota.files,
        remote_keep_ms: days_ms(config.remote_keep_days),
    };
    let files = MediaFiles::local(parts.data_dir.join("media"));
    let sources = (parts.clock.clone(), parts.random.clone());
    Media::new(parts.store.clone(), sources, parts.server_name.clone(), settings, files)
}

fn previews(parts: &Parts, media: &Media) -> Result<Previews> {
    let url_previews = parts.config.media.url_previews.as_ref();
    let settings = PreviewSettings {
        enabled: url_previews.is_some(),
        denied_domains: url_previews.map(|it| it.denied_domains.clone()).unwrap_or_default(),
    };
    let outgoing = Outgoing::new(parts.config.server.test_deployment.private_addresses)?;
    let place = (parts.store.clone(), parts.clock.clone());
    Ok(Previews::new(place, media.clone(), outgoing, settings))
}
