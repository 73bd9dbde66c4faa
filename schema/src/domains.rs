//! The label-wise matcher of the allow-list: no regular expressions, no suffixes of strings.

use crate::address::Domain;

/// The names under which an entry for `domain` may stand, the most specific first: the domain itself,
/// then each of its parents down to two labels. A parent's entry counts only if it includes
/// sub-domains.
///
/// ```
/// # use pli_schema::{address::Domain, domains::candidates};
/// let domain = Domain::parse("a.b.agents.example").unwrap();
/// let names: Vec<_> = candidates(&domain).collect();
/// assert_eq!(names, ["a.b.agents.example", "b.agents.example", "agents.example"]);
/// ```
pub fn candidates(domain: &Domain) -> impl Iterator<Item = &str> {
    let mut rest = Some(domain.as_str());
    std::iter::from_fn(move || {
        let name = rest?;
        rest = name.split_once('.').map(|(_, parent)| parent);
        Some(name)
    })
    .filter(|name| name.contains('.'))
}

/// The entry that decides for `domain`: the most specific one that covers it. `sub_domains` says whether
/// an entry covers the domains below it.
#[must_use]
pub fn deciding<'a, E>(
    domain: &Domain,
    entries: &'a [(Domain, E)],
    sub_domains: impl Fn(&E) -> bool,
) -> Option<&'a (Domain, E)> {
    candidates(domain).find_map(|name| {
        entries.iter().find(|(entry, about)| {
            entry.as_str() == name && (name == domain.as_str() || sub_domains(about))
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> Vec<(Domain, bool)> {
        [("agents.example", true), ("exact.example", false), ("blocked.agents.example", true)]
            .into_iter()
            .map(|(name, sub)| (Domain::parse(name).unwrap(), sub))
            .collect()
    }

    fn decides(name: &str) -> Option<String> {
        let entries = entries();
        deciding(&Domain::parse(name).unwrap(), &entries, |sub| *sub)
            .map(|(domain, _)| domain.to_string())
    }

    #[test]
    fn whole_labels_match_and_the_most_specific_entry_wins() {
        assert_eq!(decides("agents.example").as_deref(), Some("agents.example"));
        assert_eq!(decides("a.b.agents.example").as_deref(), Some("agents.example"));
        assert_eq!(decides("x.blocked.agents.example").as_deref(), Some("blocked.agents.example"));
        assert_eq!(decides("exact.example").as_deref(), Some("exact.example"));
        for name in [
            "sub.exact.example",
            "agentsXexample.example",
            "notagents.example",
            "agents.example.evil.com",
            "agents-example.com",
            "example.com",
            "agents.examples",
        ] {
            assert_eq!(decides(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn only_the_domain_and_what_ends_with_a_dot_and_it_match(name in "[a-z.]{1,10}(agents)?.?example(.com)?") {
            let Ok(domain) = Domain::parse(&name) else { return Ok(()); };
            let list = [(Domain::parse("agents.example").unwrap(), true)];
            let expected = domain.as_str() == "agents.example"
                || domain.as_str().ends_with(".agents.example");
            prop_assert_eq!(deciding(&domain, &list, |sub| *sub).is_some(), expected);
        }
    }
}
