//! The listener: accepts connections, bounds what each may cost, drains them at the end.
//!
//! `axum::serve` has no time limit for headers, so hyper is driven here. A connection that does not
//! send a whole request header in time is closed, whether it is new or was used before; bodies must
//! arrive at a least speed; an answer that nobody reads ends the connection.

mod admission;
mod body;
mod framing;
mod io;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use pli_schema::{config::ConnectionSettings, limits};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::{
    admission::Admission,
    body::{Guarded, TimedBody},
    io::{Activity, WatchedIo},
};

pub use self::tls::{Tls, TlsError};

/// Where a request came from: the other end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Serves a router on listeners until `stop` is cancelled, then gives requests under way
/// `timeouts_ms.drain` to end.
pub async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    settings: ConnectionSettings,
    tls: Option<Tls>,
    stop: CancellationToken,
) {
    let drain = Duration::from_millis(settings.timeouts_ms.drain);
    let server = Arc::new(Server {
        router,
        admission: Admission::new(settings.maximum, settings.maximum_per_address),
        settings,
        tls,
        graceful: GracefulShutdown::new(),
    });
    let accepting = listeners.into_iter().map(|listener| accept(server.clone(), listener, &stop));
    futures_util::future::join_all(accepting).await;
    // The tasks of connections hold watchers, not the server, so this is the last handle.
    let Ok(server) = Arc::try_unwrap(server) else {
        tracing::warn!("the listener could not drain its connections");
        return;
    };
    if tokio::time::timeout(drain, server.graceful.shutdown()).await.is_err() {
        tracing::warn!(after_ms = drain.as_millis(), "requests under way were cut off");
    }
}

struct Server {
    router: Router,
    admission: Admission,
    settings: ConnectionSettings,
    tls: Option<Tls>,
    graceful: GracefulShutdown,
}

async fn accept(server: Arc<Server>, listener: TcpListener, stop: &CancellationToken) {
    loop {
        let Some(place) = stop.run_until_cancelled(server.admission.place()).await else { return };
        let accepted = match stop.run_until_cancelled(listener.accept()).await {
            None => return,
            Some(accepted) => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a connection that was reset before it was accepted: the
                // next turn may work, but must not spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(admitted) = server.admission.admit(peer.ip(), place) else { continue };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let connection = Connection {
            router: server.router.clone(),
            settings: server.settings.clone(),
            watcher: server.graceful.watcher(),
            peer: Peer(peer),
        };
        let tls = server.tls.clone();
        tokio::spawn(async move {
            connection.run(stream, tls).await;
            drop(admitted);
        });
    }
}

struct Connection {
    router: Router,
    settings: ConnectionSettings,
    watcher: hyper_util::server::graceful::Watcher,
    peer: Peer,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<Tls>) {
        let Some(tls) = tls else { return self.speak(stream).await };
        let limit = Duration::from_millis(self.settings.timeouts_ms.header);
        match tokio::time::timeout(limit, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let activity = Arc::new(Activity::default());
        let io = WatchedIo::new(stream, activity.clone(), &self.settings);
        let (router, peer) = (self.router, self.peer);
        let body_timeout = Duration::from_millis(self.settings.timeouts_ms.body);
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let router = router.clone();
            let request_guard = activity.begin();
            async move {
                let (mut parts, incoming) = request.into_parts();
                parts.extensions.insert(peer);
                let is_http1 = parts.version < http::Version::HTTP_2;
                let body = TimedBody::new(incoming, body_timeout, !is_http1);
                let was_read = body.was_read();
                let request = Request::from_parts(parts, Body::new(body));
                let mut response = router.oneshot(request).await?;
                if is_http1 && !was_read.get() {
                    // hyper ends such a connection; the client must know, lest it send the next
                    // request into it.
                    let close = http::HeaderValue::from_static("close");
                    response.headers_mut().insert(http::header::CONNECTION, close);
                }
                let response = response.map(|body| Guarded::new(body, request_guard));
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let builder = builder();
        let connection =
            builder.serve_connection(io, TowerToHyperService::new(service)).into_owned();
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::trace!(%error, "connection ended");
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // `WatchedIo` keeps the time, for new and for used connections.
        .header_read_timeout(None)
        .max_buf_size(limits::HEADER_BYTES.max(8_192))
        .max_headers(limits::HEADERS)
        .timer(TokioTimer::new());
    builder
        .http2()
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .max_header_list_size(u32::try_from(limits::HEADER_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .timer(TokioTimer::new());
    builder
}
