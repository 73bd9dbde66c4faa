//! The e-mail address: parsed strictly once, the same bytes are checked, stored and mailed.
//!
//! Without regular expressions and without the leniency of RFC 5322 (no comments, quotes, routes,
//! folding): an address that some mail program could read in two ways is no address here. See
//! `docs/adr/0005-strict-addresses.md`.

use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};

/// Bytes of a local part, at most (RFC 5321, 4.5.3.1.1).
pub const LOCAL_PART_MAX: usize = 64;
/// Bytes of an address, at most (RFC 5321, 4.5.3.1.3 less the angle brackets).
pub const ADDRESS_MAX: usize = 254;
/// Bytes of a domain, at most (RFC 1035, 2.3.4, without the root's dot).
pub const DOMAIN_MAX: usize = 253;

/// Characters of a local part besides letters, digits and the dot. Those of RFC 5322 that mail systems
/// give a meaning to (`!` and `%` route, `/` and `|` name files and programs) are left out.
const LOCAL_PART_EXTRA: &[u8] = b"_-+'=&~";

/// Why something is no address. It never holds the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not exactly one `@`.
    #[error("an address has exactly one @")]
    AtSign,
    /// The local part is empty or above 64 bytes.
    #[error("the part before the @ is empty or too long")]
    LocalPartLength,
    /// The local part has a character that is not allowed, or a dot at a wrong place.
    #[error("the part before the @ has characters that are not allowed")]
    LocalPartCharacter,
    /// The domain is no host name of at least two labels.
    #[error("the part after the @ is not a domain name")]
    Domain,
    /// The address is above 254 bytes.
    #[error("the address is too long")]
    TooLong,
}

