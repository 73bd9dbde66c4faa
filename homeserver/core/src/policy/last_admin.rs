//! No room is left without anyone who can change it: when the last admin goes, somebody takes over. A
//! pure decision on plain data.

/// The power level from which a member counts as an admin.
pub const ADMIN_LEVEL: i64 = 100;

/// A member who stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staying<U> {
    /// Who.
    pub user: U,
    /// The power level; `None` is more than any number.
    pub level: Option<i64>,
    /// Since when, in any unit that grows.
    pub since: u64,
    /// May hold power: an agent of this server, not an external person or a guest.
    pub eligible: bool,
}

impl<U> Staying<U> {
    fn is_admin(&self) -> bool {
        self.level.is_none_or(|level| level >= ADMIN_LEVEL)
    }
}

/// Who takes over when a member of a level goes; `None` if nobody has to, or nobody can. The one with
/// most power does, among equals the one who has been there longest.
#[must_use]
pub fn successor<U>(leaving: Option<i64>, staying: Vec<Staying<U>>) -> Option<U> {
    let leaves_admin = leaving.is_none_or(|level| level >= ADMIN_LEVEL);
    if !leaves_admin || staying.iter().any(Staying::is_admin) {
        return None;
    }
    let eligible = staying.into_iter().filter(|member| member.eligible);
    let best = eligible
        .min_by_key(|member| (std::cmp::Reverse(member.level.unwrap_or(i64::MAX)), member.since));
    best.map(|member| member.user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staying(
        user: &'static str,
        level: i64,
        since: u64,
        eligible: bool,
    ) -> Staying<&'static str> {
        Staying { user, level: Some(level), since, eligible }
    }

    #[test]
    fn the_most_powerful_who_has_been_there_longest_takes_over() {
        let members = || {
            vec![
                staying("guest", 90, 1, false),
                staying("young", 50, 9, true),
                staying("old", 50, 2, true),
                staying("first", 0, 1, true),
            ]
        };
        assert_eq!(successor(Some(100), members()), Some("old"));
        assert_eq!(successor(None, members()), Some("old"));
        // Someone without that power goes, or another admin stays.
        assert_eq!(successor(Some(99), members()), None);
        let mut with_admin = members();
        with_admin.push(staying("admin", 100, 20, true));
        assert_eq!(successor(Some(100), with_admin), None);
        let mut with_creator = members();
        with_creator.push(Staying { level: None, ..staying("creator", 0, 20, true) });
        assert_eq!(successor(Some(100), with_creator), None);
        assert_eq!(successor(Some(100), vec![staying("guest", 50, 1, false)]), None);
        assert_eq!(successor::<&str>(Some(100), Vec::new()), None);
    }
}
