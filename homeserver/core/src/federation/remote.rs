//! One request to another server: found, signed, sent, read.

use std::{sync::Arc, time::Duration};

use pli_federation::discovery::{Destination, discover};
use ruma::{
    ServerName,
    api::{
        IncomingResponseExt, OutgoingRequest, OutgoingRequestExt,
        auth_scheme::{AuthScheme, NoAuthentication},
        federation::authentication::{ServerSignatures, XMatrixSigningInput},
        path_builder::SinglePath,
    },
    exports::http,
};

pub use crate::outgoing::Bounds;
use crate::{
    Error, Result,
    federation::{Network, OwnKeys, Partners},
    outgoing::{BodyStream, OutgoingError, Servers},
};

impl Bounds {
    /// For small answers, while somebody waits.
    pub const SMALL: Self = Self { timeout: Duration::from_secs(15), limit_bytes: 2 * 1024 * 1024 };
    /// For events: a transaction, a page of history.
    pub const EVENTS: Self =
        Self { timeout: Duration::from_secs(60), limit_bytes: 32 * 1024 * 1024 };
    /// For a whole room: the state and the auth chain of many members.
    pub const ROOM: Self =
        Self { timeout: Duration::from_secs(600), limit_bytes: 512 * 1024 * 1024 };
}

/// Why another server gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// This server does not speak with it.
    #[error("this server does not speak with it")]
    NotAdmitted,
    /// Its name leads nowhere.
    #[error("it cannot be found: {0}")]
    NotFound(String),
    /// There was no answer.
    #[error(transparent)]
    NoAnswer(OutgoingError),
    /// It answered with an error.
    #[error("it answered {status} {errcode}")]
    Status {
        /// The status.
        status: u16,
        /// The errcode; empty if it said none.
        errcode: String,
        /// The whole answer, if it is JSON.
        body: Box<serde_json::Value>,
    },
    /// What it answered is not what the endpoint answers.
    #[error("its answer cannot be read: {0}")]
    Malformed(String),
    /// The request could not be made.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

impl RemoteError {
    /// Whether the server was there and said no: asking it again changes nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NotAdmitted)
            || matches!(self, Self::Status { status, .. } if (400..500).contains(status) && *status != 429)
    }

    /// The errcode of its answer; empty if there is none.
    #[must_use]
    pub fn errcode(&self) -> &str {
        match self {
            Self::Status { errcode, .. } => errcode,
            _ => "",
        }
    }
}

/// What [`Remote`] is made of.
#[derive(Clone, Debug)]
pub struct RemoteParts {
    /// The client.
    pub servers: Servers,
    /// What discovery asks.
    pub network: Network,
    /// This server's keys.
    pub own: OwnKeys,
    /// With whom this server speaks.
    pub partners: Partners,
}

/// Asks other servers. Clones share everything.
#[derive(Clone, Debug)]
pub struct Remote {
    parts: Arc<RemoteParts>,
}

impl Remote {
    /// Out of its parts.
    #[must_use]
    pub fn new(parts: RemoteParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// This server's keys.
    #[must_use]
    pub fn own(&self) -> &OwnKeys {
        &self.parts.own
    }

    /// With whom this server speaks.
    #[must_use]
    pub fn partners(&self) -> &Partners {
        &self.parts.partners
    }

    /// The client.
    pub(super) fn servers(&self) -> &Servers {
        &self.parts.servers
    }

    /// What discovery asks.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.parts.network
    }

    /// How a server is reached.
    ///
    /// # Errors
    /// [`RemoteError::NotFound`].
    pub async fn discover(&self, server: &ServerName) -> Result<Destination, RemoteError> {
        discover(server, &self.parts.network)
            .await
            .map_err(|error| RemoteError::NotFound(error.to_string()))
    }

