//! What is found, by whom, in which order and in how many pages.

use ruma::{OwnedRoomId, RoomVersionId, UserId};
use serde_json::json;

use super::*;
use crate::{
    history::Viewer,
    rooms::testing::{public_room, rooms, set_membership, state, text, user},
    words::SearchKey,
};

async fn say(rooms: &Rooms, room: &OwnedRoomId, body: &str) -> ruma::OwnedEventId {
    rooms.append(room, text("alice", body), None).await.unwrap().event_id
}

fn request<'a>(user_id: &'a UserId, term: &str) -> SearchRequest<'a> {
    SearchRequest {
        viewer: Viewer { user_id, device_id: None },
        term: term.to_owned(),
        keys: vec![SearchKey::Body, SearchKey::Name, SearchKey::Topic],
        filter: Default::default(),
        recent: true,
        context: None,
        include_state: false,
        group_by: Vec::new(),
        next_batch: None,
    }
}

fn bodies(results: &SearchResults) -> Vec<String> {
    let body = |result: &SearchResult| {
        let event: serde_json::Value = serde_json::from_str(result.result.get()).unwrap();
        let content = &event["content"];
        ["body", "name", "topic"].iter().find_map(|key| content[key].as_str()).unwrap().to_owned()
    };
    results.results.iter().map(body).collect()
}

#[tokio::test]
async fn all_words_must_be_there_and_accents_and_case_do_not_matter() {
    let rooms = rooms();
    let search = Search::new(History::new(rooms.clone()));
    let room = public_room(&rooms, RoomVersionId::V12).await;
    for body in ["Le Conseil d’État décide", "conseil de classe", "L'etat du conseil", "autre"]
    {
        say(&rooms, &room, body).await;
    }
    let alice = user("alice");
    let found = search.search(&request(&alice, "ÉTAT conseil")).await.unwrap();
    assert_eq!(bodies(&found), ["L'etat du conseil", "Le Conseil d’État décide"]);
    assert_eq!(found.count, 2);
    assert_eq!(found.highlights, ["etat", "conseil", "état"]);
    for nothing in ["", "…", "conseil absent"] {
        let found = search.search(&request(&alice, nothing)).await.unwrap();
        assert_eq!((found.count, found.results.len()), (0, 0), "{nothing}");
    }
    let mut ranked = request(&alice, "conseil");
    ranked.recent = false;
    let found = search.search(&ranked).await.unwrap();
    // Shorter texts are closer.
    assert_eq!(bodies(&found)[0], "conseil de classe");
    let ranks: Vec<f64> = found.results.iter().map(|result| result.rank).collect();
    assert!(ranks.windows(2).all(|pair| pair[0] >= pair[1]), "{ranks:?}");
}

#[tokio::test]
async fn only_what_one_may_see_is_found_and_redacted_words_vanish() {
    let rooms = rooms();
    let search = Search::new(History::new(rooms.clone()));
    let room = public_room(&rooms, RoomVersionId::V12).await;
    set_membership(&rooms, &room, ("bob", "bob"), "join").await.unwrap();
    let event = say(&rooms, &room, "budget one").await;
    let (alice, bob) = (user("alice"), user("bob"));
    assert_eq!(search.search(&request(&bob, "budget")).await.unwrap().count, 1);
    set_membership(&rooms, &room, ("bob", "bob"), "leave").await.unwrap();
    say(&rooms, &room, "budget two").await;
    let found = search.search(&request(&bob, "budget")).await.unwrap();
    assert_eq!(bodies(&found), ["budget one"]);
    assert_eq!(search.search(&request(&alice, "budget")).await.unwrap().count, 2);
    assert_eq!(search.search(&request(&user("carol"), "budget")).await.unwrap().count, 0);
    let mut redaction = text("alice", "x");
    redaction.event_type = "m.room.redaction".to_owned().into();
    redaction.content = crate::rooms::testing::raw(&json!({}));
    redaction.redacts = Some(event);
    rooms.append(&room, redaction, None).await.unwrap();
    assert_eq!(search.search(&request(&bob, "budget")).await.unwrap().count, 0);
    let words = pli_store::Scan::<pli_schema::records::search::SearchWordKey>::prefix(());
    let rows = rooms.store().scan(&words).await.unwrap();
    assert!(rows.iter().all(|row| row.key.word != "one"), "{rows:?}");
    let encrypt = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    rooms.append(&room, state("alice", "m.room.encryption", "", &encrypt), None).await.unwrap();
    assert_eq!(search.search(&request(&alice, "budget")).await.unwrap().count, 0);
}

#[tokio::test]
async fn keys_filters_groups_and_pages() {
    let rooms = rooms();
    let search = Search::new(History::new(rooms.clone()));
    let first = public_room(&rooms, RoomVersionId::V12).await;
    let second = public_room(&rooms, RoomVersionId::V11).await;
    for n in 0..7 {
        say(&rooms, &first, &format!("plan {n}")).await;
        say(&rooms, &second, &format!("plan {n}")).await;
    }
    let name = state("alice", "m.room.name", "", &json!({ "name": "the plan" }));
    rooms.append(&first, name, None).await.unwrap();
    let alice = user("alice");
    let mut by_name = request(&alice, "plan");
    by_name.keys = vec![SearchKey::Name];
    assert_eq!(bodies(&search.search(&by_name).await.unwrap()), ["the plan"]);

    let mut paged = request(&alice, "plan");
    paged.filter.limit = Some(4_u32.into());
    paged.group_by = vec![GroupKey::RoomId, GroupKey::Sender];
    paged.context = Some(ContextWish { before: 1, after: 2, profiles: true });
    let page = search.search(&paged).await.unwrap();
    assert_eq!(page.count, 15);
    assert_eq!(bodies(&page), ["the plan", "plan 6", "plan 6", "plan 5"]);
    let context = page.results[2].context.as_ref().unwrap();
    assert_eq!((context.events_before.len(), context.events_after.len()), (1, 1));
    assert!(context.profile_info.contains_key(&alice));
    let senders = &page.groups[&GroupKey::Sender];
    assert_eq!(senders[alice.as_str()].results.len(), 4);
    let group = &page.groups[&GroupKey::RoomId][first.as_str()];
    assert_eq!(group.results.len(), 2, "{group:?}");
    // Only one group: that of the first room goes on with its third result.
    let mut within = paged.clone();
    within.next_batch.clone_from(&group.next_batch);
    let mut of_group = Vec::new();
    loop {
        let page = search.search(&within).await.unwrap();
        of_group.extend(bodies(&page));
        within.next_batch = page.next_batch;
        if within.next_batch.is_none() {
            break;
        }
    }
    assert_eq!(of_group, ["plan 5", "plan 4", "plan 3", "plan 2", "plan 1", "plan 0"]);
    // What is sent meanwhile does not move the pages.
    let mut all = bodies(&page);
    paged.next_batch = page.next_batch;
    say(&rooms, &first, "plan new").await;
    while paged.next_batch.is_some() {
        let page = search.search(&paged).await.unwrap();
        all.extend(bodies(&page));
        paged.next_batch = page.next_batch;
    }
    assert_eq!(all.len(), 15);
    paged.next_batch = Some("nonsense".to_owned());
    assert!(matches!(search.search(&paged).await, Err(crate::Error::InvalidParam(_))));
    let mut of_room = request(&alice, "plan");
    of_room.filter.rooms = Some(vec![second.clone()]);
    assert_eq!(search.search(&of_room).await.unwrap().count, 7);
}
