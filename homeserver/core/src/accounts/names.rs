//! User names: which are valid, which people may choose, which come from an e-mail address.

use pli_schema::EmailAddress;
use ruma::{OwnedUserId, ServerName, UserId};

use crate::{Error, Result};

/// Bytes of a user id, at most (spec, "User Identifiers").
const USER_ID_MAX: usize = 255;
/// Room left in a name from an address for the number that tells two of them apart.
const SUFFIX_ROOM: usize = 10;

/// The user id for a name that a person chose.
///
/// # Errors
/// [`Error::InvalidUsername`] for a name outside of `a-z0-9._=-/+`, or a too long one. Capitals are made
/// small, as in every server that people know.
pub(super) fn user_id_for(name: &str, server_name: &ServerName) -> Result<OwnedUserId> {
    let user_id = user_id_of_service(&name.to_ascii_lowercase(), server_name)?;
    if user_id.localpart().starts_with('_') {
        let text = "User names cannot begin with an underscore";
        return Err(Error::InvalidUsername(text.to_owned()));
    }
    Ok(user_id)
}

/// The user id for a name that an application service chose: it may begin with an underscore.
///
/// # Errors
/// [`Error::InvalidUsername`].
pub(super) fn user_id_of_service(name: &str, server_name: &ServerName) -> Result<OwnedUserId> {
    let invalid = |text: &str| Error::InvalidUsername(text.to_owned());
    // Clients may send the whole id.
    let local = match name.strip_prefix('@') {
        Some(rest) => rest
            .strip_suffix(server_name.as_str())
            .and_then(|rest| rest.strip_suffix(':'))
            .ok_or_else(|| invalid("That is a user id of another server"))?,
        None => name,
    };
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte);
    if local.is_empty() || !local.bytes().all(allowed) {
        return Err(invalid("User names are made of the characters a-z, 0-9 and . _ = - / +"));
    }
    let user_id = format!("@{local}:{server_name}");
    if user_id.len() > USER_ID_MAX {
        return Err(invalid("The user name is too long"));
    }
    UserId::parse(user_id).map_err(|_| invalid("The user name is not valid"))
}

/// A name that could come from an e-mail address (`jane.doe-agents.example`): nobody may choose it, and
/// nobody learns whether it is taken.
pub(super) fn looks_like_an_address(local_part: &str) -> bool {
    local_part.rsplit_once('-').is_some_and(|(_, domain)| domain.contains('.'))
        || local_part.split('-').skip(1).any(|part| part.contains('.'))
}

/// The names for an e-mail address: the address with `-` for `@`, without the characters that a user id
/// does not have; then the same with 1, 2, … at its end, or the number at its end counted up.
pub(super) fn names_for<'a>(
    address: &EmailAddress,
    server_name: &'a ServerName,
) -> impl Iterator<Item = OwnedUserId> + use<'a> {
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._=-/".contains(*c);
    let room = USER_ID_MAX.saturating_sub(server_name.as_str().len() + 2 + SUFFIX_ROOM);
    let name: String =
        address.as_str().replace('@', "-").chars().filter(allowed).take(room).collect();
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (stem, number) = match name.split_at_checked(name.len().saturating_sub(digits)) {
        Some((stem, number)) if (1..=8).contains(&digits) => {
            (stem.to_owned(), number.parse::<u64>().unwrap_or(0))
        }
        _ => (name.clone(), 0),
    };
    let others = (1..10_000_u64).map(move |n| format!("{stem}{}", number.saturating_add(n)));
    std::iter::once(name)
        .chain(others)
        .filter_map(move |local| UserId::parse(format!("@{local}:{server_name}")).ok())
}

/// The display name for an e-mail address: `Jane Smith [Example]`. `organization` is the label of the
/// allow-list's entry; without it the label comes from the domain.
pub(super) fn display_name_for(address: &EmailAddress, organization: Option<&str>) -> String {
    let person = capitalized(&address.local_part().replace('.', " "));
    let organization = match organization {
        Some(label) => label.to_owned(),
        None => capitalized(&organization_of(address)),
    };
    format!("{person} [{organization}]")
}

/// The label before `gouv.fr` (`gouv` if there is none), else the second-level label.
fn organization_of(address: &EmailAddress) -> String {
    let labels: Vec<&str> = address.domain().labels().rev().collect();
    let label = match labels.as_slice() {
        ["fr", "gouv"] => "gouv",
        ["fr", "gouv", organization, ..] => organization,
        [_, second, ..] => second,
        _ => address.domain().as_str(),
    };
    label.to_owned()
}

/// Capitalizes each part between spaces and hyphens.
fn capitalized(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at_start = true;
    for c in text.chars() {
        if at_start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        at_start = c == ' ' || c == '-';
    }
    out
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    fn names(text: &str) -> Vec<String> {
        names_for(&address(text), server_name!("pli.example"))
            .take(3)
            .map(|id| id.localpart().to_owned())
            .collect()
    }

    #[test]
    fn names_come_from_the_address() {
        let first = "john.doe-example.com";
        assert_eq!(names("John.Doe@Example.com")[0], first);
        assert_eq!(names("user+tag@domain.com")[0], "usertag-domain.com");
        assert_eq!(names("o'brien@agents.example")[0], "obrien-agents.example");
        assert_eq!(
            names("John.Doe@Example.com"),
            [first, "john.doe-example.com1", "john.doe-example.com2"]
        );
        assert!(looks_like_an_address(first) && looks_like_an_address("a.b-c-d.example1"));
        assert!(looks_like_an_address("a-b.c-d"));
        assert!(!looks_like_an_address("admin") && !looks_like_an_address("jean-pierre"));
        assert!(!looks_like_an_address("a.b-c"));
    }

    #[test]
    fn long_addresses_make_valid_names() {
        let server = ServerName::parse(format!("{}.example", "s".repeat(60))).unwrap();
        let label = "d".repeat(61);
        let text = format!("{}@{label}.{label}.{label}", "l".repeat(60));
        let id = names_for(&address(&text), &server).nth(9_000).unwrap();
        assert!(id.as_str().len() <= 255);
    }

    #[test]
    fn display_names_come_from_the_address() {
        for (text, expected) in [
            ("jane.smith@example.gouv.fr", "Jane Smith [Example]"),
            ("user@gendarmerie.interieur.gouv.fr", "User [Interieur]"),
            ("user@gouv.fr", "User [Gouv]"),
            ("contact@example.com", "Contact [Example]"),
            ("jean-pierre.DUPONT@example.com", "Jean-Pierre Dupont [Example]"),
            ("a@sub.example.org", "A [Example]"),
        ] {
            assert_eq!(display_name_for(&address(text), None), expected, "{text}");
        }
        let labelled = display_name_for(&address("a.b@agents.example"), Some("DGFiP"));
        assert_eq!(labelled, "A B [DGFiP]");
    }

    #[test]
    fn chosen_names_are_checked() {
        let server = server_name!("pli.example:8448");
        assert_eq!(user_id_for("Alice", server).unwrap().as_str(), "@alice:pli.example:8448");
        assert_eq!(
            user_id_for("@alice:pli.example:8448", server).unwrap().as_str(),
            "@alice:pli.example:8448"
        );
        for name in ["", "é", "a b", "a:b", "@a:other", "@", "_bridge", "a\u{0}", &"x".repeat(250)]
        {
            assert!(
                matches!(user_id_for(name, server), Err(Error::InvalidUsername(_))),
                "{name:?}"
            );
        }
    }
}
