//! Reads `multipart/mixed` as it comes, without having it all in memory (RFC 2046, 5.1).

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use ruma::exports::http::HeaderMap;

use crate::outgoing::BodyStream;

/// Bytes before the first part, of a part that is skipped, and of the headers of a part, at most.
const SKIPPED_MAX: usize = 64 * 1024;
/// Headers of a part.
const HEADERS_MAX: usize = 32;

/// The headers of a part, in lower case.
#[derive(Debug, Default)]
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Those of a whole answer.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |(name, value): (&_, &ruma::exports::http::HeaderValue)| {
            let name: &ruma::exports::http::HeaderName = name;
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Self(headers.iter().filter_map(text).collect())
    }

    fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let lines = text.lines().filter_map(|line| line.split_once(':')).take(HEADERS_MAX);
        let lines = lines.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()));
        Self(lines.map(|(name, value)| (name, value.to_owned())).collect())
    }

    /// A header; none if it is not there or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// A body in parts.
pub(super) struct Multipart {
    source: BodyStream,
    buffer: BytesMut,
    /// What stands between two parts.
    delimiter: Vec<u8>,
}

impl Multipart {
    pub(super) fn new(source: BodyStream, boundary: &str) -> Self {
        // The line break before the first delimiter may be missing.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Self { source, buffer, delimiter: format!("\r\n--{boundary}").into_bytes() }
    }

    /// Goes on to the next part and reads its headers.
    pub(super) async fn headers(&mut self) -> Result<Headers, String> {
        self.skip_past(|multipart| find(&multipart.buffer, &multipart.delimiter)).await?;
        if self.buffer.starts_with(b"--") {
            return Err("parts are missing".to_owned());
        }
        // What stands in the line of the delimiter is padding.
        self.skip_past(|multipart| find(&multipart.buffer, b"\n")).await?;
        let mut headers = Vec::new();
        loop {
            let line = self.skip_past(|multipart| find(&multipart.buffer, b"\n")).await?;
            if matches!(&line[..], b"\n" | b"\r\n") {
                return Ok(Headers::parse(&headers));
            }
            headers.extend_from_slice(&line);
            if headers.len() > SKIPPED_MAX {
                return Err("its headers are too long".to_owned());
            }
        }
    }

    /// Leaves out the body of a part.
    pub(super) async fn skip_body(&mut self) -> Result<(), String> {
        // The delimiter stays: `headers` reads it.
        let skipped = self.skip_past(|multipart| find(&multipart.buffer, &multipart.delimiter));
        let skipped = skipped.await?;
        let delimiter = skipped.len().saturating_sub(self.delimiter.len());
        let mut buffer = BytesMut::from(skipped.get(delimiter..).unwrap_or_default());
        buffer.extend_from_slice(&self.buffer);
        self.buffer = buffer;
        Ok(())
    }

    /// The body of this part, up to the next delimiter.
    pub(super) fn into_body(self) -> impl Stream<Item = Result<Bytes, String>> + Send {
        stream::try_unfold(Some(self), |multipart| async {
            let Some(mut multipart) = multipart else { return Ok(None) };
            loop {
                if let Some(end) = start(&multipart.buffer, &multipart.delimiter) {
                    let last = multipart.buffer.split_to(end).freeze();
                    return Ok(Some((last, None)));
                }
                // What may be the beginning of the delimiter waits.
                let sure = multipart.buffer.len().saturating_sub(multipart.delimiter.len());
                if sure > 0 {
                    let bytes = multipart.buffer.split_to(sure).freeze();
                    return Ok(Some((bytes, Some(multipart))));
                }
                multipart.more().await?;
            }
        })
    }

    /// Takes everything up to what is looked for, with it.
    async fn skip_past(
        &mut self,
        end: impl Fn(&Self) -> Option<usize>,
    ) -> Result<BytesMut, String> {
        loop {
            if let Some(end) = end(self) {
                return Ok(self.buffer.split_to(end));
            }
            if self.buffer.len() > SKIPPED_MAX {
                return Err("its parts are too long".to_owned());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), String> {
        match self.source.next().await {
            Some(Ok(bytes)) => {
                self.buffer.extend_from_slice(&bytes);
                Ok(())
            }
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it ended too early".to_owned()),
        }
    }
}

/// Where something begins.
fn start(buffer: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    let mut from = 0;
    while let Some(at) = buffer.get(from..)?.iter().position(|byte| byte == first) {
        let at = from + at;
        if buffer.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Where something ends.
fn find(buffer: &[u8], wanted: &[u8]) -> Option<usize> {
    start(buffer, wanted).map(|at| at + wanted.len())
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    fn source(text: &str, step: usize) -> BodyStream {
        let chunks: Vec<_> =
            text.as_bytes().chunks(step).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
        stream::iter(chunks).boxed()
    }

    async fn second(text: &str, step: usize) -> Result<(Headers, Vec<u8>), String> {
        let mut parts = Multipart::new(source(text, step), "xyz");
        parts.headers().await?;
        parts.skip_body().await?;
        let headers = parts.headers().await?;
        let body: Vec<Bytes> = Box::pin(parts.into_body()).try_collect().await?;
        Ok((headers, body.concat()))
    }

    #[tokio::test]
    async fn the_second_part_is_read_however_it_comes() {
        let body = "line\r\n--xy\r\n\r\n--x\r--xyz end";
        let whole = format!(
            "--xyz\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--xyz\r\n\
             Content-Type: text/plain\r\nContent-Disposition: inline; filename=a.txt\r\n\r\n\
             {body}\r\n--xyz--\r\n"
        );
        for step in [1, 2, 3, 7, 1_000] {
            for text in [whole.clone(), format!("preamble\r\n{whole}")] {
                let (headers, read) = second(&text, step).await.unwrap();
                assert_eq!(headers.get("content-type"), Some("text/plain"));
                assert_eq!(String::from_utf8(read).unwrap(), body, "{step}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_cut_short_or_endless_is_refused() {
        let whole = "--xyz\r\n\r\n{}\r\n--xyz\r\nA: b\r\n\r\nbody\r\n--xyz--";
        assert!(second(whole, 5).await.is_ok());
        for cut in 0..whole.len() - 2 {
            assert!(second(&whole[..cut], 5).await.is_err(), "{cut}");
        }
        assert!(second("--xyz\r\n\r\n{}\r\n--xyz--", 5).await.is_err());
        assert!(second(&"x".repeat(200_000), 5_000).await.is_err());
        let endless = format!("--xyz\r\n\r\n{}", "x".repeat(200_000));
        assert!(second(&endless, 5_000).await.is_err());
    }
}
