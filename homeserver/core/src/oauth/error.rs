//! Why an OAuth request is refused.
//!
//! RFC 6749, 5.2 and 4.1.2.1; RFC 7591, 3.2.2; RFC 8628, 3.5.

use pli_store::StoreError;

use crate::Error;

/// The result of an OAuth decision.
pub type OauthResult<T> = Result<T, OauthError>;

/// A refusal; each has its code in the RFCs. The text is for the client's developer.
#[derive(Debug, thiserror::Error)]
pub enum OauthError {
    /// Something is missing, malformed, or there twice (`invalid_request`).
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// There is no such client (`invalid_client`).
    #[error("There is no such client")]
    InvalidClient,
    /// Code or token is not (or no longer) valid, or is another client's (`invalid_grant`).
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// The client has not registered for this grant (`unauthorized_client`).
    #[error("The client has not registered for this grant")]
    UnauthorizedClient,
    /// (`unsupported_grant_type`)
    #[error("This type of grant is not known")]
    UnsupportedGrantType,
    /// (`unsupported_response_type`)
    #[error("Only the response type code is known")]
    UnsupportedResponseType,
    /// The scope is not one that can be granted (`invalid_scope`).
    #[error("{0}")]
    InvalidScope(&'static str),
    /// The person has said no (`access_denied`).
    #[error("The person has not agreed")]
    AccessDenied,
    /// Nobody can be asked without showing a page (`interaction_required`).
    #[error("The person must be asked")]
    InteractionRequired,
    /// The person has not answered yet (`authorization_pending`).
    #[error("The person has not answered yet")]
    AuthorizationPending,
    /// The client asks too often (`slow_down`).
    #[error("Ask less often")]
    SlowDown,
    /// The device code is too old (`expired_token`).
    #[error("The device code is too old")]
    ExpiredToken,
    /// (`invalid_redirect_uri`)
    #[error("{0}")]
    InvalidRedirectUri(&'static str),
    /// (`invalid_client_metadata`)
    #[error("{0}")]
    InvalidClientMetadata(&'static str),
    /// A decision of the rest of the core.
    #[error(transparent)]
    Core(#[from] Error),
}

impl From<StoreError> for OauthError {
    fn from(error: StoreError) -> Self {
        Self::Core(Error::Store(error))
    }
}

impl OauthError {
    /// The code of the RFCs; `server_error` and `temporarily_unavailable` for what is no fault of the
    /// client.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::InteractionRequired => "interaction_required",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InvalidRedirectUri(_) => "invalid_redirect_uri",
            Self::InvalidClientMetadata(_) => "invalid_client_metadata",
            Self::Core(Error::LimitExceeded { .. }) => "temporarily_unavailable",
            Self::Core(Error::Store(_) | Error::Bug(_)) => "server_error",
            Self::Core(_) => "invalid_grant",
        }
    }
}
