//! With whom this server speaks.

use ruma::ServerName;

use crate::{Error, Result};

/// The servers with which this one speaks, in either direction.
#[derive(Clone, Debug)]
pub struct Partners {
    enabled: bool,
    open: bool,
}

impl Partners {
    /// Nobody, unless `enabled`; everybody, if it is `open`.
    #[must_use]
    pub const fn new(enabled: bool, open: bool) -> Self {
        Self { enabled, open }
    }

    /// Whether this server takes part in federation.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Lets a server pass.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for one with which this server does not speak.
    pub async fn admit(&self, server: &ServerName) -> Result<()> {
        if !self.enabled {
            return Err(Error::forbidden("This server does not take part in federation"));
        }
        if !self.open {
            return Err(Error::forbidden(format!("This server does not speak with {server}")));
        }
        Ok(())
    }
}