    /// Sends a request, signed, and reads the answer.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn request<T>(
        &self,
        server: &ServerName,
        request: T,
        bounds: Bounds,
    ) -> Result<T::IncomingResponse, RemoteError>
    where
        T: OutgoingRequest<Authentication = ServerSignatures, PathBuilder = SinglePath>,
    {
        let own = &self.parts.own;
        let input = XMatrixSigningInput::new(
            own.server_name().to_owned(),
            server.to_owned(),
            own.key().key_pair(),
        );
        let request = request
            .try_into_http_request::<Vec<u8>>("", input, ())
            .map_err(|error| RemoteError::Request(error.to_string()))?;
        read::<T>(self.send(server, request, bounds).await?)
    }

    /// Sends a request of an endpoint that takes no signature.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn unsigned<T>(
        &self,
        server: &ServerName,
        request: T,
        bounds: Bounds,
    ) -> Result<T::IncomingResponse, RemoteError>
    where
        T: OutgoingRequest<Authentication = NoAuthentication, PathBuilder = SinglePath>,
    {
        let request = request
            .try_into_http_request::<Vec<u8>>("", (), ())
            .map_err(|error| RemoteError::Request(error.to_string()))?;
        read::<T>(self.send(server, request, bounds).await?)
    }

    /// Sends JSON, signed, to an endpoint of version 1 for which there is no type any more; the answer
    /// as it came. `path` are the parts after `/_matrix/federation/v1`.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn put_v1(
        &self,
        server: &ServerName,
        path: [&str; 3],
        json: &str,
        bounds: Bounds,
    ) -> Result<Vec<u8>, RemoteError> {
        let unmade = |error: String| RemoteError::Request(error);
        let mut uri = "/_matrix/federation/v1".to_owned();
        for part in path {
            uri.push('/');
            uri.extend(percent_encode(part));
        }
        let mut request = http::Request::builder()
            .method(http::Method::PUT)
            .uri(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(json.as_bytes().to_vec())
            .map_err(|error| unmade(error.to_string()))?;
        let own = &self.parts.own;
        let (from, to) = (own.server_name().to_owned(), server.to_owned());
        let input = XMatrixSigningInput::new(from, to, own.key().key_pair());
        ServerSignatures::add_authentication(&mut request, input)
            .map_err(|error| unmade(error.to_string()))?;
        let answer = self.send(server, request, bounds).await?;
        let (parts, body) = answer.into_parts();
        match parts.status.as_u16() {
            200..=299 => Ok(body),
            status => Err(refusal(status, &body)),
        }
    }

    /// Sends a request, signed, and returns the answer of whatever status with its body still to be read.
    ///
    /// # Errors
    /// [`RemoteError`], but not [`RemoteError::Status`].
    pub async fn open<T>(
        &self,
        server: &ServerName,
        request: T,
        timeout: Duration,
    ) -> Result<http::Response<BodyStream>, RemoteError>
    where
        T: OutgoingRequest<Authentication = ServerSignatures, PathBuilder = SinglePath>,
    {
        let own = &self.parts.own;
        let (from, to) = (own.server_name().to_owned(), server.to_owned());
        let input = XMatrixSigningInput::new(from, to, own.key().key_pair());
        let request = request
            .try_into_http_request::<Vec<u8>>("", input, ())
            .map_err(|error| RemoteError::Request(error.to_string()))?;
        self.open_unsigned(server, request, timeout).await
    }

    /// As [`Self::open`], of a request that is ready but for its host.
    ///
    /// # Errors
    /// [`RemoteError`], but not [`RemoteError::Status`].
    pub async fn open_unsigned(
        &self,
        server: &ServerName,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<BodyStream>, RemoteError> {
        if self.parts.partners.admit(server).await.is_err() {
            return Err(RemoteError::NotAdmitted);
        }
        let deliver = async {
            let destination = self.discover(server).await?;
            let opened = self.parts.servers.open(&destination, request, timeout).await;
            opened.map_err(RemoteError::NoAnswer)
        };
        let answer = deliver.await;
        self.note(server, answer.as_ref().err());
        answer
    }

    /// Fetches what lies at an address that another server named, with its body still to be read.
    ///
    /// # Errors
    /// [`OutgoingError`].
    pub async fn open_document(
        &self,
        url: url::Url,
        timeout: Duration,
    ) -> Result<http::Response<BodyStream>, OutgoingError> {
        self.parts.servers.open_document(url, timeout).await
    }

    /// Notes how the last contact with a server went.
    fn note(&self, server: &ServerName, error: Option<&RemoteError>) {
        let contacts = self.parts.partners.contacts();
        match error {
            None => contacts.answered(server),
            Some(error) => contacts.failed(server, error),
        }
    }

    /// Sends a request that is ready but for its host.
    ///
    /// # Errors
    /// [`RemoteError`], but not [`RemoteError::Status`].
    pub async fn send(
        &self,
        server: &ServerName,
        request: http::Request<Vec<u8>>,
        bounds: Bounds,
    ) -> Result<http::Response<Vec<u8>>, RemoteError> {
        if self.parts.partners.admit(server).await.is_err() {
            return Err(RemoteError::NotAdmitted);
        }
        let answer = self.deliver(server, request, bounds).await;
        self.note(server, answer.as_ref().err());
        answer
    }

    async fn deliver(
        &self,
        server: &ServerName,
        request: http::Request<Vec<u8>>,
        bounds: Bounds,
    ) -> Result<http::Response<Vec<u8>>, RemoteError> {
        let destination = self.discover(server).await?;
        self.parts.servers.send(&destination, request, bounds).await.map_err(RemoteError::NoAnswer)
    }
}

fn read<T: OutgoingRequest>(
    answer: http::Response<Vec<u8>>,
) -> Result<T::IncomingResponse, RemoteError> {
    let (parts, body) = answer.into_parts();
    if parts.status.as_u16() >= 300 {
        return Err(refusal(parts.status.as_u16(), &body));
    }
    let answer = http::Response::from_parts(parts, body.as_slice());
    T::IncomingResponse::try_from_http_response(answer)
        .map_err(|error| RemoteError::Malformed(error.to_string()))
}

fn refusal(status: u16, body: &[u8]) -> RemoteError {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let errcode = body.get("errcode").and_then(serde_json::Value::as_str);
    let errcode = errcode.unwrap_or_default().to_owned();
    RemoteError::Status { status, errcode, body: Box::new(body) }
}

/// A part of a path.
fn percent_encode(part: &str) -> impl Iterator<Item = char> + '_ {
    const KEPT: &[u8] = b"-._~";
    part.bytes().flat_map(|byte| {
        let text = if byte.is_ascii_alphanumeric() || KEPT.contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        };
        text.chars().collect::<Vec<_>>()
    })
}

impl From<RemoteError> for Error {
    /// What a client is told when another server could not be asked: never its own words.
    fn from(error: RemoteError) -> Self {
        match &error {
            RemoteError::NotAdmitted => {
                Self::forbidden("This server does not speak with that server")
            }
            RemoteError::Status { status: 404, .. } => {
                Self::not_found("The other server does not know it")
            }
            RemoteError::Status { status: 403, .. } => {
                Self::forbidden("The other server does not allow it")
            }
            _ => Self::RemoteUnavailable(error.to_string()),
        }
    }
}
