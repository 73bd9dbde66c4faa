//! The power is lost in the middle of the work.

use std::{
    io::{BufRead, BufReader},
    path::Path,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    child::{command, shimmed},
    image::{Model, Recording},
    rounds,
    workload::{Ack, assert_sound, runtime},
};

/// Acknowledgements that a recording has at least.
const ACKS: usize = 1_200;
/// Images from one recording.
const IMAGES: usize = 60;

fn recorded(dir: &Path) -> Recording {
    let store = dir.join("store");
    let log = dir.join("log");
    let mut child = shimmed(&mut command("reopen", &store), &store, Some(&log));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acks = 0;
    while let Some(Ok(line)) = lines.next() {
        acks += usize::from(Ack::parse(&line).is_some());
        if acks == ACKS {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acks >= ACKS, "the child ended after {acks}");
    Recording::read(&log, &store)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_lost() {
    let rounds = rounds(8);
    let runtime = runtime();
    let mut done = 0;
    let mut acknowledged = 0;
    while done < rounds {
        let mut random = StdRng::seed_from_u64(done as u64 + 1);
        let dir = tempfile::tempdir().unwrap();
        let recording = recorded(dir.path());
        let from = rounds - done;
        for n in 0..from.min(IMAGES) {
            let cut = random.random_range(recording.len() / 50..recording.len());
            for model in [Model::Nothing, Model::SomeWrites, Model::SomeSectors] {
                let image = dir.path().join("image");
                let acks = recording.image(cut, model, &mut random, &image);
                acknowledged += acks.len();
                let what = format!("image {n}, {model:?}, {cut} of {}", recording.len());
                runtime.block_on(assert_sound(&image, &acks, &what));
                std::fs::remove_dir_all(image).unwrap();
            }
            done += 1;
        }
    }
    println!("{} images, {acknowledged} acknowledged, 0 lost, 0 torn, 0 unopenable", done * 3);
}
