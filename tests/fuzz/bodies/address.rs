//! E-mail addresses: they decide who becomes which agent.

use pli_schema::{EmailAddress, address::ADDRESS_MAX};

/// Nothing panics; an address that is accepted is its own canonical form when it is read again, and
/// nothing in it can be read as more than one address, a header or a command.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(address) = EmailAddress::parse(text) else { return };
    let canonical = address.as_str();
    assert!(canonical.len() <= ADDRESS_MAX);
    assert_eq!(EmailAddress::parse(canonical).as_ref(), Ok(&address));
    assert_eq!(canonical.matches('@').count(), 1);
    assert!(canonical.is_ascii() && !canonical.starts_with('-'));
    let dangerous = |c: char| c.is_ascii_control() || " <>()[]\\,;:\"|`$%!".contains(c);
    assert!(!canonical.contains(dangerous), "{canonical:?}");
    assert_eq!(canonical, canonical.to_ascii_lowercase());
    assert_eq!(canonical, format!("{}@{}", address.local_part(), address.domain()));
    assert!(address.domain().labels().count() >= 2);
}
