//! Conference names, links and the widget of a Jitsi call.
//!
//! Rules: Jitsi takes the last path segment as the name; WebConférence de l'État wants at least
//! ten letters and digits, three of them digits; Element shows a call from the state event
//! `im.vector.modular.widgets` of type `jitsi`.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::{Value, json};
use url::{Host, Url};

/// Lower-case letters only: Jitsi folds case, so upper case would add nothing to guess.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
/// 22 letters (103 bits) and 6 digits (20 bits).
const NAME_LETTERS: usize = 22;
const NAME_DIGITS: usize = 6;
/// Where Element's widget page stands; Element puts its own in its place.
const WIDGET_PAGE: &str = "https://app.element.io/jitsi.html";

/// An unguessable conference name that Jitsi and WebConférence accept.
pub fn conference_name(rng: &mut StdRng) -> String {
    let mut name: Vec<char> = Vec::with_capacity(NAME_LETTERS + NAME_DIGITS);
    let mut draw = |from: &[u8], count: usize, rng: &mut StdRng| {
        for _ in 0..count {
            name.extend(from.choose(rng).map(|byte| char::from(*byte)));
        }
    };
    draw(LETTERS, NAME_LETTERS, rng);
    draw(DIGITS, NAME_DIGITS, rng);
    name.shuffle(rng);
    name.into_iter().collect()
}

/// Reads a conference domain: a host with an optional port, nothing else.
pub fn parse_domain(text: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{text}/")).ok()?;
    let host = match url.host()? {
        Host::Domain(name) => name.to_owned(),
        other => other.to_string(),
    };
    let domain = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    (url.path() == "/" && url.username().is_empty() && domain.eq_ignore_ascii_case(text))
        .then_some(domain)
}

/// The link that a person opens; without `video` it starts with sound only.
pub fn link(domain: &str, name: &str, video: bool) -> String {
    if video {
        format!("https://{domain}/{name}")
    } else {
        format!(
            "https://{domain}/{name}#config.startAudioOnly=true&config.startWithVideoMuted=true"
        )
    }
}

/// What the widget event says about a call.
pub struct Widget<'a> {
    /// The state key, random.
    pub id: &'a str,
    /// The conference server.
    pub domain: &'a str,
    /// The conference name.
    pub name: &'a str,
    /// The title shown in Element.
    pub title: &'a str,
    /// The name of the room.
    pub room_name: &'a str,
    /// Who starts the call.
    pub creator: &'a str,
    /// With cameras.
    pub video: bool,
}

impl Widget<'_> {
    /// The content of the state event.
    pub fn content(&self) -> Value {
        // The `$…` are filled in by Element; the order and the names are its own.
        let url = format!(
            "{WIDGET_PAGE}?confId={}#conferenceDomain=$domain&conferenceId=$conferenceId\
             &isAudioOnly=$isAudioOnly&isVideoChannel=$isVideoChannel\
             &displayName=$matrix_display_name&avatarUrl=$matrix_avatar_url\
             &userId=$matrix_user_id&roomId=$matrix_room_id&theme=$theme&roomName=$roomName",
            self.name
        );
        json!({
            "type": "jitsi",
            "id": self.id,
            "creatorUserId": self.creator,
            "name": self.title,
            "url": url,
            "data": {
                "conferenceId": self.name,
                "domain": self.domain,
                "roomName": self.room_name,
                "isAudioOnly": !self.video,
                "isVideoChannel": false,
            },
        })
    }
}

/// The conference domain in a `.well-known/matrix/client` document.
pub fn domain_of_well_known(document: &Value) -> Option<String> {
    ["io.element.jitsi", "im.vector.riot.jitsi"]
        .iter()
        .find_map(|key| document.get(key)?.get("preferredDomain")?.as_str())
        .and_then(parse_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_webconference_and_never_repeat() {
        let mut rng = crate::secret::random();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let name = conference_name(&mut rng);
            assert!(name.len() >= 10 && name.chars().all(|c| c.is_ascii_alphanumeric()));
            assert!(name.chars().filter(char::is_ascii_digit).count() >= 3, "{name}");
            assert_eq!(name, name.to_lowercase());
            assert!(seen.insert(name));
        }
    }

    #[test]
    fn links_start_with_sound_only() {
        assert_eq!(
            link("webconf.example", "abc", false),
            "https://webconf.example/abc#config.startAudioOnly=true&config.startWithVideoMuted=true"
        );
        assert_eq!(link("webconf.example", "abc", true), "https://webconf.example/abc");
    }

    #[test]
    fn domains_are_hosts_only() {
        assert_eq!(parse_domain("meet.example:8443").as_deref(), Some("meet.example:8443"));
        for bad in ["", "a/b", "x@y", "a b", "meet.example/room", "a#b", "https://x"] {
            assert_eq!(parse_domain(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_server_names_the_domain() {
        let both = json!({"im.vector.riot.jitsi": {"preferredDomain": "old.example"},
            "io.element.jitsi": {"preferredDomain": "new.example"}});
        assert_eq!(domain_of_well_known(&both).as_deref(), Some("new.example"));
        let old = json!({"im.vector.riot.jitsi": {"preferredDomain": "old.example"}});
        assert_eq!(domain_of_well_known(&old).as_deref(), Some("old.example"));
        assert_eq!(
            domain_of_well_known(&json!({"io.element.jitsi": {"preferredDomain": "a/b"}})),
            None
        );
        assert_eq!(domain_of_well_known(&Value::Null), None);
    }

    #[test]
    fn the_widget_is_what_element_reads() {
        let widget = Widget {
            id: "w",
            domain: "meet.example",
            name: "abc123",
            title: "Call",
            room_name: "R",
            creator: "@a:b",
            video: false,
        };
        let content = widget.content();
        assert_eq!(content["type"], "jitsi");
        assert_eq!(content["data"]["conferenceId"], "abc123");
        assert_eq!(content["data"]["isAudioOnly"], true);
        let url = content["url"].as_str().unwrap();
        assert!(url.starts_with(
            "https://app.element.io/jitsi.html?confId=abc123#conferenceDomain=$domain"
        ));
        assert!(!url.contains(' '), "{url}");
    }
}
