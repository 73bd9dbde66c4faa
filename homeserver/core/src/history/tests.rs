//! Who may see what, through every way of reading: visibility × what the reader went through × when
//! the event was sent.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId, api::client::filter::RoomEventFilter};
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::{
    Error, Rooms,
    rooms::testing::{public_room, rooms, set_membership, state, text, user},
};

const VISIBILITIES: [&str; 4] = ["world_readable", "shared", "invited", "joined"];
/// How a stay may end: who does it, and the membership it leads to.
const ENDS: [(&str, &str); 3] = [("bob", "leave"), ("alice", "leave"), ("alice", "ban")];

/// Alice says something at each stage of what bob goes through: 0 never there, 1 invited, 2 joined,
/// 3 left (in one of three ways), 4 joined again.
struct Story {
    history: History,
    room_id: OwnedRoomId,
    said: Vec<OwnedEventId>,
}

impl Story {
    async fn tell(visibility: &str, end: (&str, &str), last_stage: usize) -> Self {
        let rooms = rooms();
        let room_id = public_room(&rooms, RoomVersionId::V11).await;
        let content = json!({ "history_visibility": visibility });
        let draft = state("alice", "m.room.history_visibility", "", &content);
        rooms.append(&room_id, draft, None).await.unwrap();
        let mut story = Self { history: History::new(rooms), room_id, said: Vec::new() };
        for stage in 0..=last_stage {
            story.enter(stage, end).await;
            let said = text("alice", &format!("stage {stage}"));
            let said = story.rooms().append(&story.room_id, said, None).await.unwrap();
            story.said.push(said.event_id);
        }
        story
    }

    fn rooms(&self) -> &Rooms {
        self.history.rooms()
    }

    async fn set(&self, by: &str, membership: &str) {
        set_membership(self.rooms(), &self.room_id, (by, "bob"), membership).await.unwrap();
    }

    async fn enter(&self, stage: usize, (by, how): (&str, &str)) {
        match stage {
            1 => self.set("alice", "invite").await,
            2 => self.set("bob", "join").await,
            3 => self.set(by, how).await,
            4 => {
                if how == "ban" {
                    self.set("alice", "leave").await;
                }
                self.set("bob", "join").await;
            }
            _ => {}
        }
    }

    /// Which stages' messages bob sees, by each way of reading; all ways must agree.
    async fn seen(&self) -> Result<BTreeSet<usize>, Error> {
        let bob = user("bob");
        let viewer = Viewer { user_id: &bob, device_id: None };
        let reader = self.history.open(&self.room_id, &bob).await?;
        let mut by_event = BTreeSet::new();
        for (stage, event_id) in self.said.iter().enumerate() {
            if self.history.event(&reader, event_id).await.is_ok() {
                by_event.insert(stage);
            }
        }
        for direction in [Direction::Forward, Direction::Backward] {
            assert_eq!(self.paged(&reader, viewer, direction).await, by_event, "{direction:?}");
        }
        for stage in &by_event {
            let at = &self.said[*stage];
            let filter = RoomEventFilter::default();
            let context = self.history.context(&reader, viewer, at, 100, filter).await.unwrap();
            let around = [context.before, vec![context.event], context.after].concat();
            assert_eq!(self.stages(&around), by_event, "context of stage {stage}");
        }
        Ok(by_event)
    }

    /// Pages of one event each, to the end.
    async fn paged(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        direction: Direction,
    ) -> BTreeSet<usize> {
        let filter = RoomEventFilter::default();
        let mut query = MessagesQuery { from: None, to: None, direction, limit: 1, filter };
        let mut events = Vec::new();
        loop {
            let page = self.history.messages(reader, viewer, &query).await.unwrap();
            events.extend(page.chunk);
            query.from = page.end;
            if query.from.is_none() {
                return self.stages(&events);
            }
        }
    }

    fn stages(&self, events: &[Box<RawValue>]) -> BTreeSet<usize> {
        let mut stages = BTreeSet::new();
        for event in events {
            let event: Value = serde_json::from_str(event.get()).unwrap();
            let stage = self.said.iter().position(|id| event["event_id"] == id.as_str());
            if let Some(stage) = stage {
                assert!(stages.insert(stage), "stage {stage} came twice");
            }
        }
        stages
    }
}

/// What the specification says bob sees; `None`: he may not read the room at all.
fn expected(visibility: &str, last_stage: usize) -> Option<BTreeSet<usize>> {
    let joined_ever = last_stage >= 2;
    let stages = 0..=last_stage;
    Some(match visibility {
        "world_readable" => stages.collect(),
        _ if !joined_ever => return None,
        "shared" if last_stage == 3 => (0..=2).collect(),
        "shared" => stages.collect(),
        "invited" => stages.filter(|stage| [1, 2, 4].contains(stage)).collect(),
        _ => stages.filter(|stage| [2, 4].contains(stage)).collect(),
    })
}

#[tokio::test]
async fn every_way_of_reading_shows_what_the_visibility_allows() {
    for visibility in VISIBILITIES {
        for end in ENDS {
            for last_stage in 0..=4 {
                let story = Story::tell(visibility, end, last_stage).await;
                let seen = match story.seen().await {
                    Ok(seen) => Some(seen),
                    Err(Error::Forbidden(_)) => None,
                    Err(error) => panic!("{error}"),
                };
                assert_eq!(
                    seen,
                    expected(visibility, last_stage),
                    "{visibility} {end:?} {last_stage}"
                );
            }
        }
    }
}

