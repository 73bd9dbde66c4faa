//! Every change of membership, with and without the power to make it.

use pli_schema::records::sync::AccountDataKey;
use ruma::{OwnedRoomId, RoomVersionId};
use serde_json::json;

use super::*;
use crate::rooms::{
    CreateRoom, InitialState, NewState, Preset,
    testing::{public_room, raw, rooms, set_membership, state, timeline, user},
};

fn change<'a>(sender: &'a UserId, target: &'a UserId, room_id: &'a RoomId) -> Change<'a> {
    Change { sender, room_id, target, reason: None }
}

async fn membership(rooms: &Rooms, room: &OwnedRoomId, who: &str) -> Option<Membership> {
    let number = rooms.room_number(room).await.unwrap().unwrap();
    rooms.member(number, &user(who)).await.unwrap().map(|member| member.membership)
}

async fn private_room(rooms: &Rooms, join_rule: serde_json::Value) -> OwnedRoomId {
    let mut request = CreateRoom::by(user("alice"));
    request.preset = Some(Preset::Private);
    request.version = Some(RoomVersionId::V11);
    request.power_levels = Some(raw(&json!({
        "users": { user("alice"): 100, user("mod"): 50 }, "invite": 50,
    })));
    request.initial_state = vec![InitialState {
        event_type: "m.room.join_rules".to_owned(),
        state_key: String::new(),
        content: raw(&join_rule),
    }];
    rooms.create(request).await.unwrap()
}

/// Brings bob into a membership.
async fn bring(rooms: &Rooms, room: &OwnedRoomId, to: Option<Membership>) {
    let set = async |who: (&str, &str), membership: &str| {
        set_membership(rooms, room, who, membership).await.unwrap();
    };
    match to {
        None => {}
        Some(Membership::Invite) => set(("alice", "bob"), "invite").await,
        Some(Membership::Join) => {
            set(("alice", "bob"), "invite").await;
            set(("bob", "bob"), "join").await;
        }
        Some(Membership::Knock) => set(("bob", "bob"), "knock").await,
        Some(Membership::Leave) => {
            set(("alice", "bob"), "invite").await;
            set(("bob", "bob"), "leave").await;
        }
        Some(Membership::Ban) => set(("alice", "bob"), "ban").await,
    }
}

/// Who does what to bob, and what bob is then; `None`: refused.
type Case = (&'static str, &'static str, Option<Membership>);

/// From every membership of bob: what the actions of [`cases`] lead to.
fn table() -> [(Option<Membership>, [Case; 12]); 6] {
    use Membership::{Ban, Invite, Join, Knock, Leave};
    [
        (None, cases([Some(Invite), None, None, None, None, Some(Ban), None, Some(Knock), None])),
        (
            Some(Invite),
            cases([
                Some(Invite),
                None,
                Some(Join),
                Some(Leave),
                Some(Leave),
                Some(Ban),
                None,
                None,
                None,
            ]),
        ),
        (
            Some(Join),
            cases([None, None, Some(Join), Some(Leave), Some(Leave), Some(Ban), None, None, None]),
        ),
        (
            Some(Knock),
            cases([
                Some(Invite),
                None,
                None,
                Some(Leave),
                Some(Leave),
                Some(Ban),
                None,
                Some(Knock),
                None,
            ]),
        ),
        (
            Some(Leave),
            cases([
                Some(Invite),
                None,
                None,
                Some(Leave),
                None,
                Some(Ban),
                None,
                Some(Knock),
                None,
            ]),
        ),
        (Some(Ban), cases([None, None, None, None, None, Some(Ban), Some(Leave), None, None])),
    ]
}

#[tokio::test]
async fn every_action_from_every_membership_with_and_without_power() {
    for (before, cases) in table() {
        for (who, action, after) in cases {
            let rooms = rooms();
            let room = private_room(&rooms, json!({ "join_rule": "knock" })).await;
            for member in ["mod", "carol"] {
                set_membership(&rooms, &room, ("alice", member), "invite").await.unwrap();
                set_membership(&rooms, &room, (member, member), "join").await.unwrap();
            }
            bring(&rooms, &room, before).await;
            let result = act(&rooms, &room, who, action).await;
            let case = format!("{before:?} {who} {action}: {result:?}");
            match after {
                Some(after) => {
                    result.unwrap_or_else(|error| panic!("{case} {error}"));
                    assert_eq!(membership(&rooms, &room, "bob").await, Some(after), "{case}");
                }
                None => {
                    let refused = matches!(result, Err(Error::Forbidden(_) | Error::BadState(_)));
                    assert!(refused, "{case}");
                    assert_eq!(membership(&rooms, &room, "bob").await, before, "{case}");
                }
            }
        }
    }
}

/// In order: a moderator invites, a member without power invites, bob joins, bob leaves, a moderator
/// kicks, bans, unbans, bob knocks, and whatever members without power and outsiders try.
fn cases(after: [Option<Membership>; 9]) -> [Case; 12] {
    let [invite, weak_invite, join, leave, kick, ban, unban, knock, weak] = after;
    [
        ("mod", "invite", invite),
        ("carol", "invite", weak_invite),
        ("bob", "join", join),
        ("bob", "leave", leave),
        ("mod", "kick", kick),
        ("mod", "ban", ban),
        ("mod", "unban", unban),
        ("bob", "knock", knock),
        ("carol", "kick", weak),
        ("carol", "ban", weak),
        ("carol", "unban", weak),
        ("outsider", "kick", weak),
    ]
}