/// A domain name of at least two labels: A-labels (RFC 5890), lower case, no trailing dot, no IP
/// address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// Parses a domain written in any case, with A-labels or U-labels.
    ///
    /// A U-label must be in the form that IDNA maps to itself (but for case): full-width letters,
    /// ideographic dots and other characters that look like a name and are mapped to it are refused.
    ///
    /// # Errors
    /// [`AddressError::Domain`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() || text.len() > ADDRESS_MAX * 4 {
            return Err(AddressError::Domain);
        }
        let lower = text.to_lowercase();
        let uts46 = Uts46::new();
        let ascii = uts46
            .to_ascii(
                lower.as_bytes(),
                AsciiDenyList::STD3,
                Hyphens::CheckFirstLast,
                DnsLength::Verify,
            )
            .map_err(|_| AddressError::Domain)?
            .into_owned();
        // Mapping must have changed nothing: an ASCII name stays as it is, another one comes back.
        // (Lower case itself maps some characters to ASCII, as the Kelvin sign to `k`.)
        let foreign = |text: &str| text.chars().filter(|c| !c.is_ascii()).count();
        let unchanged = if foreign(text) != foreign(&lower) {
            false
        } else if lower.is_ascii() {
            ascii == lower
        } else {
            let (unicode, valid) =
                uts46.to_unicode(ascii.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
            valid.is_ok() && unicode == lower
        };
        let labels_are_names = ascii.split('.').all(is_ldh_label);
        let top = ascii.rsplit('.').next().unwrap_or_default();
        let has_two_labels = ascii.contains('.');
        let top_is_a_name =
            !top.bytes().all(|byte| byte.is_ascii_digit()) && !top.starts_with("0x");
        if unchanged
            && labels_are_names
            && has_two_labels
            && top_is_a_name
            && ascii.len() <= DOMAIN_MAX
        {
            Ok(Self(ascii))
        } else {
            Err(AddressError::Domain)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels, the top one last.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

/// Letters, digits and inner hyphens; a label that looks like an A-label has been checked by IDNA.
fn is_ldh_label(label: &str) -> bool {
    let inner_ok = label
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    !label.is_empty()
        && label.len() <= 63
        && inner_ok
        && !label.starts_with('-')
        && !label.ends_with('-')
        && (label.get(2..4) != Some("--") || label.starts_with("xn--"))
}

impl TryFrom<String> for Domain {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An e-mail address in canonical form: lower case, A-labels. Only [`EmailAddress::parse`] makes one,
/// and only such an address can be mailed, so what was checked is what gets the mail.
///
/// Its `Debug` does not show it: addresses do not belong in logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    local_part: String,
    domain: Domain,
    whole: String,
}

impl EmailAddress {
    /// Parses an address.
    ///
    /// # Errors
    /// [`AddressError`], which does not hold the address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local_part, domain) = text.split_once('@').ok_or(AddressError::AtSign)?;
        if domain.contains('@') {
            return Err(AddressError::AtSign);
        }
        if local_part.is_empty() || local_part.len() > LOCAL_PART_MAX {
            return Err(AddressError::LocalPartLength);
        }
        if !is_local_part(local_part) {
            return Err(AddressError::LocalPartCharacter);
        }
        let local_part = local_part.to_ascii_lowercase();
        let domain = Domain::parse(domain)?;
        let whole = format!("{local_part}@{domain}");
        if whole.len() > ADDRESS_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(Self { local_part, domain, whole })
    }

    /// The canonical address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// What is before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// What is after the `@`.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }
}

/// Words of allowed characters with single dots between them. A hyphen at the start is refused because
/// programs that are given the address as an argument would read an option.
fn is_local_part(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || LOCAL_PART_EXTRA.contains(&byte);
    !text.starts_with('-')
        && text.split('.').all(|word| !word.is_empty() && word.bytes().all(allowed))
}

impl TryFrom<String> for EmailAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.whole
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        EmailAddress::parse(text).ok().map(String::from)
    }

    #[test]
    fn ordinary_addresses_get_their_canonical_form() {
        for (text, expected) in [
            ("John.Doe@Example.com", "john.doe@example.com"),
            ("user+tag@domain.com", "user+tag@domain.com"),
            ("o'brien@agents.example", "o'brien@agents.example"),
            ("a@b.co", "a@b.co"),
            (
                "prenom.nom@sous.gendarmerie.interieur.gouv.fr",
                "prenom.nom@sous.gendarmerie.interieur.gouv.fr",
            ),
            ("x@mairie-évry.example", "x@xn--mairie-vry-h7a.example"),
            ("x@MAIRIE-ÉVRY.example", "x@xn--mairie-vry-h7a.example"),
            ("x@xn--mairie-vry-h7a.example", "x@xn--mairie-vry-h7a.example"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b.example",
            "a",
            "a@b@c.example",
            "a b@c.example",
            " a@c.example",
            "a@c.example ",
            "a@c.example\n",
            "\"a\"@c.example",
            "a(x)@c.example",
            "a@(x)c.example",
            "a@c.example.",
            "a@.c.example",
            "a@c..example",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@1.2",
            "a@localhost",
            "a@evil.example,b@c.example",
            "a@c.example,b@d.example",
            "é@c.example",
            "a@c.exa\u{202e}mple",
            "a\u{0}@c.example",
            "a@c_d.example",
            ".a@c.example",
            "a.@c.example",
            "a..b@c.example",
            "-a@c.example",
            "a%b@c.example",
            "a!b@c.example",
            "a@-c.example",
            "a@c-.example",
            "a@ｃ.example",
            "a@c。example",
            "a@c.example\u{ad}",
            "<a@c.example>",
            "a@xn--0.example",
            "a@ab--c.example",
            "a;b@c.example",
        ] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let local = "a".repeat(64);
        assert!(canonical(&format!("{local}@b.example")).is_some());
        assert!(canonical(&format!("{local}a@b.example")).is_none());
        let label = "b".repeat(60);
        let long = format!("{local}@{label}.{label}.{label}.example");
        assert_eq!(long.len(), 64 + 1 + 60 * 3 + 3 + 7);
        assert!(canonical(&long).is_none());
    }

    #[test]
    fn the_address_does_not_show_in_debug() {
        let address = EmailAddress::parse("jane@agents.example").unwrap();
        assert!(!format!("{address:?}").contains("jane"));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_not_without_panic(text: String) {
            let _ = EmailAddress::parse(&text);
        }

        #[test]
        fn what_is_accepted_is_plain_and_parses_to_itself(
            local in "[ -~é]{1,12}", domain in "[a-zA-Z0-9.éß\u{202e}-]{1,24}"
        ) {
            if let Ok(address) = EmailAddress::parse(&format!("{local}@{domain}")) {
                let text = address.as_str();
                prop_assert!(text.is_ascii());
                prop_assert_eq!(text.matches('@').count(), 1);
                prop_assert!(!text.bytes().any(|b| b <= b' ' || b"\"(),:;<>[]\\%!".contains(&b)));
                prop_assert_eq!(&EmailAddress::parse(text).unwrap(), &address);
                let joined = format!("{}@{}", address.local_part(), address.domain());
                prop_assert_eq!(joined, text);
            }
        }
    }
}
