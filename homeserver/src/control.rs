//! A socket in the data directory through which `pli-homeserver backup` reaches the running server:
//! only one process may have the store open.
//!
//! One request per connection: `backup PATH`. The answer is lines: `progress ROWS BYTES`, then
//! `done …` or `error …`. Only the owner of the data directory can connect.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use pli_core::Store;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// Longest request, in bytes.
const REQUEST_BYTES: u64 = 8_192;
/// Progress lines that may wait to be read.
const PROGRESS_WAITING: usize = 64;

/// How far a backup is, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// So many rows and bytes so far.
    Progress {
        /// Rows.
        rows: u64,
        /// Bytes.
        size_bytes: u64,
    },
    /// It is done; the text tells what.
    Done(String),
    /// It failed; the text tells why.
    Error(String),
}

/// Serves the socket until `stop` is cancelled.
///
/// # Errors
/// If the socket cannot be made.
pub async fn serve(path: PathBuf, store: Store, stop: CancellationToken) -> io::Result<()> {
    match tokio::fs::remove_file(&path).await {
        // Left behind by a process that was killed: the store's lock tells that it is gone.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&path)?;
    tokio::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).await?;
    tokio::spawn(async move {
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    let store = store.clone();
                    tokio::spawn(async move {
                        if let Err(error) = answer(stream, store).await {
                            tracing::warn!(%error, "the control socket");
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "the control socket"),
            }
        }
        if let Err(error) = tokio::fs::remove_file(&path).await {
            tracing::debug!(%error, "the control socket");
        }
    });
    Ok(())
}

async fn answer(stream: UnixStream, store: Store) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let limited = tokio::io::AsyncReadExt::take(read, REQUEST_BYTES);
    BufReader::new(limited).read_line(&mut line).await?;
    let Some(path) = line.trim_end().strip_prefix("backup ") else {
        return write.write_all(b"error unknown request\n").await;
    };
    let (sender, mut progress) = mpsc::channel(PROGRESS_WAITING);
    let backup = store.backup(PathBuf::from(path), move |at| {
        // Whoever reads too slowly misses some progress, nothing else.
        let _ = sender.try_send((at.rows, at.size_bytes));
    });
    tokio::pin!(backup);
    let report = loop {
        tokio::select! {
            report = &mut backup => break report,
            Some((rows, size_bytes)) = progress.recv() => {
                write.write_all(format!("progress {rows} {size_bytes}\n").as_bytes()).await?;
            }
        }
    };
    let last = match report {
        Ok(report) => format!("done {} {} bytes\n", report.entries, report.size_bytes),
        Err(error) => format!("error {error}\n"),
    };
    write.write_all(last.as_bytes()).await
}

/// Asks the running server for a backup; `None` if no server runs there.
///
/// # Errors
/// If the connection breaks.
pub async fn request_backup(
    socket: &Path,
    file: &Path,
    mut progress: impl FnMut(u64, u64),
) -> io::Result<Option<Answer>> {
    let Ok(stream) = UnixStream::connect(socket).await else { return Ok(None) };
    let (read, mut write) = stream.into_split();
    write.write_all(format!("backup {}\n", file.display()).as_bytes()).await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        match parse(&line) {
            Some(Answer::Progress { rows, size_bytes }) => progress(rows, size_bytes),
            Some(last) => return Ok(Some(last)),
            None => {}
        }
    }
    Err(io::Error::from(io::ErrorKind::UnexpectedEof))
}

fn parse(line: &str) -> Option<Answer> {
    let (word, rest) = line.split_once(' ')?;
    match word {
        "progress" => {
            let (rows, size_bytes) = rest.split_once(' ')?;
            Some(Answer::Progress {
                rows: rows.parse().ok()?,
                size_bytes: size_bytes.parse().ok()?,
            })
        }
        "done" => Some(Answer::Done(rest.to_owned())),
        "error" => Some(Answer::Error(rest.to_owned())),
        _ => None,
    }
}