async fn act(rooms: &Rooms, room: &OwnedRoomId, who: &str, action: &str) -> Result<()> {
    let (sender, bob) = (user(who), user("bob"));
    let change = change(&sender, &bob, room);
    match action {
        "invite" => rooms.invite(change).await,
        "join" => rooms.join(&bob, room, None).await,
        "leave" => rooms.leave(&bob, room, None).await,
        "kick" => rooms.kick(change).await,
        "ban" => rooms.ban(change).await,
        "unban" => rooms.unban(change).await,
        "knock" => rooms.knock(&bob, room, Some("please")).await,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn doing_it_twice_makes_no_second_event() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let (alice, bob) = (user("alice"), user("bob"));
    rooms.invite(change(&alice, &bob, &room)).await.unwrap();
    let before = timeline(&rooms, &room).await.len();
    rooms.invite(change(&alice, &bob, &room)).await.unwrap();
    assert_eq!(timeline(&rooms, &room).await.len(), before);
    for _ in 0..2 {
        rooms.join(&bob, &room, None).await.unwrap();
        assert_eq!(timeline(&rooms, &room).await.len(), before + 1);
    }
    for _ in 0..2 {
        rooms.leave(&bob, &room, None).await.unwrap();
        assert_eq!(timeline(&rooms, &room).await.len(), before + 2);
    }
}

#[tokio::test]
async fn a_room_is_forgotten_only_after_leaving_and_comes_back_with_an_invite() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let (alice, bob) = (user("alice"), user("bob"));
    rooms.join(&bob, &room, None).await.unwrap();
    assert!(matches!(rooms.forget(&bob, &room).await, Err(Error::InvalidParam(_))));
    rooms.leave(&bob, &room, None).await.unwrap();
    rooms.forget(&bob, &room).await.unwrap();
    rooms.forget(&bob, &room).await.unwrap();
    let forgotten = async || {
        let all = rooms.rooms_of(&bob, None).await.unwrap();
        all.first().map(|(_, stored)| stored.record.forgotten)
    };
    assert_eq!(forgotten().await, Some(true));
    rooms.invite(change(&alice, &bob, &room)).await.unwrap();
    assert_eq!(forgotten().await, Some(false));
}

#[tokio::test]
async fn members_of_a_named_room_may_join_a_restricted_one() {
    let rooms = rooms();
    let other = public_room(&rooms, RoomVersionId::V12).await;
    let allow = json!([
        { "type": "org.example.unknown", "room_id": 5 },
        { "type": "m.room_membership", "room_id": other },
    ]);
    for join_rule in ["restricted", "knock_restricted"] {
        let room = private_room(&rooms, json!({ "join_rule": join_rule, "allow": allow })).await;
        let refused = rooms.join(&user("bob"), &room, None).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
        // No way around: the client cannot say who vouches.
        let content = json!({ "membership": "join",
            "join_authorised_via_users_server": "@alice:agents.example" });
        let forged = NewState {
            sender: user("bob"),
            event_type: "m.room.member".to_owned(),
            state_key: user("bob").to_string(),
            content: raw(&content),
        };
        let refused = rooms.send_state(&room, forged).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
        rooms.join(&user("carol"), &other, None).await.unwrap();
        rooms.join(&user("carol"), &room, None).await.unwrap();
        assert_eq!(membership(&rooms, &room, "carol").await, Some(Membership::Join));
        let number = rooms.room_number(&room).await.unwrap().unwrap();
        let carol = user("carol");
        let event = rooms.current_state_event(number, "m.room.member", carol.as_str()).await;
        let content: Value = event.unwrap().unwrap().content().unwrap().unwrap();
        assert_eq!(content["join_authorised_via_users_server"], "@alice:agents.example");
    }
    // Nobody who may invite is left.
    let room = private_room(&rooms, json!({ "join_rule": "restricted", "allow": allow })).await;
    rooms.join(&user("carol"), &room, None).await.unwrap();
    rooms.leave(&user("alice"), &room, None).await.unwrap();
    rooms.join(&user("dora"), &other, None).await.unwrap();
    let refused = rooms.join(&user("dora"), &room, None).await;
    assert!(matches!(refused, Err(Error::UnableToGrantJoin(_))), "{refused:?}");
}

#[tokio::test]
async fn a_profile_that_is_written_into_one_room_stays_there() {
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let content = json!({ "membership": "join", "displayname": "Alice in here" });
    let draft = state("alice", "m.room.member", user("alice").as_str(), &content);
    let new = NewState {
        sender: user("alice"),
        event_type: "m.room.member".to_owned(),
        state_key: user("alice").to_string(),
        content: draft.content,
    };
    rooms.send_state(&room, new).await.unwrap();
    let number = rooms.room_number(&room).await.unwrap().unwrap();
    let member = rooms.member(number, &user("alice")).await.unwrap().unwrap();
    assert_eq!(member.display_name.as_deref(), Some("Alice in here"));
    assert_eq!(rooms.head(number).await.unwrap().joined_members, 1);
}

#[tokio::test]
async fn users_of_other_servers_and_those_who_block_invites_are_not_invited() {
    use pli_schema::records::sync::AccountDataRecord;
    let rooms = rooms();
    let room = public_room(&rooms, RoomVersionId::V12).await;
    let remote = UserId::parse("@bob:other.example").unwrap();
    let alice = user("alice");
    let refused = rooms.invite(change(&alice, &remote, &room)).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    let key = AccountDataKey {
        user_id: user("bob"),
        room_id: String::new(),
        data_type: "m.invite_permission_config".to_owned(),
    };
    let record = AccountDataRecord { content: r#"{"default_action":"block"}"#.to_owned() };
    let (key, record) = (&key, &record);
    rooms
        .store()
        .write(|tx| async move {
            tx.put(key, record)?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let refused = rooms.invite(change(&alice, &user("bob"), &room)).await;
    assert!(matches!(refused, Err(Error::InviteBlocked(_))), "{refused:?}");
}
