//! Joining, inviting, leaving, knocking.

use super::*;

fn authorized_join(room: &Room, by: &str) -> Arc<Pdu> {
    let content = json!({"membership": "join", "join_authorised_via_users_server": by});
    room.event(DAVE, "m.room.member", Some(DAVE), content)
}

const DAVE_JOINS: fn(&Room) -> Arc<Pdu> = |r| r.member(DAVE, DAVE, "join");
const DAVE_IS_INVITED: fn(&mut Room) = |r| drop(r.put_member(BOB, DAVE, "invite"));
const PUBLIC: fn(&mut Room) = |r| drop(r.put_join_rule("public"));
const KNOCK: fn(&mut Room) = |r| drop(r.put_join_rule("knock"));
const RESTRICTED: fn(&mut Room) = |r| drop(r.put_join_rule("restricted"));
/// Bob may invite, Carol may not.
const INVITES_NEED_50: fn(&mut Room) = |r| drop(r.put_levels(json!({"invite": 50})));

fn invited_and(r: &mut Room, join_rule: &str) {
    DAVE_IS_INVITED(r);
    r.put_join_rule(join_rule);
}

fn restricted_for_50(r: &mut Room) {
    INVITES_NEED_50(r);
    RESTRICTED(r);
}

#[test]
fn join() {
    run(&[
        ("uninvited", NOTHING, DAVE_JOINS, NEVER),
        ("invited", DAVE_IS_INVITED, DAVE_JOINS, ALWAYS),
        ("again", NOTHING, |r| r.member(CAROL, CAROL, "join"), ALWAYS),
        ("for another", NOTHING, |r| r.member(BOB, DAVE, "join"), NEVER),
        ("public", PUBLIC, DAVE_JOINS, ALWAYS),
        ("public but banned", PUBLIC, |r| r.member(EVE, EVE, "join"), NEVER),
        ("unknown rule", |r| drop(r.put_join_rule("org.example.whim")), DAVE_JOINS, NEVER),
        ("private although invited", |r| invited_and(r, "private"), DAVE_JOINS, NEVER),
        ("invited where one knocks", |r| invited_and(r, "knock"), DAVE_JOINS, |v| v >= 7),
    ]);
}

#[test]
fn restricted_join() {
    const SINCE_8: fn(u8) -> bool = |v| v >= 8;
    run(&[
        ("authorized by a member", RESTRICTED, |r| authorized_join(r, CAROL), SINCE_8),
        (
            "knock_restricted, authorized by a member",
            |r| drop(r.put_join_rule("knock_restricted")),
            |r| authorized_join(r, CAROL),
            |v| v >= 10,
        ),
        ("by one who may not invite", restricted_for_50, |r| authorized_join(r, CAROL), NEVER),
        ("by one who may invite", restricted_for_50, |r| authorized_join(r, BOB), SINCE_8),
        ("by a stranger", RESTRICTED, |r| authorized_join(r, "@frank:a.example"), NEVER),
        ("authorized by nobody", RESTRICTED, DAVE_JOINS, NEVER),
        ("invited, authorized by nobody", |r| invited_and(r, "restricted"), DAVE_JOINS, SINCE_8),
    ]);
}

#[test]
fn invite() {
    run(&[
        ("by a member", NOTHING, |r| r.member(CAROL, DAVE, "invite"), ALWAYS),
        ("by a stranger", NOTHING, |r| r.member(DAVE, "@frank:b.example", "invite"), NEVER),
        ("of a member", NOTHING, |r| r.member(BOB, CAROL, "invite"), NEVER),
        ("of the banned", NOTHING, |r| r.member(ALICE, EVE, "invite"), NEVER),
        ("below the level", INVITES_NEED_50, |r| r.member(CAROL, DAVE, "invite"), NEVER),
        ("at the level", INVITES_NEED_50, |r| r.member(BOB, DAVE, "invite"), ALWAYS),
    ]);
}

#[test]
fn leave_kick_and_ban() {
    run(&[
        ("leave", NOTHING, |r| r.member(CAROL, CAROL, "leave"), ALWAYS),
        ("leave without being there", NOTHING, |r| r.member(DAVE, DAVE, "leave"), NEVER),
        ("leave while banned", NOTHING, |r| r.member(EVE, EVE, "leave"), NEVER),
        ("reject an invitation", DAVE_IS_INVITED, |r| r.member(DAVE, DAVE, "leave"), ALWAYS),
        ("kick", NOTHING, |r| r.member(BOB, CAROL, "leave"), ALWAYS),
        ("kick below the level", NOTHING, |r| r.member(CAROL, BOB, "leave"), NEVER),
        ("kick one above", NOTHING, |r| r.member(BOB, ALICE, "leave"), NEVER),
        ("kick by a stranger", NOTHING, |r| r.member(DAVE, CAROL, "leave"), NEVER),
        (
            "kick one of the same level",
            |r| {
                let mut users = r.levels(json!({}))["users"].clone();
                users[CAROL] = json!(50);
                r.put_levels(json!({"users": users}));
            },
            |r| r.member(BOB, CAROL, "leave"),
            NEVER,
        ),
        ("unban", NOTHING, |r| r.member(BOB, EVE, "leave"), ALWAYS),
        ("unban below the level", NOTHING, |r| r.member(CAROL, EVE, "leave"), NEVER),
        (
            "unban at the kick level, below the ban level",
            |r| drop(r.put_levels(json!({"ban": 60}))),
            |r| r.member(BOB, EVE, "leave"),
            NEVER,
        ),
        ("ban", NOTHING, |r| r.member(BOB, CAROL, "ban"), ALWAYS),
        ("ban one who was never there", NOTHING, |r| r.member(BOB, DAVE, "ban"), ALWAYS),
        ("ban below the level", NOTHING, |r| r.member(CAROL, DAVE, "ban"), NEVER),
        ("ban one above", NOTHING, |r| r.member(BOB, ALICE, "ban"), NEVER),
        ("ban by a stranger", NOTHING, |r| r.member(DAVE, CAROL, "ban"), NEVER),
        ("unknown membership", NOTHING, |r| r.member(CAROL, CAROL, "org.example.lurk"), NEVER),
        (
            "no membership",
            NOTHING,
            |r| r.event(CAROL, "m.room.member", Some(CAROL), json!({})),
            NEVER,
        ),
        (
            "no state key",
            NOTHING,
            |r| r.event(CAROL, "m.room.member", None, json!({"membership": "join"})),
            NEVER,
        ),
    ]);
}

#[test]
fn knock() {
    run(&[
        ("where one knocks", KNOCK, |r| r.member(DAVE, DAVE, "knock"), |v| v >= 7),
        (
            "where one knocks or is in a space",
            |r| drop(r.put_join_rule("knock_restricted")),
            |r| r.member(DAVE, DAVE, "knock"),
            |v| v >= 10,
        ),
        ("where one is invited", NOTHING, |r| r.member(DAVE, DAVE, "knock"), NEVER),
        ("while banned", KNOCK, |r| r.member(EVE, EVE, "knock"), NEVER),
        ("while joined", KNOCK, |r| r.member(CAROL, CAROL, "knock"), NEVER),
        ("for another", KNOCK, |r| r.member(BOB, DAVE, "knock"), NEVER),
        (
            "and withdraw it",
            |r| {
                r.put_join_rule("knock");
                let knock = r.member(DAVE, DAVE, "knock");
                r.append(&knock);
            },
            |r| r.member(DAVE, DAVE, "leave"),
            |v| v >= 7,
        ),
    ]);
}
