//! What a fork costs, on the memory store: `cargo bench -p pli-core --bench resolve`.
//!
//! `small conflict` is an event after two branches that differ in two members, in rooms of 100 to 10,000
//! members: its cost is to be that of the difference. `1,000 conflicted` is the same after two branches
//! that each changed the same 1,000 members. `join` takes a room over from another server's answer.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot run must say so"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pli_core::{
    Clock, Rooms, SigningKey, Store,
    rooms::{Snapshot, Verdict},
};
use pli_federation::event_format::{NewEvent, Pdu, build};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, UInt,
    events::TimelineEventType, server_name,
};
use serde_json::{Value, json, value::to_raw_value};
use tokio::runtime::Runtime;

/// A room of another server: its events, ready to be handed over.
struct Remote {
    key: SigningKey,
    version: RoomVersionId,
    create: Arc<Pdu>,
    /// Power levels and join rules.
    rules: Vec<Arc<Pdu>>,
    members: Vec<Arc<Pdu>>,
    at_ms: u64,
}

fn user(n: usize) -> OwnedUserId {
    OwnedUserId::try_from(format!("@u{n}:there.example")).unwrap()
}

impl Remote {
    fn new(members: usize) -> Self {
        let key = SigningKey::from_seed(&[3; 32], "1").unwrap();
        let version = RoomVersionId::V11;
        let at_ms = 1_700_000_000_000;
        let mut new = event(&user(0), "m.room.create", &json!({ "room_version": "11" }), at_ms);
        new.state_key = Some(String::new());
        new.room_id = Some("!big:there.example".try_into().unwrap());
        let create = Arc::new(build(new, &version, &key, server_name!("there.example")).unwrap());
        let (rules, all) = (Vec::new(), Vec::new());
        let mut this = Self { key, version, create, rules, members: all, at_ms };
        let last = this.join(0, &[Arc::clone(&this.create)], 0);
        this.members.push(Arc::clone(&last));
        let levels = json!({ "users": { user(0): 100 } });
        let levels = this.state("m.room.power_levels", "", &levels, (0, &[last]));
        let join_rules = json!({ "join_rule": "public" });
        this.rules.push(Arc::clone(&levels));
        let join_rules = this.state("m.room.join_rules", "", &join_rules, (0, &[levels]));
        this.rules.push(Arc::clone(&join_rules));
        let mut last = join_rules;
        for n in 1..members {
            last = this.join(n, &[last], 0);
            this.members.push(Arc::clone(&last));
        }
        this
    }

    fn room_id(&self) -> OwnedRoomId {
        self.create.room().to_owned()
    }

    fn join(&mut self, n: usize, after: &[Arc<Pdu>], name: usize) -> Arc<Pdu> {
        let content = json!({ "membership": "join", "displayname": format!("{n} {name}") });
        self.state("m.room.member", user(n).as_str(), &content, (n, after))
    }

    fn state(
        &mut self,
        event_type: &str,
        state_key: &str,
        content: &Value,
        (sender, after): (usize, &[Arc<Pdu>]),
    ) -> Arc<Pdu> {
        self.at_ms += 1;
        let mut new = event(&user(sender), event_type, content, self.at_ms);
        new.state_key = Some(state_key.to_owned());
        self.finish(new, sender, after)
    }

    fn finish(&self, mut new: NewEvent, sender: usize, after: &[Arc<Pdu>]) -> Arc<Pdu> {
        new.room_id = Some(self.room_id());
        new.depth = after.iter().map(|pdu| pdu.depth).max().unwrap_or(0) + 1;
        new.prev_events = after.iter().map(|pdu| pdu.event_id.clone()).collect();
        let own = self.members.get(sender);
        // Only members are judged by the join rules.
        let is_member = new.event_type == TimelineEventType::RoomMember;
        let rules = self.rules.iter().take(if is_member { 2 } else { 1 });
        let auth = [&self.create].into_iter().chain(rules).chain(own);
        new.auth_events = auth.map(|pdu| pdu.event_id.clone()).collect::<Vec<OwnedEventId>>();
        Arc::new(build(new, &self.version, &self.key, server_name!("there.example")).unwrap())
    }

