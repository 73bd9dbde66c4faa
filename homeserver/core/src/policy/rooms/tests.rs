//! The rules for rooms, each with what it allows and what it refuses.

use serde_json::json;

use super::*;

fn facts(rule: &str) -> Facts {
    Facts {
        access_rules: Some(json!({ "rule": rule, "visibility": "private" })),
        members: 1,
        ..Facts::default()
    }
}

fn allowed(event_type: &str, content: Value, facts: &Facts) -> bool {
    decide(event_type, &content, facts).is_ok()
}

#[test]
fn external_people_are_let_in_as_the_rule_says() {
    for (rule, membership, inside, expected) in [
        ("restricted", "invite", false, false),
        ("restricted", "join", true, false),
        ("restricted", "leave", true, true),
        ("restricted", "ban", true, true),
        ("unrestricted", "invite", false, true),
        ("unrestricted", "join", true, true),
        ("unrestricted", "join", false, false),
        ("unrestricted", "knock", false, false),
        ("nonsense", "invite", false, false),
    ] {
        let content = json!({ "membership": membership });
        let external =
            Facts { target_is_external: true, target_is_resident: inside, ..facts(rule) };
        assert_eq!(
            allowed("m.room.member", content.clone(), &external),
            expected,
            "{rule} {membership} {inside}"
        );
        let agent = Facts { target_is_external: false, ..external };
        assert!(allowed("m.room.member", content, &agent), "{rule} {membership}");
    }
}

#[test]
fn a_direct_conversation_has_two_members_and_no_name() {
    let full = Facts { members: 2, ..facts("direct") };
    assert!(!allowed("m.room.member", json!({ "membership": "invite" }), &full));
    let inside = Facts { target_is_resident: true, ..full.clone() };
    assert!(allowed("m.room.member", json!({ "membership": "join" }), &inside));
    assert!(allowed("m.room.member", json!({ "membership": "invite" }), &facts("direct")));
    for event_type in ["m.room.name", "m.room.avatar", "m.room.topic"] {
        assert!(!allowed(event_type, json!({}), &full), "{event_type}");
        assert!(allowed(event_type, json!({}), &facts("restricted")), "{event_type}");
    }
    assert!(!allowed("m.room.join_rules", json!({ "join_rule": "public" }), &full));
    let admin = Facts { sender_is_admin: true, ..full };
    assert!(allowed("m.room.name", json!({}), &admin));
}

#[test]
fn the_access_rule_only_opens() {
    let rules = ["restricted", "unrestricted", "direct"];
    for old in rules {
        for new in rules {
            let expected = old == new || (old, new) == ("restricted", "unrestricted");
            let content = json!({ "rule": new, "visibility": "private" });
            assert_eq!(allowed(ACCESS_RULES, content, &facts(old)), expected, "{old} to {new}");
        }
    }
    let published = Facts { is_published: true, ..facts("restricted") };
    let open = json!({ "rule": "unrestricted", "visibility": "private" });
    assert!(!allowed(ACCESS_RULES, open, &published));
    for content in [
        json!({ "rule": "restricted" }),
        json!({ "rule": "restricted", "visibility": "public" }),
        json!({ "rule": "restricted", "visibility": "private", "force_unencrypted_at_creation": true }),
        json!({ "rule": "nonsense", "visibility": "private" }),
        json!({}),
    ] {
        assert!(!allowed(ACCESS_RULES, content.clone(), &facts("restricted")), "{content}");
    }
    let crowd = Facts { members: 3, ..Facts::default() };
    assert!(!allowed(ACCESS_RULES, json!({ "rule": "direct" }), &crowd));
}

