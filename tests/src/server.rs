//! A server in this process, on a port of its own, with the real store in a temporary directory.
//!
//! ```no_run
//! # async fn example() {
//! let server = pli_tests::server::TestServer::start().await;
//! let alice = server.register("alice").await;
//! let room = alice.post("/_matrix/client/v3/createRoom", serde_json::json!({})).await.ok();
//! let room_id = room["room_id"].as_str().unwrap();
//! # }
//! ```

use pli_api::AppState;
use pli_homeserver::{Server, server::Surroundings};
use pli_schema::config::{Config, Durability};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use crate::reply::Reply;
use crate::watch::Watch;

/// A server as a test deployment has it: registration open, cheap password hashing, no limits.
pub struct TestServer {
    /// Where it is reached, without a slash at the end.
    pub url: String,
    /// Its name.
    pub server_name: String,
    /// The settings it was started with.
    pub config: Config,
    /// What checks every answer against the specification.
    pub watch: Watch,
    client: Client,
    server: Option<Server>,
    dir: TempDir,
}

/// A registered user.
#[derive(Clone, Debug)]
pub struct TestUser {
    /// The user's id.
    pub user_id: String,
    /// The device.
    pub device_id: String,
    /// The access token.
    pub token: String,
    url: String,
    client: Client,
    watch: Watch,
}

/// The settings of a test deployment in a directory, on any free port.
#[must_use]
pub fn test_config(dir: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.server.server_name = "pli.test".to_owned();
    config.server.data_dir = dir.join("data").display().to_string();
    config.server.listen.0 = vec!["127.0.0.1:0".to_owned()];
    config.storage.durability = Durability::Relaxed;
    config.storage.cache_mib = 16;
    config.server.test_deployment.open_registration = true;
    config.server.test_deployment.no_limits = true;
    config.server.test_deployment.private_addresses = true;
    config.passwords = pli_schema::account_settings::PasswordSettings::cheap();
    // A test that waits for one thing is not to be woken by someone who comes online.
    config.presence.enabled = false;
    config
}

