//! Until when a certificate is valid: the one thing that is read of it here. Whether it is valid at all
//! was decided by the TLS library.

/// The end of a certificate's validity (RFC 5280, 4.1.2.5), in milliseconds since 1970; `None` if it
/// cannot be read.
#[must_use]
pub fn valid_until_ms(der: &[u8]) -> Option<u64> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (to_be_signed, _) = element(certificate, SEQUENCE)?;
    let after_version = match element(to_be_signed, VERSION) {
        Some((_, rest)) => rest,
        None => to_be_signed,
    };
    let (_, rest) = element(after_version, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, not_after) = any(validity)?.1;
    let (kind, (text, _)) = any(not_after)?;
    time(kind, std::str::from_utf8(text).ok()?)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The content of an element, and what follows it.
type Element<'a> = (&'a [u8], &'a [u8]);

/// The first element of some DER: its tag, its content, and what follows it.
fn any(der: &[u8]) -> Option<(u8, Element<'_>)> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    Some((tag, rest.split_at_checked(length)?))
}

fn element(der: &[u8], tag: u8) -> Option<Element<'_>> {
    any(der).filter(|(found, _)| *found == tag).map(|(_, element)| element)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(kind: u8, text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let date = (year, part(0)?, part(2)?);
    milliseconds(date, (part(4)?, part(6)?, part(8)?))
}

/// A date and a time of day in UTC as milliseconds since 1970 (Howard Hinnant's `days_from_civil`);
/// `None` for what is no date or lies before.
#[must_use]
pub fn milliseconds(
    (year, month, day): (i64, i64, i64),
    (hours, minutes, seconds): (i64, i64, i64),
) -> Option<u64> {
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hours)
        && (0..60).contains(&minutes)
        && (0..=60).contains(&seconds)
        && (1..=9_999).contains(&year);
    if !in_range {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    u64::try_from(seconds * 1_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted_from_1970() {
        assert_eq!(milliseconds((1970, 1, 1), (0, 0, 0)), Some(0));
        assert_eq!(milliseconds((2000, 2, 29), (12, 0, 1)), Some(951_825_601_000));
        assert_eq!(milliseconds((2026, 11, 22), (0, 0, 0)), Some(1_795_305_600_000));
        assert_eq!(milliseconds((1969, 12, 31), (0, 0, 0)), None);
        assert_eq!(milliseconds((2026, 13, 1), (0, 0, 0)), None);
        assert_eq!(time(UTC_TIME, "261122000000Z"), Some(1_795_305_600_000));
        assert_eq!(time(GENERALIZED_TIME, "20261122000000Z"), Some(1_795_305_600_000));
        assert_eq!(time(UTC_TIME, "2611"), None);
    }

    #[test]
    fn the_end_of_validity_is_found_and_nothing_else_is_believed() {
        // SEQUENCE { SEQUENCE { [0] { INTEGER 2 }, INTEGER 1, SEQUENCE {}, SEQUENCE {},
        //   SEQUENCE { UTCTime, UTCTime } } }
        let mut validity = vec![0x17, 13];
        validity.extend_from_slice(b"200101000000Z");
        validity.extend_from_slice(&[0x17, 13]);
        validity.extend_from_slice(b"261122000000Z");
        let mut inner = vec![0xa0, 3, 2, 1, 2, 2, 1, 1, 0x30, 0, 0x30, 0, 0x30];
        inner.push(u8::try_from(validity.len()).unwrap());
        inner.extend(validity);
        let mut signed = vec![0x30, 0x81, u8::try_from(inner.len()).unwrap()];
        signed.extend(inner);
        let mut der = vec![0x30, 0x82, 0, u8::try_from(signed.len()).unwrap()];
        der.extend(signed);
        assert_eq!(valid_until_ms(&der), Some(1_795_305_600_000));
        for cut in 0..der.len() {
            assert_eq!(valid_until_ms(&der[..cut]), None);
        }
        assert_eq!(valid_until_ms(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
