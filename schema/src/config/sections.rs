//! The sections and keys. The comments are the documentation that administrators read.

use serde::{Deserialize, Serialize};

use super::tables::{
    DelayedEventSettings, RetentionSettings, SupportSettings, TestDeployment, TimeoutSettings,
    TurnSettings, UrlPreviewSettings, UserQuota,
};
use crate::settings;

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Once it is on disk and survives a power loss.
    #[default]
    Sync,
    /// Once it is handed to the operating system: it survives a crash of the process only.
    Relaxed,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A rate: so many at once, then so many per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests at once.
    pub burst: u32,
    /// Requests per minute after that.
    pub per_minute: u32,
}

/// Addresses and ports: a list, or one text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Addresses(pub Vec<String>);

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "an address or a list of addresses")]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => one.split(',').map(|part| part.trim().to_owned()).collect(),
            OneOrMany::Many(many) => many,
        }))
    }
}

const fn rate(burst: u32, per_minute: u32) -> RateLimit {
    RateLimit { burst, per_minute }
}

settings! {
    /// What the server is and where it listens.
    pub struct ServerSettings {
        /// The name in user and room ids. It can never change once the data directory exists.
        pub server_name: String = "localhost:8008".into();
        /// The directory of everything the server keeps. It is created with mode 0700.
        pub data_dir: String = "./pli-data".into();
        /// Addresses and ports on which clients are served.
        pub listen: Addresses = Addresses(vec!["127.0.0.1:8008".into()]);
        /// Where clients reach the server, such as `https://matrix.example.org`, for well-known and
        /// links in mails. Without it, `http://` and the first listening address.
        pub public_base_url: Option<String> = None;
        /// Addresses of reverse proxies whose `X-Forwarded-For` is believed.
        pub trusted_proxies: Vec<String> = Vec::new();
        /// Language of what the server prints, `fr` or `en`; without it, that of the locale.
        pub language: Option<String> = None;
        /// Switches that weaken the server, for test deployments and benchmarks only; the start warns of
        /// each. A table of:
        pub test_deployment: TestDeployment = TestDeployment::default();
    }

    /// TLS of the client listener. Without it the listener speaks plain HTTP, for a reverse proxy or
    /// the same machine.
    pub struct TlsSettings {
        /// PEM file of the certificate and its chain. (reload)
        pub certificate_file: Option<String> = None;
        /// PEM file of the private key: PKCS#8, EC or RSA. (reload)
        pub private_key_file: Option<String> = None;
    }

    /// The store.
    pub struct StorageSettings {
        /// `sync`: a write is acknowledged once it is on disk. `relaxed`: once the operating system has
        /// it, which a power loss can undo; for benchmarks and tests.
        pub durability: Durability = Durability::Sync;
        /// Memory for cached pages, in MiB. The process needs about a third more.
        pub cache_mib: u64 = 256;
    }

    /// Connections and their time limits.
    pub struct ConnectionSettings {
        /// Connections at once; more wait until one closes.
        pub maximum: u32 = 20_000;
        /// Connections at once from one address (an IPv6 /64 counts as one); more are closed. 0 is no
        /// limit.
        pub maximum_per_address: u32 = 0;
        /// How long the server waits, in milliseconds. A table of:
        pub timeouts_ms: TimeoutSettings = TimeoutSettings::default();
    }

    /// Limits on the rate of requests: `{ burst, per_minute }`, per user, or per address before login.
    pub struct RateLimitSettings {
        /// Logins. (reload)
        pub login: RateLimit = rate(10, 20);
        /// Registrations and requests for mails. (reload)
        pub register: RateLimit = rate(10, 20);
        /// Messages and state events. (reload)
        pub message: RateLimit = rate(100, 600);
        /// Joins, invites, room creation. (reload)
        pub membership: RateLimit = rate(50, 120);
        /// Media uploads and downloads. (reload)
        pub media: RateLimit = rate(200, 1_200);
        /// Everything else, sync included. (reload)
        pub other: RateLimit = rate(500, 6_000);
    }

    /// Rooms.
    pub struct RoomSettings {
        /// The version of new rooms, `1` to `12`. Some older clients cannot join rooms of version 12.
        pub default_version: String = "12".into();
        /// The server accepts room creation from everyone; else from admins only.
        pub creation_open: bool = true;
        /// The rules of the French administration's messenger for rooms: an access rule in every room,
        /// forced encryption of private rooms, 90 days for messages of public ones.
        pub tchap_rules: bool = false;
        /// Events that are sent later, which calls need. A table of:
        pub delayed_events: DelayedEventSettings = DelayedEventSettings::default();
        /// External people (accounts of domains of the kind `guest`) create no rooms, invite nobody, see
        /// no directory and hold no power.
        pub external_rules: bool = false;
        /// Messages are deleted when they are older than `m.room.retention` of their room says, within
        /// bounds; state is kept. Absent, nothing is deleted. A table (`{}` is enough) of:
        pub retention: Option<RetentionSettings> = None;
        /// When the last admin of a room leaves, the member with most power who has been there longest
        /// becomes one.
        pub last_admin_rule: bool = false;
        /// Rooms (ids or aliases) whose policy lists (`m.policy.rule.…`) keep users, rooms and servers
        /// out: whoever they ban neither comes into rooms nor invites nor registers.
        pub policy_rooms: Vec<String> = Vec::new();
        /// Messages of rooms without encryption can be searched on the server.
        pub search: bool = true;
    }

    /// Application services: bridges and bots that act for many users.
    pub struct ApplicationServiceSettings {
        /// The directory of their registration files, `*.yaml` and `*.yml`. They hold tokens: only the
        /// server should be able to read them.
        pub directory: Option<String> = None;
    }

    /// Uploaded files.
    pub struct MediaSettings {
        /// Largest upload, in bytes.
        pub upload_limit_bytes: u64 = 104_857_600;
        /// Files are also served without an access token, at the paths from before v1.11 of the
        /// specification. For clients that know no others.
        pub allow_unauthenticated: bool = false;
        /// Images that are decoded at once for thumbnails; each may take 256 MiB for a moment.
        pub thumbnail_workers: u32 = 2;
        /// Days for which files of other servers are kept after somebody asked for them last; 0 is for
        /// ever. Who asks later gets them from the other server again.
        pub remote_keep_days: u32 = 90;
        /// What one user may have uploaded, in all. A table of:
        pub user_quota: UserQuota = UserQuota::default();
        /// The server looks at pages to which people link and shows clients title, text and picture. It
        /// then reaches addresses that people choose (never private ones), and whoever runs a page sees
        /// that somebody of this server links to it. Absent, it does not. A table (`{}` is enough) of:
        pub url_previews: Option<UrlPreviewSettings> = None;
    }

    /// Federation: rooms that span this server and others.
    pub struct FederationSettings {
        /// This server speaks with others.
        pub enabled: bool = false;
        /// It speaks with every server. Otherwise only with the partners that admins have added
        /// (`pli admin federation add`).
        pub open: bool = false;
        /// Addresses and ports where other servers are served, with TLS, such as `[::]:8448`. The
        /// client listener serves them too, for a reverse proxy.
        pub listen: Addresses = Addresses(Vec::new());
        /// PEM file of the certificate of that listener and its chain; without it that of `[tls]`.
        /// (reload)
        pub certificate_file: Option<String> = None;
        /// PEM file of its private key: PKCS#8, EC or RSA. (reload)
        pub private_key_file: Option<String> = None;
        /// PEM file with certificates of authorities that are trusted besides the system's when other
        /// servers are asked.
        pub extra_ca_file: Option<String> = None;
        /// Servers on private and loopback addresses are allowed. For closed networks and test
        /// deployments.
        pub allow_private_addresses: bool = false;
        /// Servers that are asked for the keys of a server that does not answer.
        pub notaries: Vec<String> = Vec::new();
    }

    /// Who is online. Changes are told together and seldom enough that they cost little.
    pub struct PresenceSettings {
        /// Clients are told who is online. Without it everyone is always offline.
        pub enabled: bool = true;
    }

    /// Audio and video conferences.
    pub struct CallSettings {
        /// The Jitsi server that clients use for conferences, such as `meet.example.org`. Without it
        /// clients are told of none.
        pub jitsi_domain: Option<String> = None;
        /// Addresses of LiveKit authorization services for Element Call (`rtc_foci`).
        pub livekit_service_urls: Vec<String> = Vec::new();
        /// TURN servers for calls between two people, and how clients authenticate to them. A table of:
        pub turn: Option<TurnSettings> = None;
    }

    /// What the documents under `/.well-known/matrix/` say.
    pub struct WellKnownSettings {
        /// Address of an identity server that clients are told of. Pli itself needs none.
        pub identity_server: Option<String> = None;
        /// The public key of this server's policy server (Ed25519, unpadded base64). Without it
        /// `/.well-known/matrix/policy_server` is absent.
        pub policy_server_key: Option<String> = None;
        /// `host:port` where other servers reach this one. Without it that document is absent.
        pub server: Option<String> = None;
        /// Whom people may ask (`/.well-known/matrix/support`). A table of:
        pub support: SupportSettings = SupportSettings::default();
    }

    /// Metrics for Prometheus.
    pub struct MetricsSettings {
        /// Address and port of a listener for `/metrics`. Without it there are no metrics.
        pub listen: Option<String> = None;
    }

    /// The log, on standard error.
    pub struct LogSettings {
        /// What is logged, as in `info,pli_store=debug`. (reload)
        pub filter: String = "info".into();
        /// `text` or `json`.
        pub format: LogFormat = LogFormat::Text;
    }
}