impl TestServer {
    /// Starts a server on an empty directory.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server on an empty directory, with settings that differ from [`test_config`].
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with_dir(|config, _| change(config)).await
    }

    /// As [`Self::start_with`], with the directory in which the test may put files.
    pub async fn start_with_dir(change: impl FnOnce(&mut Config, &std::path::Path)) -> Self {
        let dir = TempDir::new().unwrap_or_else(|error| panic!("a directory: {error}"));
        let mut config = test_config(dir.path());
        change(&mut config, dir.path());
        let server_name = config.server.server_name.clone();
        let client = Client::new();
        let watch = Watch::of_this_test();
        let url = String::new();
        let mut this = Self { url, server_name, config, watch, client, server: None, dir };
        this.open().await;
        this
    }

    /// Starts a server that takes part in federation with every other server of this test process. Its
    /// name is `localhost` with the port of its listener for servers.
    pub async fn start_federating() -> Self {
        Self::start_federating_with(|_| {}).await
    }

    /// As [`Self::start_federating`], with settings that differ.
    pub async fn start_federating_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with_dir(|config, dir| {
            crate::authority::federate(config, dir);
            change(config);
        })
        .await
    }

    async fn open(&mut self) {
        let started =
            Server::start(self.config.clone(), Surroundings::of_the_machine(), |_| {}).await;
        let server = started.unwrap_or_else(|error| panic!("the server starts: {error}"));
        let address = server.addresses.first().copied();
        let scheme = if server.tls.is_some() { "https" } else { "http" };
        self.url = address.map(|address| format!("{scheme}://{address}")).unwrap_or_default();
        // The next start listens on the same port, so that clients go on.
        self.config.server.listen.0 = address.iter().map(ToString::to_string).collect();
        self.server = Some(server);
    }

    /// Stops the server as SIGTERM does and starts it again on the same directory and port.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.open().await;
    }

    /// Stops the server as SIGTERM does.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await.unwrap_or_else(|error| panic!("the server stops: {error}"));
        }
    }

    /// The core behind the server.
    ///
    /// # Panics
    /// If the server is stopped.
    #[must_use]
    pub fn state(&self) -> &AppState {
        let server = self.server.as_ref();
        &server.unwrap_or_else(|| panic!("the server is stopped")).state
    }

    /// The directory of the server's data and of what the test puts beside it.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Registers a user with `m.login.dummy`.
    pub async fn register(&self, localpart: &str) -> TestUser {
        let body = json!({
            "username": localpart,
            "password": format!("password of {localpart}"),
            "auth": { "type": "m.login.dummy" },
        });
        let request = self.request(Method::POST, "/_matrix/client/v3/register", None, Some(&body));
        self.user(&request.await.ok())
    }

    /// Registers a guest in the sense of the specification.
    pub async fn register_guest(&self) -> TestUser {
        let path = "/_matrix/client/v3/register?kind=guest";
        self.user(&self.request(Method::POST, path, None, Some(&json!({}))).await.ok())
    }

    /// Registers the first admin with the one-time code that the server prints at its start.
    pub async fn register_admin(&self, localpart: &str) -> TestUser {
        const PATH: &str = "/_matrix/client/v3/register";
        let code = self.state().accounts.first_admin_code().await;
        let code = code.unwrap_or_else(|error| panic!("a code: {error}"));
        let code = code.unwrap_or_else(|| panic!("there is an admin already"));
        let password = format!("password of {localpart}");
        let mut body = json!({ "username": localpart, "password": password });
        let asked = self.request(Method::POST, PATH, None, Some(&body)).await;
        body["auth"] = json!({
            "type": "m.login.registration_token",
            "token": code.reveal(),
            "session": asked.body["session"],
        });
        self.user(&self.request(Method::POST, PATH, None, Some(&body)).await.ok())
    }

    /// Logs a user in once more: another device.
    pub async fn login(&self, localpart: &str) -> TestUser {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": localpart },
            "password": format!("password of {localpart}"),
        });
        let request = self.request(Method::POST, "/_matrix/client/v3/login", None, Some(&body));
        self.user(&request.await.ok())
    }

    fn user(&self, answer: &Value) -> TestUser {
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        TestUser {
            user_id: text("user_id"),
            device_id: text("device_id"),
            token: text("access_token"),
            url: self.url.clone(),
            client: self.client.clone(),
            watch: self.watch.clone(),
        }
    }

    /// A request of JSON.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Reply {
        let url = format!("{}{path}", self.url);
        let reply = send(&self.client, method.clone(), &url, token, body).await;
        self.watch.look(&method, path, &reply);
        reply
    }

    /// `GET` without a token.
    pub async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path, None, None).await
    }

    /// `GET` without a token; a redirect is the answer and is not followed.
    pub async fn get_redirect(&self, path: &str) -> Reply {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let client = client.unwrap_or_else(|error| panic!("a client: {error}"));
        let reply = send(&client, Method::GET, &format!("{}{path}", self.url), None, None).await;
        self.watch.look(&Method::GET, path, &reply);
        reply
    }
}

impl TestUser {
    /// Where the server is reached, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path, None).await
    }

    /// `POST`.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.request(Method::POST, path, Some(&body)).await
    }

    /// `PUT`.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.request(Method::PUT, path, Some(&body)).await
    }

    /// `DELETE`, without a body.
    pub async fn delete(&self, path: &str) -> Reply {
        self.request(Method::DELETE, path, None).await
    }

    /// A request with the user's token.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let url = format!("{}{path}", self.url);
        let reply = send(&self.client, method.clone(), &url, Some(&self.token), body).await;
        self.watch.look(&method, path, &reply);
        reply
    }

    /// Creates a room; its id, ready for a path.
    pub async fn create_room(&self, body: Value) -> String {
        let room = self.post("/_matrix/client/v3/createRoom", body).await.ok();
        room["room_id"].as_str().unwrap_or_default().to_owned()
    }

    /// Sends a text message; its event id.
    pub async fn say(&self, room_id: &str, text: &str) -> String {
        let txn = format!("t{:x}", rand::random::<u64>());
        let path = format!("/_matrix/client/v3/rooms/{room_id}/send/m.room.message/{txn}");
        let sent = self.put(&path, json!({ "msgtype": "m.text", "body": text })).await.ok();
        sent["event_id"].as_str().unwrap_or_default().to_owned()
    }

    /// `/sync` from a token (or from the beginning), answering at once.
    pub async fn sync(&self, since: Option<&str>) -> Value {
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        self.get(&format!("/_matrix/client/v3/sync?timeout=0{since}")).await.ok()
    }
}

async fn send(
    client: &Client,
    method: Method,
    url: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Reply {
    let mut request = client.request(method, url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answered = request.send().await;
    let response = answered.unwrap_or_else(|error| panic!("no answer from {url}: {error}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let read = response.bytes().await;
    let bytes = read.unwrap_or_else(|error| panic!("no body from {url}: {error}")).to_vec();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Reply { status, headers, bytes, body }
}
