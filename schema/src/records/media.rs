//! Uploaded files. Their bytes are not in the store. (Client-Server API, "Content repository".)

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use crate::{Record, table};

/// The SHA-256 of a file's bytes: its name on disk.
pub type ContentHash = [u8; 32];

/// A file by its Matrix identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRecord {
    /// The bytes; `None` while the identifier waits for its upload.
    pub content: Option<MediaContent>,
    /// Who made the identifier.
    pub uploader: OwnedUserId,
    /// When, in milliseconds since 1970.
    pub created_ms: u64,
}

impl Record for MediaRecord {}

/// What was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaContent {
    /// The hash of the bytes.
    pub hash: ContentHash,
    /// Their number.
    pub size_bytes: u64,
    /// The content type that the uploader gave.
    pub content_type: Option<String>,
    /// The file name that the uploader gave.
    pub file_name: Option<String>,
}

/// Bytes on disk, shared by all files with the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaBytesRecord {
    /// Their number.
    pub size_bytes: u64,
    /// How many identifiers and thumbnails name them.
    pub uses: u64,
}

impl Record for MediaBytesRecord {}

/// A thumbnail that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThumbnailRecord {
    /// The hash of the thumbnail's bytes.
    pub hash: ContentHash,
    /// Their number.
    pub size_bytes: u64,
    /// Their content type.
    pub content_type: String,
}

impl Record for ThumbnailRecord {}

/// Content that nobody gets any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// The admin who decided it.
    pub by: OwnedUserId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Record for QuarantineRecord {}

/// What a user has uploaded and not deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaUsageRecord {
    /// Files.
    pub files: u64,
    /// Their bytes, whether others have uploaded the same or not.
    pub bytes: u64,
}

impl Record for MediaUsageRecord {}

/// What was found behind a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlPreviewRecord {
    /// The answer to clients, a JSON object.
    pub json: String,
    /// The picture, a file of this server that is kept for this preview.
    pub image: Option<String>,
}

impl Record for UrlPreviewRecord {}

table! {
    /// A file of a server.
    Media: pub struct MediaKey { server_name: String, media_id: String } => MediaRecord;
    /// Bytes on disk.
    MediaBytes: pub struct MediaBytesKey { hash: ContentHash } => MediaBytesRecord;
    /// Thumbnails of bytes; `method` is 0 for `crop` and 1 for `scale`, and 2 more for animated ones. A
    /// record with the hash of the key says that the image itself is the thumbnail.
    Thumbnail: pub struct ThumbnailKey {
        hash: ContentHash, width: u32, height: u32, method: u8,
    } => ThumbnailRecord;
    /// Identifiers that wait for their upload, by user.
    PendingMedia: pub struct PendingMediaKey { user_id: OwnedUserId, media_id: String } => u64;
    /// Content that was taken out of circulation, whatever identifiers it has.
    QuarantinedMedia: pub struct QuarantineKey { hash: ContentHash } => QuarantineRecord;
    /// What users have uploaded.
    MediaUsage: pub struct MediaUsageKey { user_id: OwnedUserId } => MediaUsageRecord;
    /// The files of a user in the order of their upload, with their sizes in bytes.
    MediaOfUser: pub struct MediaOfUserKey {
        user_id: OwnedUserId, created_ms: u64, media_id: String,
    } => u64;
    /// Previews of links, by the SHA-256 of language and address and the time of the look.
    UrlPreview: pub struct UrlPreviewKey { url: [u8; 32], at_ms: u64 } => UrlPreviewRecord;
}
