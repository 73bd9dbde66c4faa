//! An answer of a server.

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// The body; null if it is no JSON.
    pub body: Value,
}

impl Reply {
    /// The body of a 200.
    ///
    /// # Panics
    /// For any other status.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Asserts status and errcode.
    ///
    /// # Panics
    /// If they are others.
    #[track_caller]
    pub fn refused(self, status: u16, errcode: &str) -> Value {
        assert_eq!((self.status, self.errcode()), (status, errcode), "{}", self.body);
        self.body
    }

    /// The errcode; empty if there is none.
    #[must_use]
    pub fn errcode(&self) -> &str {
        self.body["errcode"].as_str().unwrap_or_default()
    }
}
