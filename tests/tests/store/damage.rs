//! The files are damaged while nobody looks: flipped bits, zeroed pages, a cut end.
//!
//! Whatever happens, a read gives what was written or an error that says what to do; no panic comes
//! out of the store.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use pli_store::{Store, StoreError};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    rounds,
    workload::{Ack, Verdict, look, options, runtime, send},
};

#[derive(Clone, Copy, Debug)]
enum Damage {
    Bit,
    Page,
    End,
    Snapshot,
}

/// A store with some hundred events, closed and opened once more, so that there is a snapshot.
fn filled(dir: &Path) -> Vec<Ack> {
    runtime().block_on(async {
        let mut acks = Vec::new();
        for _ in 0..2 {
            let (store, _) = Store::open(options(dir)).await.unwrap();
            for n in 0..400 {
                acks.push(send(&store, n % 8).await.unwrap());
            }
            store.close().await.unwrap();
        }
        let (store, _) = Store::open(options(dir)).await.unwrap();
        store.close().await.unwrap();
        acks
    })
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn snapshot(dir: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(dir.join("sled")).unwrap().map(|entry| entry.unwrap());
    let is_snapshot =
        |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("snap.");
    files.find(is_snapshot).unwrap().path()
}

fn harm(dir: &Path, damage: Damage, random: &mut StdRng) -> String {
    let db = match damage {
        Damage::Snapshot => snapshot(dir),
        _ => dir.join("sled/db"),
    };
    let mut bytes = std::fs::read(&db).unwrap();
    let at = random.random_range(0..bytes.len());
    match damage {
        Damage::Bit => bytes[at] ^= 1 << random.random_range(0..8),
        Damage::Page => {
            let page = at / 4_096 * 4_096;
            let end = bytes.len().min(page + 4_096);
            bytes[page..end].fill(0);
        }
        Damage::End => bytes.truncate(bytes.len() - random.random_range(1..8_192)),
        Damage::Snapshot => bytes.truncate(at),
    }
    std::fs::write(db, bytes).unwrap();
    format!("{damage:?} at {at}")
}

/// What came of a damaged store.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything is as it was written.
    Unharmed,
    /// An error says that it is damaged.
    Refused,
    /// Something is not as it was written, and no error says so.
    Wrong(String),
}

fn outcome(dir: &Path, acks: &[Ack]) -> Outcome {
    runtime().block_on(async {
        let store = match Store::open(options(dir)).await {
            Ok((store, _)) => store,
            Err(StoreError::Corrupt(text)) => {
                assert!(text.contains("restore"), "it does not say what to do: {text}");
                return Outcome::Refused;
            }
            Err(other) => return Outcome::Wrong(format!("opening: {other}")),
        };
        let looked = look(&store, acks).await;
        let checked = store.check(|_| {}).await.unwrap();
        let outcome = match looked {
            Ok(verdict) if verdict == Verdict::default() => Outcome::Unharmed,
            Ok(verdict) => Outcome::Wrong(format!("{verdict:?}")),
            Err(StoreError::Corrupt(_)) if checked.is_sound() => {
                Outcome::Wrong("check finds nothing".to_owned())
            }
            Err(StoreError::Corrupt(_)) => Outcome::Refused,
            Err(other) => Outcome::Wrong(format!("reading: {other}")),
        };
        store.close().await.unwrap();
        outcome
    })
}

#[test]
fn damage_is_an_error_and_never_wrong_data_or_a_panic() {
    let rounds = rounds(6);
    let mut random = StdRng::seed_from_u64(3);
    let dir = tempfile::tempdir().unwrap();
    let sound = dir.path().join("sound");
    let acks = filled(&sound);
    let (mut unharmed, mut refused) = (0, 0);
    for round in 0..rounds {
        for damage in [Damage::Bit, Damage::Page, Damage::End, Damage::Snapshot] {
            let image = dir.path().join(format!("{round}-{damage:?}"));
            copied(&sound, &image);
            let what = harm(&image, damage, &mut random);
            let (tell, told) = mpsc::channel();
            let (path, known) = (image.clone(), acks.clone());
            // A thread of its own: a panic or a stand-still is seen here as such.
            std::thread::spawn(move || tell.send(outcome(&path, &known)));
            match told.recv_timeout(Duration::from_secs(100)) {
                Ok(Outcome::Unharmed) => unharmed += 1,
                Ok(Outcome::Refused) => refused += 1,
                Ok(Outcome::Wrong(text)) => panic!("{what}: {text}"),
                Err(_) => panic!("{what}: a panic or a stand-still"),
            }
            std::fs::remove_dir_all(image).unwrap();
        }
    }
    println!("{unharmed} unharmed, {refused} refused, 0 wrong, 0 panics");
}
