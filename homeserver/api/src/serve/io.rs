//! The connection's bytes, with a clock beside them.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use pli_schema::{config::ConnectionSettings, limits};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};

use super::framing::Framing;

/// What happens on a connection: requests begun, and requests not yet answered.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicUsize,
    under_way: AtomicUsize,
}

/// A request under way, until its answer is written.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl Activity {
    pub(super) fn begin(self: &Arc<Self>) -> RequestGuard {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        RequestGuard(self.clone())
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the connection waits for while no request is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// A request is under way: the handler and the body's clock decide.
    Busy,
    /// The first request, or the rest of a header that has begun.
    Header,
    /// Another request on a connection that was used.
    Idle,
}

/// A stream that ends when the client takes too long.
pub(super) struct WatchedIo<S> {
    inner: TokioIo<S>,
    activity: Arc<Activity>,
    header_timeout: Duration,
    idle_timeout: Duration,
    waiting: Waiting,
    /// Requests begun when the clock was set.
    seen: usize,
    /// HTTP/2 has frames that are no requests; its own pings find dead connections.
    is_http2: bool,
    framing: Framing,
    read_deadline: Pin<Box<Sleep>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> WatchedIo<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>, settings: &ConnectionSettings) -> Self {
        let header_timeout = Duration::from_millis(settings.timeouts_ms.header);
        Self {
            inner: TokioIo::new(stream),
            activity,
            header_timeout,
            idle_timeout: Duration::from_millis(settings.timeouts_ms.idle),
            waiting: Waiting::Header,
            seen: 0,
            is_http2: false,
            framing: Framing::new(),
            read_deadline: Box::pin(tokio::time::sleep(header_timeout)),
            write_deadline: None,
        }
    }

    fn wait_for(&mut self, waiting: Waiting) {
        self.waiting = waiting;
        let limit = match waiting {
            Waiting::Busy => return,
            Waiting::Header => self.header_timeout,
            Waiting::Idle => self.idle_timeout,
        };
        self.read_deadline.as_mut().reset(Instant::now() + limit);
    }

    /// Bytes came: they may begin a header.
    fn bytes_came(&mut self) {
        let begun = self.activity.begun.load(Ordering::Relaxed);
        let is_header = self.waiting == Waiting::Header && begun == self.seen;
        if self.activity.under_way.load(Ordering::Relaxed) == 0 && !is_header {
            self.seen = begun;
            let next = if self.is_http2 { Waiting::Idle } else { Waiting::Header };
            self.wait_for(next);
        }
    }

    /// No bytes are there: is it too late for them?
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.activity.under_way.load(Ordering::Relaxed) > 0 {
            self.waiting = Waiting::Busy;
            self.seen = self.activity.begun.load(Ordering::Relaxed);
            return false;
        }
        let begun = self.activity.begun.load(Ordering::Relaxed);
        if self.waiting == Waiting::Busy || begun != self.seen {
            self.seen = begun;
            // The next header may have begun to come while the answer was made.
            let begun = !self.is_http2 && self.framing.is_within_head();
            self.wait_for(if begun { Waiting::Header } else { Waiting::Idle });
        }
        self.read_deadline.as_mut().poll(cx).is_ready()
    }
}

impl<S: AsyncRead + Unpin> Read for WatchedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // Through a buffer of our own, because how much came is not seen through the cursor.
        let mut bytes = [0_u8; 8_192];
        let room = buf.remaining().min(bytes.len());
        let mut read = tokio::io::ReadBuf::new(bytes.get_mut(..room).unwrap_or_default());
        let this = &mut *self;
        match Pin::new(this.inner.inner_mut()).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) => {
                let filled = read.filled();
                if !filled.is_empty() {
                    if this.activity.begun.load(Ordering::Relaxed) == 0
                        && filled.starts_with(b"PRI * HTTP/2")
                    {
                        this.is_http2 = true;
                    }
                    if !this.is_http2 {
                        this.framing.push(filled);
                    }
                    buf.put_slice(filled);
                    this.bytes_came();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if this.is_late(cx) => {
                Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> WatchedIo<S> {
    /// A write that makes no progress for too long is an error.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write_deadline = None;
            return result;
        }
        let stall = Duration::from_millis(limits::WRITE_STALL_MS);
        let deadline =
            self.write_deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> Write for WatchedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch_write(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch_write(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch_write(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch_write(cx, result)
    }
}
