//! Another server, played by the test: it has a name and a key, answers what the test wants it to answer,
//! and sends what no server should.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use pli_core::SigningKey;
use pli_federation::{
    canonical_json::{Numbers, canonicalize},
    server_keys,
};
use reqwest::Method;
use ruma::OwnedServerName;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{authority, reply::Reply, server::TestServer};

/// What a request of a path is answered with: its path and query, and its body.
type Answer = Arc<dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync>;

#[derive(Default)]
struct Shared {
    /// By the beginning of the path; the newest counts.
    answers: Mutex<Vec<(String, Answer)>>,
    asked: Mutex<Vec<String>>,
}

/// The server. It ends with its value.
pub struct FakeServer {
    /// Its name.
    pub name: OwnedServerName,
    /// Its key.
    pub key: SigningKey,
    shared: Arc<Shared>,
    client: reqwest::Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeServer {
    /// Starts a server on a free port, which answers for its key and nothing else.
    pub async fn start() -> Self {
        // Keys that are valid for long; one that has expired is published with `publish`.
        let key = SigningKey::generate("fake").unwrap_or_else(|error| panic!("a key: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.unwrap_or_else(|error| panic!("a port: {error}"));
        let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
        let name = OwnedServerName::try_from(format!("localhost:{port}"));
        let name = name.unwrap_or_else(|error| panic!("a name: {error}"));
        let shared = Arc::<Shared>::default();
        let (acceptor, answering) = (authority::acceptor(), Arc::clone(&shared));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&answering));
                tokio::spawn(async move {
                    // Whoever hangs up in the middle has asked for nothing.
                    let _ = converse(stream, acceptor, &shared).await;
                });
            }
        });
        let this = Self { name, key, shared, client: reqwest::Client::new(), task };
        this.publish(u64::MAX / 4_096);
        this
    }

    /// A user of the server.
    #[must_use]
    pub fn user(&self, localpart: &str) -> String {
        format!("@{localpart}:{}", self.name)
    }

    /// Publishes the key, valid until a time in milliseconds since 1970.
    pub fn publish(&self, valid_until_ms: u64) {
        let keys = server_keys::published(&self.name, &self.key, &BTreeMap::new(), valid_until_ms);
        let keys = keys.unwrap_or_else(|error| panic!("keys: {error}"));
        let keys = serde_json::to_value(keys).unwrap_or_default();
        self.answer("/_matrix/key/v2/server", move |_, _| (200, keys.clone()));
    }

    /// Answers requests whose path begins like this.
    pub fn answer(
        &self,
        path: &str,
        answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
    ) {
        lock(&self.shared.answers).push((path.to_owned(), Arc::new(answer)));
    }

    /// The requests so far: method, path and query.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.shared.asked).clone()
    }

    /// Sends a request to a server, signed for it.
    pub async fn send(
        &self,
        to: &TestServer,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Reply {
        let header = self.signature(&to.server_name, &method, path, body);
        self.send_with(to, method, path, body, &header).await
    }

    /// `GET`, signed.
    pub async fn get(&self, to: &TestServer, path: &str) -> Reply {
        self.send(to, Method::GET, path, None).await
    }

    /// Sends a request with any `Authorization`.
    pub async fn send_with(
        &self,
        to: &TestServer,
        method: Method,
        path: &str,
        body: Option<&str>,
        authorization: &str,
    ) -> Reply {
        let request = self.client.request(method, format!("{}{path}", to.url));
        let mut request = request.header("authorization", authorization);
        if let Some(body) = body {
            let body = body.to_owned();
            request = request.header("content-type", "application/json").body(body);
        }
        let answered = request.send().await;
        let response = answered.unwrap_or_else(|error| panic!("no answer: {error}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.map(|bytes| bytes.to_vec()).unwrap_or_default();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status, headers, bytes, body }
    }

    /// The `Authorization` of a request to a server.
    #[must_use]
    pub fn signature(
        &self,
        destination: &str,
        method: &Method,
        path: &str,
        body: Option<&str>,
    ) -> String {
        let content = body.map(|body| format!("\"content\":{body},")).unwrap_or_default();
        let rest = json!({
            "destination": destination,
            "method": method.as_str(),
            "origin": self.name,
            "uri": path,
        });
        let object = format!("{{{content}{}", rest.to_string().trim_start_matches('{'));
        let text = canonicalize(&object, Numbers::Lenient);
        let text = text.unwrap_or_else(|error| panic!("what is signed: {error}"));
        let (name, key_id) = (&self.name, self.key.key_id());
        let signature = self.key.sign(text.as_bytes());
        format!(
            "X-Matrix origin=\"{name}\",destination=\"{destination}\",key=\"{key_id}\",sig=\"{signature}\""
        )
    }

    /// A transaction of events, as JSON, with the id.
    pub async fn transaction(&self, to: &TestServer, id: &str, pdus: &[&str]) -> Reply {
        let body = self.transaction_body(pdus, &[]);
        let path = format!("/_matrix/federation/v1/send/{id}");
        self.send(to, Method::PUT, &path, Some(&body)).await
    }

    /// The body of a transaction.
    #[must_use]
    pub fn transaction_body(&self, pdus: &[&str], edus: &[Value]) -> String {
        let (name, pdus, edus) = (&self.name, pdus.join(","), json!(edus));
        format!(
            "{{\"origin\":\"{name}\",\"origin_server_ts\":1,\"pdus\":[{pdus}],\"edus\":{edus}}}"
        )
    }
}

async fn converse(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut parts = first.split_whitespace();
    let (method, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    lock(&shared.asked).push(format!("{method} {path}"));
    let answer = {
        let answers = lock(&shared.answers);
        let mut newest = answers.iter().rev();
        newest.find(|(start, _)| path.starts_with(start)).map(|(_, answer)| Arc::clone(answer))
    };
    let unknown =
        json!({ "errcode": "M_UNRECOGNIZED", "error": "This test answers no such thing" });
    let (status, body) = answer.map_or((404, unknown), |answer| answer(path, &body));
    let body = body.to_string();
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
