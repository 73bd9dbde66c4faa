//! The disk is full.

use std::io::{BufRead, BufReader};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    child::{command, shimmed},
    rounds,
    workload::{Ack, assert_sound, runtime},
};

#[test]
fn a_full_disk_stops_writes_only_and_only_while_it_is_full() {
    let rounds = rounds(3);
    let mut random = StdRng::seed_from_u64(2);
    let runtime = runtime();
    for round in 0..rounds {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let flag = dir.path().join("flag");
        std::fs::write(&flag, "").unwrap();
        let mut child = command("fill", &store);
        child.env("PLI_SHIM_FULL_FLAG", &flag);
        // The reserve of 16 MiB and sled's first segments fit.
        let after: u64 = (16 << 20) + random.random_range(1_500_000..6_000_000);
        child.env("PLI_SHIM_FULL_AFTER", after.to_string());
        let mut child = shimmed(&mut child, &store, None);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines: Vec<String> = lines.map(Result::unwrap).collect();
        let ended = child.wait().unwrap();
        let what = format!("round {round}, full after {after} bytes");
        for said in ["FULL", "READ Ok(Verdict { lost: [], torn: [] })", "HEALED"] {
            assert!(
                lines.iter().any(|line| line == said),
                "{what}: no {said}: {:?}",
                lines.iter().find(|line| line.starts_with("READ"))
            );
        }
        assert!(ended.success(), "{what}");
        let acks: Vec<Ack> = lines.iter().filter_map(|line| Ack::parse(line)).collect();
        runtime.block_on(assert_sound(&store, &acks, &what));
    }
}
