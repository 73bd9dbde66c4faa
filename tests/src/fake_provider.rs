//! A small OpenID Connect provider for tests: it signs whoever is set.

use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::browser::parameter;

const RSA: &[u8] = include_bytes!("keys/provider-rsa.der");
const EC: &[u8] = include_bytes!("keys/provider-ec.der");

/// What the provider says.
#[derive(Clone, Debug)]
pub struct Says {
    /// Claims that override those of the ID token; null removes one.
    pub id_token: Value,
    /// The claims of the user information.
    pub userinfo: Value,
    /// User information is a signed JWT, as ProConnect's.
    pub signed_userinfo: bool,
    /// Sign ID tokens with RS256, else with ES256.
    pub rsa: bool,
    /// Change a letter in the signature of ID tokens.
    pub break_signature: bool,
}

/// The provider. It ends with its value.
#[derive(Debug)]
pub struct FakeProvider {
    /// Its issuer.
    pub issuer: String,
    says: Arc<Mutex<Says>>,
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeProvider {
    /// Starts a provider on a free port of 127.0.0.1, for the client `pli` with the secret `s3cret`.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let issuer = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let says = Says {
            id_token: json!({}),
            userinfo: json!({ "sub": "42" }),
            signed_userinfo: false,
            rsa: true,
            break_signature: false,
        };
        let (says, seen) = (Arc::new(Mutex::new(says)), Arc::<Mutex<Vec<String>>>::default());
        let (to_say, log, own) = (says.clone(), seen.clone(), issuer.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (to_say, log, own) = (to_say.clone(), log.clone(), own.clone());
                tokio::spawn(async move {
                    // A client that hangs up in the middle has asked for nothing.
                    let _ = converse(stream, (&own, &to_say, &log)).await;
                });
            }
        });
        Ok(Self { issuer, says, seen, task })
    }

    /// Changes what it says.
    pub fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut lock(&self.says));
    }

    /// The requests so far: the first line and the body.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        lock(&self.seen).clone()
    }
}

fn key(rsa: bool) -> (EncodingKey, Algorithm, &'static str) {
    if rsa {
        (EncodingKey::from_rsa_der(RSA), Algorithm::RS256, "rsa")
    } else {
        (EncodingKey::from_ec_der(EC), Algorithm::ES256, "ec")
    }
}

fn signed(claims: &Value, rsa: bool) -> String {
    let (key, algorithm, kid) = key(rsa);
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    encode(&header, claims, &key).unwrap_or_else(|error| panic!("a token: {error}"))
}

fn jwks() -> Value {
    let keys = [true, false].map(|rsa| {
        let (key, algorithm, kid) = key(rsa);
        let jwk = Jwk::from_encoding_key(&key, algorithm);
        let mut jwk = jwk.unwrap_or_else(|error| panic!("a key: {error}"));
        jwk.common.key_id = Some(kid.to_owned());
        jwk
    });
    json!({ "keys": keys })
}

fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/end"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    })
}

/// The code holds the nonce, so that the provider keeps nothing.
fn id_token(issuer: &str, says: &Says, code: &str) -> String {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut claims = Map::from_iter([
        ("iss".to_owned(), json!(issuer)),
        ("sub".to_owned(), json!("42")),
        ("aud".to_owned(), json!("pli")),
        ("iat".to_owned(), json!(now)),
        ("exp".to_owned(), json!(now + 60)),
        ("nonce".to_owned(), json!(code)),
    ]);
    for (name, value) in says.id_token.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(claims.remove(name)),
            value => drop(claims.insert(name.clone(), value.clone())),
        }
    }
    let token = signed(&Value::Object(claims), says.rsa);
    if !says.break_signature {
        return token;
    }
    let (start, signature) = token.rsplit_once('.').unwrap_or_default();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{start}.{other}{}", signature.get(1..).unwrap_or_default())
}

async fn converse(
    stream: TcpStream,
    (issuer, says, seen): (&str, &Mutex<Says>, &Mutex<Vec<String>>),
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
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
    let body = String::from_utf8_lossy(&body).into_owned();
    lock(seen).push(format!("{} {body}", first.trim()));
    let says = lock(says).clone();
    let (kind, answer) = answer(issuer, &says, &first, &body);
    let status = if kind.is_empty() { "404 Not Found" } else { "200 OK" };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn answer(issuer: &str, says: &Says, first: &str, body: &str) -> (&'static str, String) {
    const JSON: &str = "application/json";
    let path = first.split(' ').nth(1).unwrap_or_default();
    match path.split('?').next().unwrap_or_default() {
        "/.well-known/openid-configuration" => (JSON, discovery(issuer).to_string()),
        "/jwks" => (JSON, jwks().to_string()),
        "/token" => {
            let body = format!("?{body}");
            let is = |name: &str, expected: &str| {
                parameter(&body, name).is_some_and(|value| value == expected)
            };
            let verifier = parameter(&body, "code_verifier").unwrap_or_default();
            if !is("client_id", "pli") || !is("client_secret", "s3cret") || verifier.len() != 43 {
                return ("", String::new());
            }
            let code = parameter(&body, "code").unwrap_or_default();
            let token = id_token(issuer, says, &code);
            let answer = json!({ "access_token": "at", "token_type": "Bearer", "id_token": token });
            (JSON, answer.to_string())
        }
        "/userinfo" if says.signed_userinfo => {
            let mut claims = says.userinfo.clone();
            claims["iss"] = json!(issuer);
            claims["aud"] = json!("pli");
            ("application/jwt", signed(&claims, false))
        }
        "/userinfo" => (JSON, says.userinfo.to_string()),
        _ => ("", String::new()),
    }
}
