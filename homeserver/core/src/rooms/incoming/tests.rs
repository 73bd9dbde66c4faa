//! Several servers in one room, each with its own store, exchanging events in any order.

mod faults;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use pli_federation::{
    auth_rules::auth_types_for,
    event_format::{self, NewEvent, Pdu},
    keys::SigningKey,
    room_version,
};
use pli_schema::records::rooms::{EventByIdKey, Membership};
use pli_store::Store;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, UInt,
    events::TimelineEventType,
};
use serde_json::json;

use super::{Missing, Snapshot, Verdict};
use crate::{
    Clock, Numbers, Random, TestClock,
    rooms::{CreateRoom, Draft, Preset, RoomSettings, Rooms, RoomsParts, testing::raw},
};

struct Peer {
    name: String,
    rooms: Rooms,
    key: Arc<SigningKey>,
    clock: TestClock,
    /// Events on their way to it, from each of the others.
    inbox: VecDeque<Arc<Pdu>>,
}

impl Peer {
    fn new(index: u8) -> Self {
        let name = format!("s{index}.example");
        let key = Arc::new(SigningKey::from_seed(&[index; 32], "1").unwrap());
        let store = Store::in_memory();
        let clock = TestClock::new(1_700_000_000_000);
        let rooms = Rooms::new(RoomsParts {
            numbers: Numbers::new(store.clone()),
            store,
            clock: Clock::Test(clock.clone()),
            random: Random::seeded(index.into()),
            signing_key: Arc::clone(&key),
            server_name: name.as_str().try_into().unwrap(),
            settings: RoomSettings::default(),
        });
        Self { name, rooms, key, clock, inbox: VecDeque::new() }
    }

    fn user(&self, localpart: &str) -> OwnedUserId {
        OwnedUserId::try_from(format!("@{localpart}:{}", self.name)).unwrap()
    }

    async fn pdu(&self, event_id: &OwnedEventId) -> Option<Arc<Pdu>> {
        let key = EventByIdKey { event_id: event_id.clone() };
        let pointer = self.rooms.store().get(&key).await.unwrap()?;
        let event = self.rooms.existing_event(pointer.event).await.unwrap();
        Some(event.pdu().unwrap())
    }

    /// The current state by type and key, and the extremities.
    async fn view(&self, room_id: &OwnedRoomId) -> (BTreeMap<String, String>, BTreeSet<String>) {
        let room = self.rooms.room_number(room_id).await.unwrap().unwrap();
        let head = self.rooms.head(room).await.unwrap();
        let mut state = BTreeMap::new();
        for event in self.rooms.full_state(head.state).await.unwrap() {
            let pdu = event.pdu().unwrap();
            let key = format!("{}|{}", pdu.event_type, pdu.state_key.clone().unwrap());
            state.insert(key, pdu.event_id.to_string());
        }
        (state, head.extremities.iter().map(|e| e.event_id.to_string()).collect())
    }

    /// The state of the room with everything that authorizes it.
    async fn snapshot(&self, room_id: &OwnedRoomId) -> Snapshot {
        let room = self.rooms.room_number(room_id).await.unwrap().unwrap();
        let mut snapshot = Snapshot::default();
        let mut waiting = Vec::new();
        for event in self.rooms.current_state(room).await.unwrap() {
            waiting.extend(event.pdu().unwrap().auth_events.clone());
            snapshot.state.push(event.pdu().unwrap());
        }
        let mut seen = BTreeSet::new();
        while let Some(event_id) = waiting.pop() {
            if seen.insert(event_id.clone()) {
                let pdu = self.pdu(&event_id).await.unwrap();
                waiting.extend(pdu.auth_events.clone());
                snapshot.auth_chain.push(pdu);
            }
        }
        snapshot
    }

