//! Push rules.

use ruma::push::{
    Action, NewConditionalPushRule, NewPatternedPushRule, NewPushRule, NewSimplePushRule, RuleKind,
};

use super::*;
use crate::Error;

fn rule(id: &str) -> NewPushRule {
    NewPushRule::Content(NewPatternedPushRule::new(id.into(), "x".into(), vec![Action::Notify]))
}

async fn order(push: &Push) -> Vec<String> {
    let rules = push.rules(&user("bob")).await.unwrap();
    rules.content.iter().filter(|rule| !rule.default).map(|rule| rule.rule_id.clone()).collect()
}

async fn put(push: &Push, id: &str, before: Option<&str>, after: Option<&str>) -> Done {
    let place = RulePlace { before: before.map(Into::into), after: after.map(Into::into) };
    push.put_rule(&user("bob"), &rule(id), &place).await
}

#[tokio::test]
async fn rules_are_placed_moved_and_never_out_of_bounds() {
    let push = push(rooms());
    for id in ["c", "b", "a"] {
        put(&push, id, None, None).await.unwrap();
    }
    assert_eq!(order(&push).await, ["a", "b", "c"]);
    // After the last rule, for a new rule and for one that is there: the trap of an index past the end.
    put(&push, "d", None, Some("c")).await.unwrap();
    put(&push, "a", None, Some("d")).await.unwrap();
    assert_eq!(order(&push).await, ["b", "c", "d", "a"]);
    put(&push, "a", Some("b"), None).await.unwrap();
    put(&push, "b", Some("d"), Some("c")).await.unwrap();
    assert_eq!(order(&push).await, ["a", "c", "b", "d"]);
    for (id, before, after) in [
        ("e", Some("none"), None),
        ("e", None, Some(".m.rule.contains_user_name")),
        ("e", Some("a"), Some("d")),
        ("a", Some("a"), None),
        (".m.rule.own", None, None),
        ("a/b", None, None),
        ("a\\b", None, None),
        ("", None, None),
    ] {
        let refused = put(&push, id, before, after).await;
        assert!(matches!(refused, Err(Error::InvalidParam(_))), "{id} {before:?} {after:?}");
    }
    assert_eq!(order(&push).await, ["a", "c", "b", "d"]);
}

#[tokio::test]
async fn a_rule_that_moves_stays_disabled() {
    let push = push(rooms());
    let bob = user("bob");
    put(&push, "a", None, None).await.unwrap();
    put(&push, "b", None, None).await.unwrap();
    push.enable_rule(&bob, RuleKind::Content, "a", false).await.unwrap();
    put(&push, "a", Some("b"), None).await.unwrap();
    assert!(!push.rule(&bob, RuleKind::Content, "a").await.unwrap().enabled());
}

#[tokio::test]
async fn rules_of_the_server_can_be_changed_but_not_deleted() {
    let push = push(rooms());
    let bob = user("bob");
    let master = ".m.rule.master";
    push.enable_rule(&bob, RuleKind::Override, master, true).await.unwrap();
    assert!(push.rule(&bob, RuleKind::Override, master).await.unwrap().enabled());
    let refused = push.delete_rule(&bob, RuleKind::Override, master).await;
    assert!(matches!(refused, Err(Error::InvalidParam(_))));
    push.set_rule_actions(&bob, RuleKind::Underride, ".m.rule.message", &[]).await.unwrap();
    assert!(
        push.rule(&bob, RuleKind::Underride, ".m.rule.message").await.unwrap().actions().is_empty()
    );
    for missing in [
        push.delete_rule(&bob, RuleKind::Content, "none").await,
        push.enable_rule(&bob, RuleKind::Content, "none", true).await,
        push.set_rule_actions(&bob, RuleKind::from("x"), "none", &[]).await,
        push.rule(&bob, RuleKind::PostContent, ".io.element.msc4306.rule.subscribed_thread")
            .await
            .map(|_| ()),
    ] {
        assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    }
    // The master rule stays before every own rule.
    let own = NewPushRule::Override(NewConditionalPushRule::new("own".into(), vec![], vec![]));
    push.put_rule(&bob, &own, &RulePlace::default()).await.unwrap();
    let rules = push.rules(&bob).await.unwrap();
    assert_eq!(rules.override_.first().unwrap().rule_id, master);
}

#[tokio::test]
async fn a_change_is_told_and_seen() {
    let push = push(rooms());
    let bob = user("bob");
    let mut feed = push.store().subscribe();
    assert_eq!(push.rules_changed_at(&bob).await.unwrap(), Position::ZERO);
    let room = ruma::RoomId::parse("!quiet:agents.example").unwrap();
    let own = NewPushRule::Room(NewSimplePushRule::new(room, vec![]));
    push.put_rule(&bob, &own, &RulePlace::default()).await.unwrap();
    assert_eq!(push.rules_changed_at(&bob).await.unwrap(), push.store().position());
    assert!(feed.recv().await.unwrap().topics.contains(&topic("bob")));
    let event = push.rules_event(&bob).await.unwrap();
    let event: serde_json::Value = serde_json::from_str(event.json().get()).unwrap();
    assert_eq!(event["type"], "m.push_rules");
    assert_eq!(event["content"]["global"]["room"][0]["rule_id"], "!quiet:agents.example");
    assert!(event["content"]["global"].get("postcontent").is_none());
}

#[tokio::test]
async fn too_many_rules_are_refused() {
    let push = push(rooms());
    let bob = user("bob");
    let long = "x".repeat(60_000);
    let rule = |id: &str| {
        let actions = vec![Action::Notify];
        NewPushRule::Content(NewPatternedPushRule::new(id.into(), long.clone(), actions))
    };
    push.put_rule(&bob, &rule("a"), &RulePlace::default()).await.unwrap();
    let refused = push.put_rule(&bob, &rule("b"), &RulePlace::default()).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))));
}
