//! Servers whose network loses, doubles, delays and reorders what they say, falls apart and heals, and
//! which crash: in the end all hold the same events and the same state.
//!
//! `PLI_SIM_SEED=N` plays one seed, `PLI_SIM_SEEDS=N` that many from 0 on, in every room version.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pli_federation::event_format::Pdu;
use rand::{Rng, SeedableRng, rngs::StdRng};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId};

use super::{Arc, Peer, act, members_follow_the_state, settle, shared_room};
use crate::rooms::{Rooms, RoomsParts};

/// Steps of one play before the network heals.
const STEPS: u32 = 120;
/// Steps that a message is on its way at most.
const LATENCY_MAX: u32 = 12;

/// What one server still has to tell another, in order, and what is on its way.
#[derive(Default)]
struct Link {
    queue: VecDeque<Arc<Pdu>>,
    /// When it arrives, and what.
    on_the_way: Vec<(u32, Arc<Pdu>)>,
}

struct World {
    rng: StdRng,
    peers: Vec<Peer>,
    room_id: OwnedRoomId,
    users: Vec<OwnedUserId>,
    links: BTreeMap<(usize, usize), Link>,
    /// The side of each server while the network has fallen apart.
    sides: Vec<u8>,
    made: BTreeSet<OwnedEventId>,
    now: u32,
}

impl World {
    async fn new(seed: u64, version: &RoomVersionId) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count: u8 = rng.random_range(2..=7);
        let peers: Vec<Peer> = (1..=count).map(Peer::new).collect();
        let room_id = shared_room(&peers, version).await;
        let mut users: Vec<_> = peers.iter().map(|peer| peer.user("u")).collect();
        users.extend(peers.iter().map(|peer| peer.user("other")));
        let sides = vec![0; peers.len()];
        let (links, made) = (BTreeMap::new(), BTreeSet::new());
        Self { rng, peers, room_id, users, links, sides, made, now: 0 }
    }

    fn reach_each_other(&self, a: usize, b: usize) -> bool {
        self.sides[a] == self.sides[b]
    }

    async fn step(&mut self) {
        self.now += 1;
        let i = self.rng.random_range(0..self.peers.len());
        match self.rng.random_range(0..100) {
            0..40 => self.act(i).await,
            40..46 => self.fall_apart(),
            46..50 => self.sides.fill(0),
            50..53 => self.crash(i),
            _ => {}
        }
        self.send();
        self.arrive().await;
    }

    async fn act(&mut self, i: usize) {
        let (peer, users) = (&self.peers[i], &self.users);
        let Some(pdu) = act(peer, &self.room_id, &mut self.rng, users).await else { return };
        self.made.insert(pdu.event_id.clone());
        for j in (0..self.peers.len()).filter(|j| *j != i) {
            self.links.entry((i, j)).or_default().queue.push_back(Arc::clone(&pdu));
        }
    }

    fn fall_apart(&mut self) {
        for side in &mut self.sides {
            *side = self.rng.random_range(0..3);
        }
    }

    /// What was in memory is gone; what was on its way to it is not acknowledged.
    fn crash(&mut self, i: usize) {
        let peer = &mut self.peers[i];
        let parts = RoomsParts::clone(&peer.rooms.parts);
        let numbers = crate::Numbers::new(parts.store.clone());
        peer.rooms = Rooms::new(RoomsParts { numbers, ..parts });
        for ((_, to), link) in &mut self.links {
            if *to == i {
                for (_, pdu) in link.on_the_way.drain(..) {
                    link.queue.push_back(pdu);
                }
            }
        }
    }

    /// Sends what waits: some is lost and waits on, some arrives though it seems lost.
    fn send(&mut self) {
        let sides = &self.sides;
        for ((from, to), link) in &mut self.links {
            if sides[*from] != sides[*to] {
                continue;
            }
            for _ in 0..link.queue.len() {
                let Some(pdu) = link.queue.pop_front() else { break };
                let fate = self.rng.random_range(0..10);
                if fate < 8 {
                    let at = self.now + self.rng.random_range(0..LATENCY_MAX);
                    link.on_the_way.push((at, Arc::clone(&pdu)));
                }
                if fate >= 6 {
                    link.queue.push_back(pdu);
                }
            }
        }
    }

    async fn arrive(&mut self) {
        let now = self.now;
        let mut arrived = Vec::new();
        for ((from, to), link) in &mut self.links {
            let waiting = std::mem::take(&mut link.on_the_way);
            for (at, pdu) in waiting {
                match at <= now {
                    true => arrived.push((*from, *to, pdu)),
                    false => link.on_the_way.push((at, pdu)),
                }
            }
        }
        for (from, to, pdu) in arrived {
            if !self.reach_each_other(from, to) {
                self.links.entry((from, to)).or_default().queue.push_back(pdu);
                continue;
            }
            let reachable = (0..self.peers.len())
                .filter(|other| *other != to && self.reach_each_other(*other, to))
                .map(|other| &self.peers[other]);
            let reachable: Vec<&Peer> = reachable.collect();
            self.peers[to].receive(&self.room_id, pdu, &reachable).await;
        }
    }

    /// Everything that waits arrives.
    async fn heal(&mut self) {
        self.sides.fill(0);
        for ((_, to), link) in std::mem::take(&mut self.links) {
            let all = link.queue.into_iter().chain(link.on_the_way.into_iter().map(|(_, p)| p));
            for pdu in all {
                let others = (0..self.peers.len()).filter(|other| *other != to);
                let others: Vec<&Peer> = others.map(|other| &self.peers[other]).collect();
                self.peers[to].receive(&self.room_id, pdu, &others).await;
            }
        }
    }
}

async fn play(seed: u64, version: &RoomVersionId) {
    let mut world = World::new(seed, version).await;
    for _ in 0..STEPS {
        world.step().await;
    }
    world.heal().await;
    for peer in &world.peers {
        for event_id in &world.made {
            let known = peer.pdu(event_id).await.is_some();
            assert!(known, "seed {seed}, version {version}: {} lacks {event_id}", peer.name);
        }
    }
    let present = settle(&world.peers, &world.room_id).await;
    if let Some((first, rest)) = present.split_first() {
        let expected = first.view(&world.room_id).await;
        for peer in rest {
            let view = peer.view(&world.room_id).await;
            assert_eq!(view, expected, "seed {seed}, version {version}");
        }
    }
    for peer in &world.peers {
        members_follow_the_state(peer, &world.room_id).await;
    }
}

#[tokio::test]
async fn after_healing_all_servers_hold_the_same_events_and_the_same_state() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("PLI_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLI_SIM_SEEDS").unwrap_or(6),
    };
    for seed in seeds {
        for version in [
            RoomVersionId::V1,
            RoomVersionId::V3,
            RoomVersionId::V6,
            RoomVersionId::V10,
            RoomVersionId::V11,
            RoomVersionId::V12,
        ] {
            play(seed, &version).await;
        }
    }
}
