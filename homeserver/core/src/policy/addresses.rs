//! Whether a person with an e-mail address may have an account here.

use std::collections::HashMap;

use pli_schema::{
    EmailAddress, Language, Text,
    domains::candidates,
    records::policy::{AddressRuleRecord, DomainEntry, DomainKind, DomainRecord},
};

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, as this.
    Allow(Grant),
    /// No, for this reason.
    Refuse(Refusal),
}

/// What a person becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Agent or guest.
    pub kind: DomainKind,
    /// The label in the display name, if the list says one.
    pub organization: Option<String>,
    /// The entry of the list that decided, if one did.
    pub domain: Option<String>,
}

/// Why an address is refused. The text says what to do; it never tells whether there is an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no address.
    NoAddress,
    /// Nobody has allowed any domain yet.
    EmptyList,
    /// The domain is not on the list.
    UnknownDomain,
    /// The domain or the address is blocked.
    Blocked,
    /// The domain's time has not come or is over.
    OutOfTime,
    /// Another server serves the domain.
    OtherServer,
}

impl Refusal {
    /// A name for scripts and logs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::NoAddress => "no_address",
            Self::EmptyList => "empty_list",
            Self::UnknownDomain => "unknown_domain",
            Self::Blocked => "blocked",
            Self::OutOfTime => "out_of_time",
            Self::OtherServer => "other_server",
        }
    }

    /// The reason in the person's language.
    #[must_use]
    pub const fn text(self, language: Language) -> &'static str {
        let text = match self {
            Self::NoAddress => Text {
                fr: "Ceci n’est pas une adresse de messagerie valable. Vérifiez la saisie.",
                en: "This is not a valid e-mail address. Check what you typed.",
            },
            Self::EmptyList => Text {
                fr: "Aucun domaine de messagerie n’est encore autorisé sur ce serveur. Son \
                     administrateur peut en ajouter un avec « pli admin domains add ».",
                en: "No e-mail domain is allowed on this server yet. Its administrator can add one \
                     with `pli admin domains add`.",
            },
            Self::UnknownDomain => Text {
                fr: "Le domaine de cette adresse n’est pas autorisé. Utilisez votre adresse \
                     professionnelle, ou demandez à l’administrateur d’ouvrir ce domaine.",
                en: "The domain of this address is not allowed. Use your professional address, or \
                     ask the administrator to open the domain.",
            },
            Self::Blocked => Text {
                fr: "Cette adresse ne peut pas être utilisée ici. Adressez-vous à l’administrateur.",
                en: "This address cannot be used here. Ask the administrator.",
            },
            Self::OutOfTime => Text {
                fr: "L’autorisation du domaine de cette adresse n’est pas en cours de validité. \
                     Adressez-vous à l’administrateur.",
                en: "The domain of this address is not allowed at this time. Ask the administrator.",
            },
            Self::OtherServer => Text {
                fr: "Cette adresse dépend d’un autre serveur. Choisissez le serveur de votre \
                     administration.",
                en: "This address belongs to another server. Choose the server of your \
                     administration.",
            },
        };
        text.in_language(language)
    }
}

/// The part of the allow-list that a decision needs, or all of it.
#[derive(Clone, Debug, Default)]
pub struct DomainList {
    /// Entries by domain.
    pub domains: HashMap<String, DomainRecord>,
    /// Rules by address.
    pub addresses: HashMap<String, AddressRuleRecord>,
    /// There is no entry at all, here or elsewhere.
    pub is_empty: bool,
    /// Every address may register (test deployments).
    pub open: bool,
}

impl DomainList {
    /// Whether the owner of an address may have an account on the server `server_name`.
    #[must_use]
    pub fn decide(&self, address: &EmailAddress, server_name: &str, now_ms: u64) -> Answer {
        if let Some(rule) = self.addresses.get(address.as_str()) {
            return match rule.kind {
                DomainKind::Blocked => Answer::Refuse(Refusal::Blocked),
                kind => Answer::Allow(Grant {
                    kind,
                    organization: rule.organization.clone(),
                    domain: None,
                }),
            };
        }
        if self.open {
            let entry = self.entry_for(address);
            return Answer::Allow(Grant {
                kind: DomainKind::Agent,
                organization: entry.and_then(|(_, entry)| entry.organization.clone()),
                domain: entry.map(|(name, _)| name.to_owned()),
            });
        }
        if self.is_empty {
            return Answer::Refuse(Refusal::EmptyList);
        }
        match self.entry_for(address) {
            None => Answer::Refuse(Refusal::UnknownDomain),
            Some((name, entry)) => judge(name, entry, server_name, now_ms),
        }
    }

    /// The most specific entry that covers the address.
    #[must_use]
    pub fn entry_for(&self, address: &EmailAddress) -> Option<(&str, &DomainEntry)> {
        candidates(address.domain()).find_map(|name| {
            let (key, DomainRecord { entry, .. }) = self.domains.get_key_value(name)?;
            let covers = name == address.domain().as_str() || entry.sub_domains;
            covers.then_some((key.as_str(), entry))
        })
    }
}