#[test]
fn power_encryption_retention_and_the_directory() {
    let power = |content| allowed("m.room.power_levels", content, &facts("unrestricted"));
    assert!(power(json!({ "users_default": 0 })));
    assert!(!power(json!({ "users_default": 50 })));
    let gives = Facts { gives_power_to_externals: true, ..facts("unrestricted") };
    assert!(!allowed("m.room.power_levels", json!({}), &gives));
    let public = Facts { is_public: true, ..facts("restricted") };
    assert!(!allowed("m.room.encryption", json!({}), &public));
    assert!(!allowed("m.room.join_rules", json!({ "join_rule": "invite" }), &public));
    for (lifetime, expected) in [
        (json!({ "max_lifetime": PUBLIC_RETENTION_MS }), true),
        (json!({ "max_lifetime": PUBLIC_RETENTION_MS + 1 }), false),
        (json!({ "max_lifetime": 1 }), true),
        (json!({}), false),
    ] {
        assert_eq!(allowed("m.room.retention", lifetime.clone(), &public), expected, "{lifetime}");
    }
    assert!(decide_publishing(&facts("restricted")).is_ok());
    assert!(decide_publishing(&facts("unrestricted")).is_err());
}

#[test]
fn a_new_room_gets_what_the_rules_want() {
    let private = complete(Wishes::default()).unwrap();
    let state = |wishes: &Wishes, kind: &str| {
        wishes.state.iter().find(|(given, _)| given == kind).map(|(_, content)| content.clone())
    };
    let rule = json!({ "rule": "restricted", "visibility": "private" });
    assert_eq!(state(&private, ACCESS_RULES), Some(rule));
    assert!(state(&private, "m.room.encryption").is_some());
    let visibility = json!({ "history_visibility": "invited" });
    assert_eq!(state(&private, "m.room.history_visibility"), Some(visibility));
    assert_eq!(private.power_levels.get("state_default"), Some(&json!(100)));
    assert_eq!(private.power_levels["events"]["m.call.member"], 0);

    let forum = Wishes { is_public: true, is_published: true, ..Wishes::default() };
    let forum = complete(forum).unwrap();
    assert_eq!(state(&forum, "m.room.encryption"), None);
    assert_eq!(
        state(&forum, "m.room.retention"),
        Some(json!({ "max_lifetime": PUBLIC_RETENTION_MS }))
    );
    let direct = complete(Wishes { is_direct: true, ..Wishes::default() }).unwrap();
    assert_eq!(state(&direct, ACCESS_RULES).unwrap()["rule"], "direct");
    let open = json!({ "rule": "restricted", "force_unencrypted_at_creation": true });
    let open = vec![(ACCESS_RULES.to_owned(), open)];
    let open = complete(Wishes { state: open, ..Wishes::default() }).unwrap();
    assert_eq!(state(&open, "m.room.encryption"), None);
}

#[test]
fn wishes_against_the_rules_are_refused() {
    let rule = |rule: &str| vec![(ACCESS_RULES.to_owned(), json!({ "rule": rule }))];
    let level = |key: &str, level: i64| [(key.to_owned(), json!(level))].into_iter().collect();
    let wishes = Wishes::default;
    for (case, wishes) in [
        ("unknown", Wishes { state: rule("nonsense"), ..wishes() }),
        ("not direct", Wishes { state: rule("direct"), ..wishes() }),
        ("direct", Wishes { state: rule("restricted"), is_direct: true, ..wishes() }),
        ("public direct", Wishes { is_direct: true, is_public: true, ..wishes() }),
        ("open forum", Wishes { state: rule("unrestricted"), is_published: true, ..wishes() }),
        (
            "visibility",
            Wishes {
                state: vec![(
                    ACCESS_RULES.to_owned(),
                    json!({ "rule": "restricted", "visibility": "public" }),
                )],
                ..wishes()
            },
        ),
        (
            "encrypted forum",
            Wishes {
                is_public: true,
                state: vec![("m.room.encryption".to_owned(), json!({}))],
                ..wishes()
            },
        ),
        ("invite", Wishes { power_levels: level("invite", 49), ..wishes() }),
        ("state", Wishes { power_levels: level("state_default", 50), ..wishes() }),
    ] {
        assert!(complete(wishes).is_err(), "{case}");
    }
}