#[tokio::test]
async fn who_has_left_sees_the_state_as_it_was() {
    let story = Story::tell("shared", ("alice", "ban"), 3).await;
    let content = json!({ "name": "after bob" });
    let draft = state("alice", "m.room.name", "", &content);
    story.rooms().append(&story.room_id, draft, None).await.unwrap();
    let (alice, bob) = (user("alice"), user("bob"));
    let reader = story.history.open(&story.room_id, &bob).await.unwrap();
    assert!(reader.state_event("m.room.name", "").await.unwrap().is_none());
    let own = reader.state_event("m.room.member", bob.as_str()).await.unwrap().unwrap();
    assert_eq!(own.content::<Value>().unwrap().unwrap()["membership"], "ban");
    let state = reader.state().await.unwrap();
    assert!(state.iter().any(|event| event.number == own.number), "the ban itself is missing");
    let reader = story.history.open(&story.room_id, &alice).await.unwrap();
    assert!(reader.state_event("m.room.name", "").await.unwrap().is_some());
}

#[tokio::test]
async fn a_forgotten_room_is_closed_to_who_forgot_it() {
    let story = Story::tell("shared", ("bob", "leave"), 3).await;
    let bob = user("bob");
    story.rooms().forget(&bob, &story.room_id).await.unwrap();
    let opened = story.history.open(&story.room_id, &bob).await;
    assert!(matches!(opened, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn an_edit_a_thread_and_references_are_aggregated() {
    let story = Story::tell("shared", ("bob", "leave"), 2).await;
    let target = story.said[0].clone();
    let relate = |rel_type: &str, sender: &str| {
        let content = json!({
            "msgtype": "m.text", "body": "* new", "m.new_content": { "body": "new" },
            "m.relates_to": { "rel_type": rel_type, "event_id": target },
        });
        let content = crate::rooms::testing::raw(&content);
        let message = ruma::events::TimelineEventType::RoomMessage;
        crate::rooms::Draft::message(user(sender), message, content).unwrap()
    };
    for (rel_type, sender) in
        [("m.replace", "alice"), ("m.replace", "bob"), ("m.thread", "bob"), ("m.reference", "bob")]
    {
        let draft = relate(rel_type, sender);
        story.rooms().append(&story.room_id, draft, None).await.unwrap();
    }
    let alice = user("alice");
    let viewer = Viewer { user_id: &alice, device_id: None };
    let reader = story.history.open(&story.room_id, &alice).await.unwrap();
    let event = story.history.event(&reader, &target).await.unwrap();
    let event =
        story.history.render(&event, viewer, Some(&reader), RenderOptions::FULL).await.unwrap();
    let event: Value = serde_json::from_str(event.get()).unwrap();
    let relations = &event["unsigned"]["m.relations"];
    assert_eq!(relations["m.replace"]["sender"], alice.as_str(), "only one's own edit counts");
    assert_eq!(relations["m.thread"]["count"], 1);
    assert_eq!(relations["m.thread"]["current_user_participated"], true);
    assert_eq!(relations["m.reference"]["chunk"].as_array().unwrap().len(), 1);
    assert_eq!(event["unsigned"]["membership"], "join");
    let query = RelationsQuery {
        rel_type: None,
        event_type: None,
        from: None,
        to: None,
        direction: Direction::Backward,
        limit: 3,
        recurse: false,
    };
    let page = story.history.relations(&reader, viewer, &target, &query).await.unwrap();
    assert_eq!(page.chunk.len(), 3);
    let rest = RelationsQuery { from: page.next, ..query };
    let page = story.history.relations(&reader, viewer, &target, &rest).await.unwrap();
    assert_eq!((page.chunk.len(), page.next), (1, None));
}

/// What is aggregated into the first message, as bob sees it.
async fn bobs_relations(story: &Story) -> Value {
    let bob = user("bob");
    let viewer = Viewer { user_id: &bob, device_id: None };
    let reader = story.history.open(&story.room_id, &bob).await.unwrap();
    let event = story.history.event(&reader, &story.said[0]).await.unwrap();
    let full = RenderOptions::FULL;
    let event = story.history.render(&event, viewer, Some(&reader), full).await.unwrap();
    let event: Value = serde_json::from_str(event.get()).unwrap();
    event["unsigned"]["m.relations"].clone()
}

fn edit(target: &OwnedEventId) -> crate::rooms::Draft {
    let content = json!({
        "msgtype": "m.text", "body": "* secret", "m.new_content": { "body": "secret" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": target },
    });
    let message = ruma::events::TimelineEventType::RoomMessage;
    let content = crate::rooms::testing::raw(&content);
    crate::rooms::Draft::message(user("alice"), message, content).unwrap()
}

#[tokio::test]
async fn what_came_after_the_reader_left_is_not_aggregated() {
    let story = Story::tell("shared", ("alice", "leave"), 3).await;
    story.rooms().append(&story.room_id, edit(&story.said[0]), None).await.unwrap();
    assert_eq!(bobs_relations(&story).await, Value::Null);
}

#[tokio::test]
async fn nothing_is_hung_onto_an_event_from_another_room() {
    let story = Story::tell("shared", ("bob", "leave"), 2).await;
    let other = public_room(story.rooms(), RoomVersionId::V11).await;
    story.rooms().append(&other, edit(&story.said[0]), None).await.unwrap();
    assert_eq!(bobs_relations(&story).await, Value::Null);
    story.rooms().append(&story.room_id, edit(&story.said[0]), None).await.unwrap();
    assert_eq!(bobs_relations(&story).await["m.replace"]["sender"], "@alice:agents.example");
}
