//! Accounts, devices, tokens, profiles, e-mail addresses and their validation.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::{EmailAddress, Language, Record, table};

/// SHA-256 of a secret. Secrets themselves are never stored.
pub type SecretHash = [u8; 32];

/// What kind of person or program has the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AccountKind {
    /// An agent of an administration, or a bot of one.
    Agent,
    /// An external person.
    Guest,
    /// A guest in the sense of the specification ("Guest access"): no password, limited rights.
    MatrixGuest,
}

/// An account of this server. Its name is never given to another account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Argon2id hash in PHC form; `None` if nobody can log in with a password.
    pub password_hash: Option<String>,
    /// The kind.
    pub kind: AccountKind,
    /// May use the admin API.
    pub admin: bool,
    /// It was registered with a proven e-mail address (and its name comes from it).
    pub from_email: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The language of its owner, for mails.
    pub language: Language,
    /// It was closed for good.
    pub deactivated: bool,
    /// Its owner wished their traces to be erased ("Account deactivation", `erase`).
    pub erased: bool,
    /// An admin has locked it.
    pub locked: bool,
    /// An admin has suspended it.
    pub suspended: bool,
}

impl Record for AccountRecord {}

/// A field of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// The value as JSON text.
    pub json: String,
}

impl Record for ProfileRecord {}

/// An access token with the refresh token that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPair {
    /// Hash of the access token.
    pub access: SecretHash,
    /// Hash of the refresh token.
    pub refresh: Option<SecretHash>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// What its owner calls it.
    pub display_name: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last seen, in milliseconds since 1970 (coarse).
    pub last_seen_ms: u64,
    /// From which address it was last seen.
    pub last_seen_ip: Option<String>,
    /// Its live tokens. More than one pair lives only from a refresh until the new pair is used.
    pub tokens: Vec<TokenPair>,
}

impl Record for DeviceRecord {}

/// An access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenRecord {
    /// Whose.
    pub user_id: OwnedUserId,
    /// Which device's.
    pub device_id: OwnedDeviceId,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// It came from a refresh and was not used yet: the tokens before it still live.
    pub unconfirmed: bool,
}

impl Record for AccessTokenRecord {}

/// A refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshTokenRecord {
    /// Whose.
    pub user_id: OwnedUserId,
    /// Which device's.
    pub device_id: OwnedDeviceId,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

impl Record for RefreshTokenRecord {}

/// Who has proven to own an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailOwnerRecord {
    /// The account.
    pub user_id: OwnedUserId,
    /// When the proof was given, in milliseconds since 1970.
    pub validated_at_ms: u64,
    /// When the address was added, in milliseconds since 1970.
    pub added_at_ms: u64,
}

impl Record for EmailOwnerRecord {}

/// What a proof of an e-mail address is for. A proof is good for its purpose only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Purpose {
    /// To register an account.
    Register = 0,
    /// To set a new password.
    ResetPassword = 1,
    /// To add the address to an account.
    AddEmail = 2,
    /// To renew the account that has the address.
    Renew = 3,
}

/// What the mail of a validation session says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Letter {
    /// A code and a link.
    Code,
    /// That there is an account already; no code.
    AccountExists,
    /// That there is no account; no code.
    NoAccount,
}

/// An e-mail validation session. Purpose, address and secret never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// What it is for.
    pub purpose: Purpose,
    /// The address that was checked and that gets the mail.
    pub address: EmailAddress,
    /// Hash of the client's secret.
    pub client_secret: SecretHash,
    /// The language of the mail.
    pub language: Language,
    /// What the mail says.
    pub letter: Letter,
    /// The greatest `send_attempt` for which a mail was made.
    pub send_attempt: u64,
    /// Hash of the six-digit code of the newest mail (with the session's id, since it is short).
    pub code: Option<SecretHash>,
    /// Hash of the token in the link of the newest mail.
    pub token: Option<SecretHash>,
    /// Wrong codes and tokens so far.
    pub wrong_tries: u32,
    /// When the code ends, in milliseconds since 1970.
    pub expires_at_ms: u64,
    /// When the proof was given, in milliseconds since 1970.
    pub validated_at_ms: Option<u64>,
    /// The proof has been used; it cannot be used again.
    pub used: bool,
}

impl Record for ValidationRecord {}

/// The validation session of a client's secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationByClientRecord {
    /// The session's id.
    pub sid: String,
}

impl Record for ValidationByClientRecord {}

/// A registration token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationTokenRecord {
    /// What it is for, in the words of the admin who made it. Never the token.
    pub label: String,
    /// Accounts that it may make; `None` for any number.
    pub uses_allowed: Option<u32>,
    /// Accounts that it has made.
    pub uses: u32,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// The account becomes an admin.
    pub makes_admin: bool,
    /// Who made it; `None` for the server itself.
    pub created_by: Option<OwnedUserId>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl Record for RegistrationTokenRecord {}

/// A token for `m.login.token`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginTokenRecord {
    /// Whose.
    pub user_id: OwnedUserId,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

impl Record for LoginTokenRecord {}

table! {
    /// An account.
    Account: pub struct AccountKey { user_id: OwnedUserId } => AccountRecord;
    /// A field of a local user's profile (`displayname`, `avatar_url`, …).
    Profile: pub struct ProfileKey { user_id: OwnedUserId, field: String } => ProfileRecord;
    /// A device.
    Device: pub struct DeviceKey { user_id: OwnedUserId, device_id: OwnedDeviceId } => DeviceRecord;
    /// An access token.
    AccessToken: pub struct AccessTokenKey { hash: SecretHash } => AccessTokenRecord;
    /// A refresh token.
    RefreshToken: pub struct RefreshTokenKey { hash: SecretHash } => RefreshTokenRecord;
    /// The owner of an e-mail address (in canonical form).
    EmailOwner: pub struct EmailOwnerKey { address: String } => EmailOwnerRecord;
    /// An e-mail address of an account.
    AccountEmail: pub struct AccountEmailKey { user_id: OwnedUserId, address: String } => ();
    /// A validation session.
    Validation: pub struct ValidationKey { sid: String } => ValidationRecord;
    /// The validation session of a client's secret; `purpose` is a [`Purpose`].
    ValidationByClient: pub struct ValidationByClientKey {
        client_secret: SecretHash, purpose: u8,
    } => ValidationByClientRecord;
    /// A registration token.
    RegistrationToken: pub struct RegistrationTokenKey { hash: SecretHash } => RegistrationTokenRecord;
    /// A login token.
    LoginToken: pub struct LoginTokenKey { hash: SecretHash } => LoginTokenRecord;
    /// An admin.
    Admin: pub struct AdminKey { user_id: OwnedUserId } => ();
}
