//! The process is killed in the middle of its work.

use std::{
    io::{BufRead, BufReader},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    child::command,
    rounds,
    workload::{Ack, assert_sound, runtime},
};

/// A round counts only under real load.
const COMMITS_PER_SECOND_MIN: f64 = 100.0;

/// Runs the child and kills it; its acknowledgements, and how many came per second.
fn killed(dir: &std::path::Path, after: Duration) -> (Vec<Ack>, f64) {
    let mut child = command("write", dir).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acks = Vec::new();
    let mut begin = None;
    let mut under_load = Duration::ZERO;
    // What it had said before it died is read to the end.
    while let Some(Ok(line)) = lines.next() {
        let Some(ack) = Ack::parse(&line) else { continue };
        acks.push(ack);
        let begin: Instant = *begin.get_or_insert_with(Instant::now);
        if under_load.is_zero() && begin.elapsed() >= after {
            child.kill().unwrap();
            under_load = begin.elapsed();
        }
    }
    child.wait().unwrap();
    let per_second = acks.len() as f64 / under_load.as_secs_f64().max(0.001);
    (acks, per_second)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_under_load() {
    let rounds = rounds(4);
    let mut random = StdRng::seed_from_u64(1);
    let runtime = runtime();
    let dir = tempfile::tempdir().unwrap();
    let (mut counted, mut void, mut total) = (0, 0, 0);
    let mut acks = Vec::new();
    while counted < rounds {
        // One store through twenty lives, then a fresh one.
        let store = dir.path().join(format!("{}", (counted + void) / 20));
        if (counted + void) % 20 == 0 {
            acks.clear();
        }
        let after = Duration::from_millis(random.random_range(30..600));
        let (new, per_second) = killed(&store, after);
        total += new.len();
        acks.extend(new);
        runtime.block_on(assert_sound(&store, &acks, "killed"));
        if per_second < COMMITS_PER_SECOND_MIN {
            void += 1;
            assert!(void <= rounds + 10, "the machine is too slow for rounds that count");
        } else {
            counted += 1;
        }
    }
    println!("{counted} rounds counted, {void} void, {total} acknowledged, 0 lost, 0 torn");
}