fn judge(name: &str, entry: &DomainEntry, server_name: &str, now_ms: u64) -> Answer {
    if entry.kind == DomainKind::Blocked {
        return Answer::Refuse(Refusal::Blocked);
    }
    if entry.homeserver.as_deref().is_some_and(|other| other != server_name) {
        return Answer::Refuse(Refusal::OtherServer);
    }
    let begun = entry.valid_from_ms.is_none_or(|from| from <= now_ms);
    let over = entry.valid_until_ms.is_some_and(|until| until <= now_ms);
    if !begun || over {
        return Answer::Refuse(Refusal::OutOfTime);
    }
    Answer::Allow(Grant {
        kind: entry.kind,
        organization: entry.organization.clone(),
        domain: Some(name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn entry(kind: DomainKind, sub_domains: bool) -> DomainEntry {
        DomainEntry {
            sub_domains,
            organization: None,
            kind,
            homeserver: None,
            valid_from_ms: None,
            valid_until_ms: None,
            note: None,
        }
    }

    fn list() -> DomainList {
        let rule = |kind| AddressRuleRecord {
            kind,
            organization: Some("Exact".to_owned()),
            note: None,
            added_by: None,
            added_at_ms: 0,
        };
        DomainList {
            domains: [
                ("agents.example", entry(DomainKind::Agent, true)),
                ("guests.example", entry(DomainKind::Guest, false)),
                ("bad.agents.example", entry(DomainKind::Blocked, true)),
                (
                    "soon.example",
                    DomainEntry { valid_from_ms: Some(200), ..entry(DomainKind::Agent, false) },
                ),
                (
                    "past.example",
                    DomainEntry { valid_until_ms: Some(100), ..entry(DomainKind::Agent, false) },
                ),
                (
                    "other.example",
                    DomainEntry {
                        homeserver: Some("else.example".to_owned()),
                        ..entry(DomainKind::Agent, false)
                    },
                ),
            ]
            .map(|(name, entry)| {
                (name.to_owned(), DomainRecord { entry, added_by: None, added_at_ms: 0 })
            })
            .into(),
            addresses: [
                ("mallory@agents.example".to_owned(), rule(DomainKind::Blocked)),
                ("friend@elsewhere.example".to_owned(), rule(DomainKind::Guest)),
            ]
            .into(),
            ..DomainList::default()
        }
    }

    fn decide(list: &DomainList, address: &str) -> Result<(DomainKind, Option<String>), Refusal> {
        match list.decide(&EmailAddress::parse(address).unwrap(), "pli.example", 100) {
            Answer::Allow(grant) => Ok((grant.kind, grant.domain)),
            Answer::Refuse(refusal) => Err(refusal),
        }
    }

    #[test]
    fn the_table_of_cases() {
        let agents = Ok((DomainKind::Agent, Some("agents.example".to_owned())));
        for (address, expected) in [
            ("a@agents.example", agents.clone()),
            ("a@sub.agents.example", agents),
            ("a@guests.example", Ok((DomainKind::Guest, Some("guests.example".to_owned())))),
            ("a@sub.guests.example", Err(Refusal::UnknownDomain)),
            ("a@bad.agents.example", Err(Refusal::Blocked)),
            ("a@x.bad.agents.example", Err(Refusal::Blocked)),
            ("a@agents.example.evil.com", Err(Refusal::UnknownDomain)),
            ("a@xagents.example", Err(Refusal::UnknownDomain)),
            ("a@soon.example", Err(Refusal::OutOfTime)),
            ("a@past.example", Err(Refusal::OutOfTime)),
            ("a@other.example", Err(Refusal::OtherServer)),
            ("mallory@agents.example", Err(Refusal::Blocked)),
            ("friend@elsewhere.example", Ok((DomainKind::Guest, None))),
            ("foe@elsewhere.example", Err(Refusal::UnknownDomain)),
        ] {
            assert_eq!(decide(&list(), address), expected, "{address}");
        }
    }

    #[test]
    fn an_empty_list_refuses_all_and_an_open_one_allows_all_but_blocked_addresses() {
        let empty = DomainList { is_empty: true, ..DomainList::default() };
        assert_eq!(decide(&empty, "a@agents.example"), Err(Refusal::EmptyList));
        let open = DomainList { open: true, ..list() };
        assert_eq!(decide(&open, "a@anything.example"), Ok((DomainKind::Agent, None)));
        assert_eq!(decide(&open, "mallory@agents.example"), Err(Refusal::Blocked));
    }

    #[test]
    fn every_refusal_has_a_text_in_both_languages() {
        for refusal in [
            Refusal::NoAddress,
            Refusal::EmptyList,
            Refusal::UnknownDomain,
            Refusal::Blocked,
            Refusal::OutOfTime,
            Refusal::OtherServer,
        ] {
            assert_ne!(refusal.text(Language::Fr), refusal.text(Language::En));
            assert!(!refusal.text(Language::En).contains("account"), "{refusal:?}");
        }
    }
}
