//! A small application service: it keeps what the server sends and answers as the test says.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// How long a test waits for a request.
const WAIT: Duration = Duration::from_secs(60);
/// Requests that wait for the test, at most.
const REQUESTS_MAX: usize = 10_000;

/// A request of the server.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, percent-decoded as far as tests need it.
    pub path: String,
    /// The query, as it came.
    pub query: String,
    /// The token of the `Authorization` header.
    pub bearer: String,
    /// The body; null without one.
    pub body: Value,
    /// The status with which it was answered.
    pub status: u16,
}

/// What the service does when it is asked for a user or a room.
type Hook = Arc<dyn Fn(String) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Default)]
struct Answers {
    /// Status and body by the beginning of the path; else 200 and `{}`.
    by_path: BTreeMap<String, (u16, Value)>,
    hook: Option<Hook>,
}

/// The service.
pub struct FakeAppservice {
    /// Where it listens.
    pub url: String,
    requests: mpsc::Receiver<Request>,
    answers: Arc<Mutex<Answers>>,
}

fn lock(answers: &Mutex<Answers>) -> MutexGuard<'_, Answers> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeAppservice {
    /// A service on any free port.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.unwrap_or_else(|error| panic!("a port: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("a port: {error}"));
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let shared = answers.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, sender) = (shared.clone(), sender.clone());
                tokio::spawn(async move { serve(stream, &answers, &sender).await });
            }
        });
        Self { url: format!("http://{address}"), requests, answers }
    }

    /// Answers paths that begin so in this way from now on.
    pub fn answer(&self, path: &str, status: u16, body: Value) {
        lock(&self.answers).by_path.insert(path.to_owned(), (status, body));
    }

    /// Does something before a query is answered; it gets the path.
    pub fn on_query<F: Future<Output = ()> + Send + 'static>(
        &self,
        hook: impl Fn(String) -> F + Send + Sync + 'static,
    ) {
        lock(&self.answers).hook = Some(Arc::new(move |path| Box::pin(hook(path))));
    }

    /// The next request whose path contains this.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn next(&mut self, path: &str) -> Request {
        let next = async {
            while let Some(request) = self.requests.recv().await {
                if request.path.contains(path) {
                    return request;
                }
            }
            panic!("the service has ended")
        };
        let next = tokio::time::timeout(WAIT, next).await;
        next.unwrap_or_else(|_| panic!("no request for {path}"))
    }

    /// The next entry of a list of a transaction that `wanted` takes; those before it are dropped.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn entry(&mut self, list: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let transaction = self.next("/transactions/").await;
            let entries = transaction.body[list].as_array().cloned().unwrap_or_default();
            if let Some(found) = entries.into_iter().find(&wanted) {
                return found;
            }
        }
    }

    /// Writes the registration file of a service with the usual namespaces (`_bridge_.*`) into a
    /// directory. Its tokens are `as-NAME` and `hs-NAME`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn register(&self, directory: &Path, name: &str, more: &str) {
        let text = format!(
            "id: {name}\nurl: {}\nas_token: as-{name}\nhs_token: hs-{name}\n\
             sender_localpart: _{name}_bot\nnamespaces:\n  users:\n    - exclusive: true\n      \
             regex: '@_{name}_.*'\n  aliases:\n    - exclusive: true\n      regex: '#_{name}_.*'\n\
             {more}",
            self.url
        );
        let written = std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(directory.join(format!("{name}.yaml")), text));
        written.unwrap_or_else(|error| panic!("a registration file: {error}"));
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: &Mutex<Answers>,
    sender: &mpsc::Sender<Request>,
) -> Option<()> {
    let mut request = read(&mut stream).await?;
    let hook = lock(answers).hook.clone();
    if let Some(hook) = hook.filter(|_| request.method == "GET") {
        hook(request.path.clone()).await;
    }
    let answer = {
        let answers = lock(answers);
        let found =
            answers.by_path.iter().rfind(|(path, _)| request.path.starts_with(path.as_str()));
        found.map_or((200, json!({})), |(_, answer)| answer.clone())
    };
    let body = answer.1.to_string();
    request.status = answer.0;
    let text = format!(
        "HTTP/1.1 {} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        answer.0,
        body.len()
    );
    sender.send(request).await.ok()?;
    stream.write_all(text.as_bytes()).await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut buffer).await.ok()?;
        bytes.extend_from_slice(buffer.get(..read)?);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
            let body = bytes.get(end.saturating_add(4)..)?;
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (given, value) = line.split_once(':')?;
                    given.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let length = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                let mut first = head.split_whitespace();
                let (method, target) = (first.next()?.to_owned(), first.next()?);
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let path = path.replace("%40", "@").replace("%3A", ":").replace("%23", "#");
                return Some(Request {
                    method,
                    path,
                    query: query.to_owned(),
                    bearer: header("authorization")?.strip_prefix("Bearer ")?.to_owned(),
                    body: serde_json::from_slice(body).unwrap_or(Value::Null),
                    status: 0,
                });
            }
        }
        if read == 0 {
            return None;
        }
    }
}
