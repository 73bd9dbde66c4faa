//! The process that writes and is crashed: this test binary, started again.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use pli_store::{Store, StoreError};

use crate::workload::{Ack, WRITERS, options, runtime, send};

/// What the child does; absent in the parent.
const MODE: &str = "PLI_STORE_CHILD";
const DIR: &str = "PLI_STORE_DIR";
const FLAG: &str = "PLI_SHIM_FULL_FLAG";

/// How to start the child.
pub fn command(mode: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child::the_child", "--nocapture", "--test-threads=1"])
        .env(MODE, mode)
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Starts the child under the shim.
pub fn shimmed(command: &mut Command, dir: &Path, log: Option<&Path>) -> Child {
    command.env("LD_PRELOAD", shim()).env("PLI_SHIM_DIR", dir);
    if let Some(log) = log {
        command.env("PLI_SHIM_LOG", log);
    }
    command.spawn().unwrap()
}

/// Compiles the shim, once per process.
fn shim() -> PathBuf {
    static SHIM: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let compile = || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/record.c");
        let name = format!("pli-record-{}.so", std::process::id());
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&to)
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("the crash tests need a C compiler named cc, as linking Rust does");
        assert!(compiled.success());
        to
    };
    SHIM.get_or_init(compile).clone()
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn tell_ack(Ack { writer, n, position }: Ack) {
    tell(&format!("ACK {writer} {n} {position}"));
}

/// Not a test: what the child does when one of the tests starts it.
#[test]
fn the_child() {
    let Ok(mode) = std::env::var(MODE) else { return };
    let dir = PathBuf::from(std::env::var(DIR).unwrap());
    runtime().block_on(async {
        match mode.as_str() {
            "write" => write(&dir, u64::MAX).await,
            "reopen" => {
                for _ in 0..3 {
                    write(&dir, 25).await;
                }
                write(&dir, u64::MAX).await;
            }
            "fill" => fill(&dir).await,
            other => panic!("unknown mode {other}"),
        }
    });
}

/// Writes and tells each acknowledgement, until it is killed or each writer has written `count`.
async fn write(dir: &Path, count: u64) {
    let (store, _) = Store::open(options(dir)).await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..count {
                tell_ack(send(&store, writer).await.unwrap());
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    store.close().await.unwrap();
}

/// Writes until the disk is full, sees that reads go on and writes are refused, makes space, and sees
/// that the store goes on.
async fn fill(dir: &Path) {
    let (store, _) = Store::open(options(dir)).await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                match send(&store, writer).await {
                    Ok(ack) => tell_ack(ack),
                    Err(error) => return error,
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        let error = writer.await.unwrap();
        assert!(matches!(error, StoreError::Full(_)), "{error}");
    }
    tell("FULL");
    for writer in 0..WRITERS {
        let again = send(&store, writer).await;
        assert!(matches!(again, Err(StoreError::Full(_))), "{again:?}");
    }
    let seen = crate::workload::look(&store, &[]).await;
    tell(&format!("READ {seen:?}"));
    std::fs::remove_file(std::env::var(FLAG).unwrap()).unwrap();
    for writer in 0..WRITERS {
        tell_ack(send(&store, writer).await.unwrap());
    }
    tell("HEALED");
    store.close().await.unwrap();
}