    /// Takes an event, fetching what is missing before it from `others`.
    async fn receive(&self, room_id: &OwnedRoomId, pdu: Arc<Pdu>, others: &[&Self]) {
        let room = self.rooms.room_number(room_id).await.unwrap().unwrap();
        let mut waiting = vec![pdu];
        for _ in 0..10_000 {
            let Some(pdu) = waiting.last().cloned() else { return };
            let verdict = self.rooms.accept(room, std::slice::from_ref(&pdu)).await.unwrap();
            match verdict.into_iter().next().unwrap() {
                Ok(_) => drop(waiting.pop()),
                Err(Missing::AuthEvents(missing) | Missing::PrevEvents(missing)) => {
                    for event_id in missing {
                        for other in others {
                            if let Some(pdu) = other.pdu(&event_id).await {
                                let version = self.rooms.room(room).await.unwrap().version.clone();
                                let again = Pdu::parse(None, &pdu.json, &version).unwrap();
                                waiting.push(Arc::new(again));
                                break;
                            }
                        }
                    }
                }
            }
        }
        panic!("the events that are missing never end");
    }
}

/// A room of the first peer in which a user of every peer is.
async fn shared_room(peers: &[Peer], version: &RoomVersionId) -> OwnedRoomId {
    let (host, guests) = peers.split_first().unwrap();
    let mut request = CreateRoom::by(host.user("u"));
    request.preset = Some(Preset::Public);
    request.version = Some(version.clone());
    let room_id = host.rooms.create(request).await.unwrap();
    for (i, guest) in guests.iter().enumerate() {
        let join = join_event(host, guest, &room_id, version).await;
        let snapshot = host.snapshot(&room_id).await;
        for member in peers.iter().take(i + 1) {
            let room = member.rooms.room_number(&room_id).await.unwrap().unwrap();
            let verdicts = member.rooms.accept(room, std::slice::from_ref(&join)).await.unwrap();
            assert_eq!(verdicts, [Ok(Verdict::Accepted)]);
        }
        guest.rooms.take_over((&room_id, version), &snapshot, &join).await.unwrap();
        assert_eq!(guest.view(&room_id).await, host.view(&room_id).await);
    }
    let levels = json!({ "users": peers.iter().filter(|peer| {
        // Creators of version 12 rooms stand above every level and may not be in the list.
        peer.name != host.name || !room_version::rules(version).unwrap()
            .authorization.explicitly_privilege_room_creators
    }).map(|peer| (peer.user("u").to_string(), json!(100)))
        .collect::<serde_json::Map<_, _>>() });
    let id = send_state(host, &room_id, "m.room.power_levels", "", &levels).await.unwrap();
    for guest in guests {
        guest.receive(&room_id, host.pdu(&id).await.unwrap(), &[host]).await;
    }
    room_id
}

async fn join_event(
    host: &Peer,
    guest: &Peer,
    room_id: &OwnedRoomId,
    version: &RoomVersionId,
) -> Arc<Pdu> {
    let room = host.rooms.room_number(room_id).await.unwrap().unwrap();
    let head = host.rooms.head(room).await.unwrap();
    let user = guest.user("u");
    let content = raw(&json!({ "membership": "join" }));
    let event_type = TimelineEventType::RoomMember;
    let types = auth_types_for(&event_type, &user, Some(user.as_str()), &content, version).unwrap();
    let now = MilliSecondsSinceUnixEpoch(UInt::try_from(1_700_000_000_000_u64).unwrap());
    let mut new = NewEvent::new(user.clone(), event_type, content, now);
    new.room_id = Some(room_id.clone());
    new.state_key = Some(user.to_string());
    new.depth = head.depth + 1;
    new.prev_events = head.extremities.iter().map(|e| e.event_id.clone()).collect();
    for (event_type, state_key) in types {
        let event = host.rooms.current_state_event(room, &event_type.to_string(), &state_key).await;
        if let Some(event) = event.unwrap() {
            new.auth_events.push(event.record.event_id.clone());
        }
    }
    if room_version::has_own_event_ids(&room_version::rules(version).unwrap()) {
        new.event_id_localpart = Some(format!("join{}", guest.name));
        for event_id in new.auth_events.iter().chain(&new.prev_events) {
            let pdu = host.pdu(event_id).await.unwrap();
            let hash = pdu.reference_hash(version).unwrap();
            new.reference_hashes.insert(event_id.clone(), hash);
        }
    }
    let server = guest.name.as_str().try_into().unwrap();
    Arc::new(event_format::build(new, version, &guest.key, server).unwrap())
}

