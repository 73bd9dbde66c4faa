//! Where one HTTP/1 request ends and the next begins, as far as the connection's clock needs to know: a
//! client may send the beginning of its next header while it waits for an answer, and that beginning
//! counts as a header that must be finished in time, not as an idle connection.

/// How much of a line is kept: the headers that matter are short.
const LINE_MAX: usize = 64;

/// What the bytes that came so far end in.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    line: Vec<u8>,
    /// `content-length` of the head that is being read.
    length: u64,
    is_chunked: bool,
    has_lines: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before or in a head.
    Head,
    /// In a body of which so many bytes are to come.
    Body(u64),
    /// In a body whose end is seen by its last bytes only.
    Chunked([u8; 4]),
}

impl Framing {
    pub(super) const fn new() -> Self {
        Self {
            place: Place::Head,
            line: Vec::new(),
            length: 0,
            is_chunked: false,
            has_lines: false,
        }
    }

    /// Whether a head has begun and is not finished. Where a chunked body may have ended or not: yes.
    pub(super) fn is_within_head(&self) -> bool {
        match self.place {
            Place::Head => self.has_lines || !self.line.is_empty(),
            Place::Body(_) => false,
            Place::Chunked(_) => true,
        }
    }

    /// Takes in bytes of the connection.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.place {
                Place::Head => {
                    let line_end = bytes.iter().position(|byte| *byte == b'\n');
                    let end = line_end.map_or(bytes.len(), |at| at.saturating_add(1));
                    let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                    let room = LINE_MAX.saturating_sub(self.line.len()).min(line.len());
                    self.line.extend_from_slice(line.get(..room).unwrap_or_default());
                    if line_end.is_some() {
                        self.end_line();
                    }
                    bytes = rest;
                }
                Place::Body(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left.saturating_sub(u64::try_from(here).unwrap_or(left));
                    self.place = if left == 0 { Place::Head } else { Place::Body(left) };
                    bytes = bytes.get(here..).unwrap_or_default();
                }
                Place::Chunked(last) => {
                    let seen: Vec<u8> = last.iter().chain(bytes).copied().collect();
                    let last = seen.last_chunk::<4>().copied().unwrap_or_default();
                    let is_end = last == *b"\r\n\r\n";
                    self.place = if is_end { Place::Head } else { Place::Chunked(last) };
                    return;
                }
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.to_ascii_lowercase();
        self.line.clear();
        let line = line.trim_ascii();
        if !line.is_empty() {
            self.has_lines = true;
            if let Some(value) = line.strip_prefix(b"content-length:") {
                let value = std::str::from_utf8(value).unwrap_or_default();
                self.length = value.trim().parse().unwrap_or_default();
            } else if line.starts_with(b"transfer-encoding:") {
                self.is_chunked = true;
            }
        } else if self.has_lines {
            self.place = match (self.is_chunked, self.length) {
                (true, _) => Place::Chunked([0; 4]),
                (false, 0) => Place::Head,
                (false, length) => Place::Body(length),
            };
            (self.length, self.is_chunked, self.has_lines) = (0, false, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_end_where_their_bodies_do() {
        let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\r\n\r\n";
        let chunked = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        for (text, within) in [
            (String::new(), false),
            (get.to_owned(), false),
            (post.to_owned(), false),
            (chunked.to_owned(), false),
            (format!("{get}{post}{get}"), false),
            (format!("{get}G"), true),
            (format!("{post}GET / HTTP/1.1\r\n"), true),
            (format!("{chunked}GET / HTTP/1.1\r\nHo"), true),
            ("POST / HTTP/1.1\r\nContent-Length: 50\r\n\r\nabc".to_owned(), false),
        ] {
            for size in [1, 3, 7, 1_000] {
                let mut framing = Framing::new();
                for part in text.as_bytes().chunks(size) {
                    framing.push(part);
                }
                assert_eq!(framing.is_within_head(), within, "{text:?} by {size}");
            }
        }
    }
}
