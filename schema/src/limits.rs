//! Every limit of the HTTP layer in one place. Quality: everything that can grow has a bound.

/// Largest body of a request where the endpoint does not say otherwise, in bytes. Key uploads are the
/// largest of the ordinary ones; an event is at most 64 KiB.
pub const BODY_BYTES: usize = 1024 * 1024;

/// Largest total size of a request's headers, in bytes.
pub const HEADER_BYTES: usize = 32 * 1024;

/// Headers of a request, at most.
pub const HEADERS: usize = 100;

/// Streams at once on one HTTP/2 connection.
pub const HTTP2_STREAMS: u32 = 250;

/// Bytes of a request's body that earn one more second of time.
pub const BODY_BYTES_PER_EXTRA_SECOND: u64 = 16 * 1024;

/// Time without progress while a response is written before the connection is closed, in
/// milliseconds.
pub const WRITE_STALL_MS: u64 = 60_000;

/// Keys that the rate limiters remember, at most, per class; above, the oldest are forgotten.
pub const RATE_LIMIT_KEYS: usize = 100_000;

/// Largest body of a transaction of another server, in bytes: 50 events and 100 EDUs, most of which are
/// far smaller than an event may be.
pub const TRANSACTION_BYTES: usize = 16 * 1024 * 1024;
