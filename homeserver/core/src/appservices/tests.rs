//! Registrations: which are taken, whom they cover.

use ruma::{room_alias_id, room_id, server_name, user_id};

use super::*;

fn file(name: &str, text: &str) -> RegistrationFile {
    RegistrationFile { name: name.to_owned(), text: RegistrationText(text.to_owned()) }
}

const IRC: &str = r##"
id: "IRC Bridge"
url: "http://127.0.0.1:1234"
as_token: "30c05ae90a248a4188e620216fa72e349803310ec83e2a77b34fe90be6081f46"
hs_token: "312df522183efd404ec1cd22d2ffa4bbc76a8c1ccf541dd692eef281356bb74e"
sender_localpart: "_irc_bot" # Will result in @_irc_bot:example.org
de.sorunome.msc2409.push_ephemeral: true
namespaces:
  users:
    - exclusive: true
      regex: "@_irc_bridge_.*"
    - exclusive: false
      regex: '@\d+:.*'
  aliases:
    - exclusive: false
      regex: "#_irc_bridge_.*"
  rooms:
"##;

fn with(changes: &[(&str, &str)]) -> Result<Appservices, RegistrationError> {
    let mut text = IRC.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    Appservices::new(&[file("irc.yaml", &text)], server_name!("example.org"))
}

#[test]
fn the_registration_of_the_specification_covers_whom_it_says() {
    let services = with(&[]).unwrap();
    let irc = services.by_id("IRC Bridge").unwrap();
    assert_eq!(irc.sender, "@_irc_bot:example.org");
    assert!(irc.rate_limited && irc.wants_ephemeral && !irc.wants_device_lists);
    for (user, covered, owned) in [
        (user_id!("@_irc_bridge_bob:example.org"), true, true),
        (user_id!("@_irc_bot:example.org"), true, true),
        (user_id!("@123:example.org"), true, false),
        (user_id!("@x_irc_bridge_bob:example.org"), false, false),
        (user_id!("@_irc_bridge_bob:other.example"), false, false),
    ] {
        assert_eq!((irc.covers_user(user), irc.owns_user(user)), (covered, owned), "{user}");
        assert_eq!(services.is_exclusive_user(user, None), owned);
        assert!(!services.is_exclusive_user(user, Some("IRC Bridge")));
    }
    let alias = room_alias_id!("#_irc_bridge_x:example.org");
    assert!(irc.covers_alias(alias) && !services.is_exclusive_alias(alias, None));
    assert!(!irc.covers_room(room_id!("!x:example.org")));
    assert!(!irc.limits(user_id!("@_irc_bot:example.org")));
    let token = "30c05ae90a248a4188e620216fa72e349803310ec83e2a77b34fe90be6081f46";
    assert_eq!(&*services.by_token(token).unwrap().id, "IRC Bridge");
    assert!(services.by_token("x").is_none());
    assert!(!format!("{services:?}").contains("30c05ae"));
}

#[test]
fn what_cannot_be_used_is_refused_without_showing_tokens() {
    for (changes, problem) in [
        (("id: \"IRC Bridge\"", "x: y"), "not the YAML"),
        (("\"http://127.0.0.1:1234\"", "ftp://x"), "`url`"),
        (("\"http://127.0.0.1:1234\"", "http://u:p@x"), "`url`"),
        (("\"_irc_bot\"", "\"a b:c\""), "sender_localpart"),
        (("@_irc_bridge_.*", "@(("), "regular expression"),
        (("@_irc_bridge_.*", "@(a{1000}){1000}"), "regular expression"),
        (("as_token: \"", "as_token: \" "), "as_token"),
    ] {
        let error = with(&[changes]).unwrap_err().to_string();
        assert!(error.contains("irc.yaml") && error.contains(problem), "{error}");
        assert!(!error.contains("30c05ae") && !error.contains("312df522"), "{error}");
    }
    for url in ["", "null"] {
        let services = with(&[("\"http://127.0.0.1:1234\"", url)]).unwrap();
        assert_eq!(services.by_id("IRC Bridge").unwrap().url, None);
    }
    let twice = [file("a.yaml", IRC), file("b.yaml", &IRC.replace("IRC Bridge", "Other"))];
    let error = Appservices::new(&twice, server_name!("example.org")).unwrap_err();
    assert!(error.to_string().contains("as_token"), "{error}");
    let twice = [file("a.yaml", IRC), file("b.yaml", &IRC.replace("30c0", "40c0"))];
    let error = Appservices::new(&twice, server_name!("example.org")).unwrap_err();
    assert!(error.to_string().contains("`id`"), "{error}");
}