    fn snapshot(&self) -> Snapshot {
        let mut state = vec![Arc::clone(&self.create)];
        state.extend(self.rules.iter().chain(&self.members).cloned());
        Snapshot { state, auth_chain: Vec::new() }
    }
}

fn event(sender: &OwnedUserId, event_type: &str, content: &Value, at_ms: u64) -> NewEvent {
    NewEvent::new(
        sender.clone(),
        TimelineEventType::from(event_type),
        to_raw_value(content).unwrap(),
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(at_ms)),
    )
}

/// A server that has taken the room over by a join of its user, and that join.
async fn taken_over(remote: &mut Remote) -> (Rooms, Arc<Pdu>, Duration) {
    let name = ruma::owned_server_name!("here.example");
    let rooms = Rooms::for_tests(Store::in_memory(), Clock::system(), name).unwrap();
    let me = OwnedUserId::try_from("@me:here.example").unwrap();
    remote.at_ms += 1;
    let mut new = event(&me, "m.room.member", &json!({ "membership": "join" }), remote.at_ms);
    new.state_key = Some(me.to_string());
    let last = remote.members.last().unwrap().clone();
    let join = remote.finish(new, usize::MAX, &[last]);
    let snapshot = remote.snapshot();
    let begun = Instant::now();
    let (room_id, version) = (remote.room_id(), remote.version.clone());
    rooms.take_over((&room_id, &version), &snapshot, &join).await.unwrap();
    (rooms, join, begun.elapsed())
}

async fn accept(rooms: &Rooms, pdus: &[Arc<Pdu>]) {
    let room = rooms.room_number(pdus[0].room()).await.unwrap().unwrap();
    for verdict in rooms.accept(room, pdus).await.unwrap() {
        assert_eq!(verdict, Ok(Verdict::Accepted));
    }
}

/// Time of the event that joins two branches, which have changed `first` and `second`.
async fn merge(
    (rooms, remote): (&Rooms, &mut Remote),
    base: &Arc<Pdu>,
    (first, second): (std::ops::Range<usize>, std::ops::Range<usize>),
) -> (Arc<Pdu>, Duration) {
    let mut ends = Vec::new();
    for (name, range) in [(1, first), (2, second)] {
        let mut last = Arc::clone(base);
        for n in range {
            last = remote.join(n, &[last], name);
            accept(rooms, std::slice::from_ref(&last)).await;
        }
        ends.push(last);
    }
    let content = json!({ "msgtype": "m.text", "body": "both" });
    let new = event(&user(0), "m.room.message", &content, remote.at_ms);
    let message = remote.finish(new, 0, &ends);
    let begun = Instant::now();
    accept(rooms, std::slice::from_ref(&message)).await;
    (message, begun.elapsed())
}

fn resolve(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("resolve");
    group.sample_size(10);
    for members in [100, 1_000, 10_000] {
        let mut remote = Remote::new(members);
        let (rooms, mut base, _) = runtime.block_on(taken_over(&mut remote));
        group.bench_function(BenchmarkId::new("small conflict", members), |bench| {
            bench.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let ranges = (1..2, 2..3);
                    let done = merge((&rooms, &mut remote), &base, ranges);
                    let (message, time) = runtime.block_on(done);
                    base = message;
                    spent += time;
                }
                spent
            });
        });
    }
    group.bench_function("1,000 conflicted", |bench| {
        bench.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                let mut remote = Remote::new(1_100);
                let (rooms, base, _) = runtime.block_on(taken_over(&mut remote));
                let ranges = (1..1_001, 1..1_001);
                spent += runtime.block_on(merge((&rooms, &mut remote), &base, ranges)).1;
            }
            spent
        });
    });
    for members in [1_000, 10_000] {
        group.bench_function(BenchmarkId::new("join", members), |bench| {
            bench.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let mut remote = Remote::new(members);
                    spent += runtime.block_on(taken_over(&mut remote)).2;
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, resolve);
criterion_main!(benches);
