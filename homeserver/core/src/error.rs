//! The core's error: one variant per decision. The api turns it into a Matrix error in one table.

use pli_store::StoreError;
use ruma::api::client::uiaa::UiaaInfo;

/// The result of a decision.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a service did not answer a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PingFailure {
    /// Its registration has no address (`M_URL_NOT_SET`).
    UrlNotSet,
    /// It answered with an error (`M_BAD_STATUS`).
    BadStatus {
        /// The status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// There was no connection (`M_CONNECTION_FAILED`).
    ConnectionFailed,
    /// It took too long (`M_CONNECTION_TIMEOUT`).
    ConnectionTimeout,
}

/// Why something was not done. The text is for the person or the client's developer; it holds no
/// internal detail. Names follow the errcodes of the specification ("Standard error response").
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The action is not allowed (`M_FORBIDDEN`).
    #[error("{0}")]
    Forbidden(String),
    /// Guests may not do this (`M_GUEST_ACCESS_FORBIDDEN`).
    #[error("{0}")]
    GuestAccessForbidden(String),
    /// There is no such thing, or it is hidden (`M_NOT_FOUND`).
    #[error("{0}")]
    NotFound(String),
    /// No access token was given (`M_MISSING_TOKEN`).
    #[error("Missing access token")]
    MissingToken,
    /// The access token is not known (any more) (`M_UNKNOWN_TOKEN`).
    #[error("Unknown access token")]
    UnknownToken {
        /// The client may keep its data and log in again.
        soft_logout: bool,
    },
    /// The body is not what the endpoint takes (`M_BAD_JSON`).
    #[error("{0}")]
    BadJson(String),
    /// The server keeps this data itself (`M_BAD_JSON` with status 405, account data).
    #[error("{0}")]
    ServerManaged(String),
    /// The body is no JSON (`M_NOT_JSON`).
    #[error("{0}")]
    NotJson(String),
    /// A parameter is missing (`M_MISSING_PARAM`).
    #[error("{0}")]
    MissingParam(String),
    /// A parameter has a wrong value (`M_INVALID_PARAM`).
    #[error("{0}")]
    InvalidParam(String),
    /// The signature of another server is missing or wrong (401 `M_UNAUTHORIZED`).
    #[error("{0}")]
    Unauthorized(String),
    /// Another server could not be asked (502 `M_UNKNOWN`).
    #[error("The other server could not be asked: {0}")]
    RemoteUnavailable(String),
    /// The server does not know the request (`M_UNRECOGNIZED`, 404).
    #[error("Unrecognized request")]
    Unrecognized,
    /// The body, event or file is too large (`M_TOO_LARGE`).
    #[error("{0}")]
    TooLarge(String),
    /// The profile would be above 64 KiB (`M_PROFILE_TOO_LARGE`).
    #[error("{0}")]
    ProfileTooLarge(String),
    /// The name of a profile field is above 255 bytes (`M_KEY_TOO_LARGE`).
    #[error("{0}")]
    KeyTooLarge(String),
    /// Too many requests (`M_LIMIT_EXCEEDED`).
    #[error("Too many requests")]
    LimitExceeded {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The user name is taken (`M_USER_IN_USE`).
    #[error("{0}")]
    UserInUse(String),
    /// The user name is not valid (`M_INVALID_USERNAME`).
    #[error("{0}")]
    InvalidUsername(String),
    /// The name belongs to an application service (`M_EXCLUSIVE`).
    #[error("{0}")]
    Exclusive(String),
    /// The alias is taken (`M_ROOM_IN_USE`).
    #[error("{0}")]
    RoomInUse(String),
    /// The alias that is to be made is taken (409 `M_UNKNOWN`, as the endpoint's specification has it).
    #[error("{0}")]
    AliasInUse(String),
    /// The user takes no invites (`M_INVITE_BLOCKED`).
    #[error("{0}")]
    InviteBlocked(String),
    /// The initial state of a room is not valid (`M_INVALID_ROOM_STATE`).
    #[error("{0}")]
    InvalidRoomState(String),
    /// The server does not support the room version (`M_UNSUPPORTED_ROOM_VERSION`).
    #[error("{0}")]
    UnsupportedRoomVersion(String),
    /// The caller does not support the room's version (`M_INCOMPATIBLE_ROOM_VERSION`).
    #[error("{message}")]
    IncompatibleRoomVersion {
        /// The text.
        message: String,
        /// The room's version.
        room_version: String,
    },
    /// The room's state does not allow it (`M_BAD_STATE`).
    #[error("{0}")]
    BadState(String),
    /// An alias does not point to the room (`M_BAD_ALIAS`).
    #[error("{0}")]
    BadAlias(String),
    /// The e-mail address may not be used here (`M_THREEPID_DENIED`).
    #[error("{0}")]
    ThreepidDenied(String),
    /// The e-mail address is used already (`M_THREEPID_IN_USE`).
    #[error("{0}")]
    ThreepidInUse(String),
    /// The e-mail address belongs to no account (`M_THREEPID_NOT_FOUND`).
    #[error("{0}")]
    ThreepidNotFound(String),
    /// The proof of the e-mail address is not valid (`M_THREEPID_AUTH_FAILED`).
    #[error("{0}")]
    ThreepidAuthFailed(String),
    /// The invite into the room of the server's notices cannot be turned down
    /// (`M_CANNOT_LEAVE_SERVER_NOTICE_ROOM`).
    #[error("{0}")]
    CannotLeaveServerNoticeRoom(String),
    /// The server does not trust the identity server (`M_SERVER_NOT_TRUSTED`).
    #[error("{0}")]
    ServerNotTrusted(String),
    /// The proof of a third-party identifier could not be had (`M_THREEPID_AUTH_FAILED` with status 403).
    #[error("{0}")]
    ThreepidUnverified(String),
    /// A validation session or its secret is not known (`M_NO_VALID_SESSION`).
    #[error("{0}")]
    NoValidSession(String),
    /// The session has expired (`M_SESSION_EXPIRED`).
    #[error("{0}")]
    SessionExpired(String),
    /// The password is too weak (`M_WEAK_PASSWORD` or one of MSC2000's errcodes, given as `errcode`).
    #[error("{message}")]
    WeakPassword {
        /// `M_WEAK_PASSWORD`, `M_PASSWORD_TOO_SHORT`, …
        errcode: &'static str,
        /// The text.
        message: String,
    },
    /// The account must be renewed first (`ORG_MATRIX_EXPIRED_ACCOUNT`, as Synapse's modules have it).
    #[error("This account has expired; renew it with the link in the mail")]
    AccountExpired,
    /// The account is deactivated (`M_USER_DEACTIVATED`).
    #[error("This account has been deactivated")]
    UserDeactivated,
    /// The account is locked by an admin (`M_USER_LOCKED`).
    #[error("This account has been locked")]
    UserLocked,
    /// The account is suspended (`M_USER_SUSPENDED`).
    #[error("This account has been suspended")]
    UserSuspended,
    /// The version of a key backup is not the current one (`M_WRONG_ROOM_KEYS_VERSION`).
    #[error("Wrong backup version")]
    WrongRoomKeysVersion {
        /// The current version.
        current_version: String,
    },
    /// The same annotation exists already (`M_DUPLICATE_ANNOTATION`).
    #[error("{0}")]
    DuplicateAnnotation(String),
    /// No server can authorize a restricted join (`M_UNABLE_TO_AUTHORISE_JOIN`).
    #[error("{0}")]
    UnableToAuthorizeJoin(String),
    /// Nobody of this server may let somebody in for a restricted join (`M_UNABLE_TO_GRANT_JOIN`).
    #[error("{0}")]
    UnableToGrantJoin(String),
    /// Media of this id exists already (`M_CANNOT_OVERWRITE_MEDIA`).
    #[error("{0}")]
    CannotOverwriteMedia(String),
    /// Media of this id is not uploaded yet (`M_NOT_YET_UPLOADED`).
    #[error("{0}")]
    NotYetUploaded(String),
    /// A sliding-sync position is not known (`M_UNKNOWN_POS`).
    #[error("Unknown position")]
    UnknownPos,
    /// The event is not in the thread (MSC4306's `M_NOT_IN_THREAD`).
    #[error("The event is not in this thread")]
    NotInThread,
    /// The user has unsubscribed since (MSC4306's `M_CONFLICTING_UNSUBSCRIPTION`).
    #[error("The thread was unsubscribed after this event")]
    ConflictingUnsubscription,
    /// A signature is not valid (`M_INVALID_SIGNATURE`).
    #[error("{0}")]
    InvalidSignature(String),
    /// A delayed event would wait too long (MSC4140, `M_MAX_DELAY_EXCEEDED`).
    #[error("The delay is longer than this server allows")]
    MaxDelayExceeded {
        /// The longest delay, in milliseconds.
        max_delay_ms: u64,
    },
    /// Too many delayed events of the user wait (MSC4140, `M_MAX_DELAYED_EVENTS_EXCEEDED`).
    #[error("The maximum number of delayed events has been reached")]
    MaxDelayedEventsExceeded,
    /// A delayed event has ended in another way already (MSC4140, 409 `M_UNKNOWN`).
    #[error("{0}")]
    DelayedEventFinalised(String),
    /// The device that an application service names is not one of the user (`M_UNKNOWN_DEVICE`).
    #[error("{0}")]
    UnknownDevice(String),
    /// An application service did not answer a ping.
    #[error("The application service did not answer as it should")]
    Ping(PingFailure),
    /// The user must do one more step (401 with user-interactive authentication data).
    #[error("User-interactive authentication required")]
    Uia(Box<UiaaInfo>),
    /// The store failed. Reads may go on; nothing was half-written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that must not happen. The text goes to the log, not to the client.
    #[error("internal error: {0}")]
    Bug(String),
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $variant:ident),+ $(,)?) => {
        impl Error {$(
            $(#[$doc])*
            pub fn $name(text: impl Into<String>) -> Self {
                Self::$variant(text.into())
            }
        )+}
    };
}

constructors! {
    /// [`Self::Forbidden`] with this text.
    forbidden => Forbidden,
    /// [`Self::NotFound`] with this text.
    not_found => NotFound,
    /// [`Self::InvalidParam`] with this text.
    invalid_param => InvalidParam,
    /// [`Self::MissingParam`] with this text.
    missing_param => MissingParam,
    /// [`Self::BadJson`] with this text.
    bad_json => BadJson,
    /// [`Self::TooLarge`] with this text.
    too_large => TooLarge,
    /// [`Self::BadState`] with this text.
    bad_state => BadState,
    /// [`Self::Bug`] with this text.
    bug => Bug,
}