async fn send_state(
    peer: &Peer,
    room_id: &OwnedRoomId,
    event_type: &str,
    state_key: &str,
    content: &serde_json::Value,
) -> crate::Result<OwnedEventId> {
    let draft = Draft::state(peer.user("u"), event_type.to_owned(), state_key, raw(content))?;
    Ok(peer.rooms.append(room_id, draft, None).await?.event_id)
}

/// Something that a user of a peer does; what the rules do not let them do is not done.
async fn act(
    peer: &Peer,
    room_id: &OwnedRoomId,
    rng: &mut StdRng,
    users: &[OwnedUserId],
) -> Option<Arc<Pdu>> {
    let target = users.choose(rng).unwrap().to_string();
    let number: u32 = rng.random_range(0..1_000);
    peer.clock.advance_ms(rng.random_range(0..5));
    let done = match rng.random_range(0..8) {
        0 => {
            let membership = *["ban", "leave", "invite"].choose(rng).unwrap();
            let content = json!({ "membership": membership, "reason": number.to_string() });
            send_state(peer, room_id, "m.room.member", &target, &content).await
        }
        1 => {
            let rule = *["public", "invite"].choose(rng).unwrap();
            let content = json!({ "join_rule": rule, "n": number });
            send_state(peer, room_id, "m.room.join_rules", "", &content).await
        }
        2 => {
            let room = peer.rooms.room_number(room_id).await.unwrap().unwrap();
            let now = peer.rooms.current_content::<serde_json::Value>(room, "m.room.power_levels");
            let mut content = now.await.unwrap().unwrap();
            content["users"][&target] = json!([0, 50, 100].choose(rng).unwrap());
            send_state(peer, room_id, "m.room.power_levels", "", &content).await
        }
        3 => {
            send_state(peer, room_id, "m.room.topic", "", &json!({ "topic": number.to_string() }))
                .await
        }
        4 => {
            let content = json!({ "membership": "join", "displayname": number.to_string() });
            send_state(peer, room_id, "m.room.member", peer.user("u").as_str(), &content).await
        }
        _ => {
            let content = raw(&json!({ "msgtype": "m.text", "body": number.to_string() }));
            let draft = Draft::message(peer.user("u"), TimelineEventType::RoomMessage, content);
            let appended = peer.rooms.append(room_id, draft.unwrap(), None).await;
            appended.map(|appended| appended.event_id)
        }
    };
    peer.pdu(&done.ok()?).await
}

/// Lets peers act and events travel in an order that the seed decides, then lets all of them arrive.
async fn run(seed: u64, peers: u8, version: &RoomVersionId) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut peers: Vec<Peer> = (1..=peers).map(Peer::new).collect();
    let room_id = shared_room(&peers, version).await;
    let mut users: Vec<_> = peers.iter().map(|peer| peer.user("u")).collect();
    users.extend(peers.iter().map(|peer| peer.user("other")));
    for _ in 0..60 {
        let i = rng.random_range(0..peers.len());
        if rng.random_bool(0.6) {
            let Some(pdu) = act(&peers[i], &room_id, &mut rng, &users).await else { continue };
            for (j, peer) in peers.iter_mut().enumerate() {
                if i != j {
                    peer.inbox.push_back(Arc::clone(&pdu));
                }
            }
        } else if !peers[i].inbox.is_empty() {
            let at = rng.random_range(0..peers[i].inbox.len());
            let pdu = peers[i].inbox.remove(at).unwrap();
            let others: Vec<&Peer> = peers.iter().filter(|p| p.name != peers[i].name).collect();
            peers[i].receive(&room_id, pdu, &others).await;
        }
    }
    for i in 0..peers.len() {
        while let Some(pdu) = peers[i].inbox.pop_front() {
            let others: Vec<&Peer> = peers.iter().filter(|p| p.name != peers[i].name).collect();
            peers[i].receive(&room_id, pdu, &others).await;
        }
    }
    let present = settle(&peers, &room_id).await;
    let (first, rest) = present.split_first().unwrap();
    let expected = first.view(&room_id).await;
    for peer in rest {
        assert_eq!(peer.view(&room_id).await, expected, "seed {seed}, version {version}");
    }
    for peer in &peers {
        members_follow_the_state(peer, &room_id).await;
    }
}

