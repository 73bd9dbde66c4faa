//! Files that messages carry: read to send, saved when received.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use matrix_sdk::Client;
use matrix_sdk::media::{MediaFormat, MediaRequestParameters};
use matrix_sdk::ruma::events::room::message::{MessageType, RoomMessageEventContent};

use crate::error::{CliError, Result};
use crate::event_view::EventView;

/// The longest file name that is kept, in bytes.
const NAME_MAX_BYTES: usize = 150;
/// How many files of the same name a folder may get.
const SAME_NAME_MAX: u32 = 10_000;

/// The content type of a file by its ending; the server and others treat it as a hint.
pub fn content_type(path: &Path) -> &'static str {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    match ending.as_str() {
        "txt" | "log" | "md" => "text/plain",
        "csv" => "text/csv",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "zip" => "application/zip",
        "odt" => "application/vnd.oasis.opendocument.text",
        "ods" => "application/vnd.oasis.opendocument.spreadsheet",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    }
}

/// Downloads, decrypts and saves the file of a message; `None` when it carries none.
///
/// # Errors
/// When the server, the key or the file system refuses.
pub async fn save(client: &Client, event: &EventView, dir: &Path) -> Result<Option<PathBuf>> {
    let Some(file) = event.file() else {
        return Ok(None);
    };
    let content: RoomMessageEventContent = match serde_json::from_value(event.content.clone()) {
        Ok(content) => content,
        Err(error) => return Err(CliError::Other(error.to_string())),
    };
    let source = match content.msgtype {
        MessageType::File(content) => content.source,
        MessageType::Image(content) => content.source,
        MessageType::Audio(content) => content.source,
        MessageType::Video(content) => content.source,
        _ => return Ok(None),
    };
    let request = MediaRequestParameters { source, format: MediaFormat::File };
    let bytes = client.media().get_media_content(&request, false).await?;
    write_new(dir, &safe_name(&file.name), &bytes).map(Some)
}

/// A name from someone else, made safe for this file system.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut safe: String = last
        .chars()
        .filter(|c| {
            !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .collect();
    while safe.len() > NAME_MAX_BYTES {
        safe.pop();
    }
    let safe = safe.trim_start_matches('.').trim();
    if safe.is_empty() { "file".to_owned() } else { safe.to_owned() }
}

/// Writes a new file; an existing one stays and the new one gets a number.
fn write_new(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    fs::create_dir_all(dir).map_err(|error| CliError::file(dir, error))?;
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    for number in 0..SAME_NAME_MAX {
        let path = match number {
            0 => dir.join(name),
            _ => dir.join(format!("{stem}-{number}{ending}")),
        };
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(bytes).map_err(|error| CliError::file(&path, error))?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(CliError::file(&path, error)),
        }
    }
    Err(CliError::file(&dir.join(name), "too many files of this name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        assert_eq!(safe_name("../../etc/passwd"), "passwd");
        assert_eq!(safe_name("..\\x.txt"), "x.txt");
        assert_eq!(safe_name(".bashrc"), "bashrc");
        assert_eq!(safe_name(".."), "file");
        assert_eq!(safe_name(""), "file");
        assert_eq!(safe_name("a\u{202e}fdp.exe"), "afdp.exe");
        assert!(safe_name(&"é".repeat(200)).len() <= NAME_MAX_BYTES);
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let first = write_new(dir.path(), "a.txt", b"1").unwrap();
        let second = write_new(dir.path(), "a.txt", b"2").unwrap();
        assert_eq!(fs::read(first).unwrap(), b"1");
        assert_eq!(second, dir.path().join("a-1.txt"));
    }

    #[test]
    fn types_by_ending() {
        assert_eq!(content_type(Path::new("x.PNG")), "image/png");
        assert_eq!(content_type(Path::new("x")), "application/octet-stream");
    }
}
