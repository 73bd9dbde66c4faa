//! Bodies with a clock: those that come must come fast enough; those that go keep their request under
//! way.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pli_schema::limits;
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep},
};

use super::io::RequestGuard;

/// What is still read of a body over HTTP/2 that nobody wanted, in bytes and time. A request that is
/// refused before its body is read would else have its stream reset, which some clients (curl 7.88) take
/// for a failure of the network and not for the answer that they got.
const UNWANTED_MAX: (usize, Duration) = (65_536, Duration::from_secs(5));

/// The body did not come fast enough.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body took too long")]
pub struct TooSlow;

/// Whether a request's body has been read to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct WasRead(Arc<AtomicBool>);

impl WasRead {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request's body that must arrive within a time that grows with what has arrived.
pub(super) struct TimedBody {
    /// There until the end.
    inner: Option<Incoming>,
    is_http2: bool,
    started: Option<Instant>,
    allowed: Duration,
    received_bytes: u64,
    was_read: WasRead,
    deadline: Pin<Box<Sleep>>,
}

impl TimedBody {
    pub(super) fn new(inner: Incoming, allowed: Duration, is_http2: bool) -> Self {
        let was_read = WasRead(Arc::new(AtomicBool::new(inner.is_end_stream())));
        Self {
            inner: Some(inner),
            is_http2,
            started: None,
            allowed,
            received_bytes: 0,
            was_read,
            deadline: Box::pin(tokio::time::sleep(allowed)),
        }
    }

    pub(super) fn was_read(&self) -> WasRead {
        self.was_read.clone()
    }

    fn set_deadline(&mut self) {
        let earned = self.received_bytes / limits::BODY_BYTES_PER_EXTRA_SECOND;
        let started = *self.started.get_or_insert_with(Instant::now);
        let deadline = started + self.allowed + Duration::from_secs(earned);
        self.deadline.as_mut().reset(deadline);
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        if self.is_http2
            && !self.was_read.get()
            && let Some(unwanted) = self.inner.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(UNWANTED_MAX.1, read_unwanted(unwanted)));
        }
    }
}

async fn read_unwanted(mut body: Incoming) {
    let mut left = UNWANTED_MAX.0;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        if this.started.is_none() {
            this.set_deadline();
        }
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        match Pin::new(&mut *inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let is_end = inner.is_end_stream();
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.received_bytes += u64::try_from(length).unwrap_or(u64::MAX);
                this.set_deadline();
                this.was_read.0.store(is_end, Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                this.was_read.0.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            }
            Poll::Pending if this.deadline.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(TooSlow.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}

/// An answer's body that holds its request under way until it is written or dropped.
pub(super) struct Guarded {
    inner: axum::body::Body,
    _guard: RequestGuard,
}

impl Guarded {
    pub(super) const fn new(inner: axum::body::Body, guard: RequestGuard) -> Self {
        Self { inner, _guard: guard }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