/// Which of its events a server has soft-failed depends on when they came, so states may differ until
/// somebody's event stands on both sides of a fork. Here everyone who still can says something, twice.
/// Returns the peers that are in the room.
async fn settle<'a>(peers: &'a [Peer], room_id: &OwnedRoomId) -> Vec<&'a Peer> {
    let mut present = Vec::new();
    for _ in 0..2 {
        present.clear();
        for peer in peers {
            let content = raw(&json!({ "msgtype": "m.text", "body": "here" }));
            let draft = Draft::message(peer.user("u"), TimelineEventType::RoomMessage, content);
            let Ok(sent) = peer.rooms.append(room_id, draft.unwrap(), None).await else { continue };
            present.push(peer);
            let pdu = peer.pdu(&sent.event_id).await.unwrap();
            for other in peers.iter().filter(|other| other.name != peer.name) {
                let others: Vec<&Peer> = peers.iter().filter(|p| p.name != other.name).collect();
                other.receive(room_id, Arc::clone(&pdu), &others).await;
            }
        }
    }
    present
}

/// The indexes of members say what the state says.
async fn members_follow_the_state(peer: &Peer, room_id: &OwnedRoomId) {
    let room = peer.rooms.room_number(room_id).await.unwrap().unwrap();
    let head = peer.rooms.head(room).await.unwrap();
    let mut joined = 0;
    for (user_id, member) in peer.rooms.members(room, None).await.unwrap() {
        let event = peer.rooms.state_event(head.state, "m.room.member", user_id.as_str()).await;
        assert_eq!(event.unwrap().unwrap().number, member.event);
        joined += u64::from(member.membership == Membership::Join);
    }
    assert_eq!(head.joined_members, joined);
}

#[tokio::test]
async fn servers_that_have_the_same_events_have_the_same_state() {
    for version in [RoomVersionId::V1, RoomVersionId::V6, RoomVersionId::V11, RoomVersionId::V12] {
        for seed in 0..6 {
            run(seed, 3, &version).await;
        }
    }
}

#[tokio::test]
async fn an_event_that_breaks_the_rules_is_set_aside_and_names_stay_usable() {
    let peers: Vec<Peer> = (1..=2).map(Peer::new).collect();
    let version = RoomVersionId::V12;
    let room_id = shared_room(&peers, &version).await;
    let (host, guest) = (&peers[0], &peers[1]);
    let room = host.rooms.room_number(&room_id).await.unwrap().unwrap();
    let before = host.view(&room_id).await;
    // A second join by someone whom the host bans meanwhile: allowed where it stands, not now.
    let talk = json!({ "msgtype": "m.text", "body": "late" });
    let draft =
        Draft::message(guest.user("u"), TimelineEventType::RoomMessage, raw(&talk)).unwrap();
    let late = guest.rooms.append(&room_id, draft, None).await.unwrap().event_id;
    let ban = json!({ "membership": "ban" });
    send_state(host, &room_id, "m.room.member", guest.user("u").as_str(), &ban).await.unwrap();
    let late = guest.pdu(&late).await.unwrap();
    let verdicts = host.rooms.accept(room, &[Arc::clone(&late)]).await.unwrap();
    assert!(matches!(verdicts[..], [Ok(Verdict::SoftFailed(_))]), "{verdicts:?}");
    let after = host.view(&room_id).await;
    assert_ne!(before.1, after.1);
    assert!(!after.1.contains(late.event_id.as_str()), "no extremity");
    assert_eq!(host.rooms.event_by_id(&late.event_id).await.unwrap().map(|e| e.number), None);
    let verdicts = host.rooms.accept(room, &[late]).await.unwrap();
    assert_eq!(verdicts, [Ok(Verdict::Known)]);
}
