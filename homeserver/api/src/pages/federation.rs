//! `GET /_pli/admin/federation`
//!
//! The servers that this one speaks with, for its admins: how each stands, when it was heard of last, what
//! waits for it and what went wrong. Only looked at; changes are made with `pli admin federation`.

use axum::{extract::State, response::Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use pli_core::{
    Error,
    accounts::Accounts,
    federation::{Contact, Sender, Signed},
};
use pli_schema::{Language, Text, records::partners::PartnerRecord};
use ruma::OwnedServerName;

use super::{
    account::day,
    visitor::{PageResult, Visitor},
};
use crate::Routes;

/// The page.
const PAGE: &str = "/_pli/admin/federation";
/// Servers that are no partners and are shown, at most.
const LATELY_MAX: usize = 200;

const TITLE: Text = Text { fr: "Fédération", en: "Federation" };
const ADMINS_ONLY: Text = Text {
    fr: "Cette page est réservée aux administrateurs du serveur.",
    en: "This page is for the administrators of the server.",
};
const OFF: Text = Text {
    fr: "Ce serveur ne participe pas à la fédération.",
    en: "This server takes no part in federation.",
};
const OPEN: Text = Text {
    fr: "Ce serveur échange avec tout serveur qui n’est pas bloqué.",
    en: "This server speaks with every server that is not blocked.",
};
const CLOSED: Text = Text {
    fr: "Ce serveur n’échange qu’avec ses partenaires.",
    en: "This server speaks with its partners only.",
};
const SINCE_START: Text = Text {
    fr: "Les contacts sont ceux depuis le dernier démarrage du serveur. Les heures sont en UTC.",
    en: "Contacts are those since the server was started last. Times are in UTC.",
};
const PARTNERS: Text = Text { fr: "Partenaires", en: "Partners" };
const OTHERS: Text = Text { fr: "Autres serveurs", en: "Other servers" };
const NONE: Text = Text { fr: "Aucun.", en: "None." };
const SERVER: Text = Text { fr: "Serveur", en: "Server" };
const STATE: Text = Text { fr: "État", en: "State" };
const HEARD: Text = Text { fr: "Dernière requête reçue", en: "Last request from it" };
const ANSWERED: Text = Text { fr: "Dernière réponse", en: "Last answer from it" };
const FAILURE: Text = Text { fr: "Dernier échec", en: "Last failure" };
const WAITING: Text = Text { fr: "En attente d’envoi", en: "Waiting to be sent" };
const RETRY: Text = Text { fr: "nouvel essai le", en: "tried again on" };
const NEVER: Text = Text { fr: "jamais", en: "never" };
const NO_FAILURE: Text = Text { fr: "aucun", en: "none" };
const IN_ORDER: Text = Text { fr: "en ordre", en: "in order" };
const FAILING: Text = Text { fr: "en échec", en: "failing" };
const SUSPENDED: Text = Text { fr: "suspendu", en: "suspended" };
const BLOCKED: Text = Text { fr: "bloqué", en: "blocked" };
const QUIET: Text = Text { fr: "sans contact", en: "no contact yet" };
const HELP: Text = Text {
    fr: "Pour savoir ce qui ne va pas avec un serveur :",
    en: "To find out what is wrong with a server:",
};

/// A server on the page.
struct Row {
    server: OwnedServerName,
    state: Text,
    contact: Contact,
    /// Events, messages to devices and changes of devices that wait for it.
    waiting: usize,
    retry_at_ms: Option<u64>,
}

/// A time as people read it, `2026-11-22 14:05`.
fn moment(ms: u64) -> String {
    let minutes = ms / 60_000 % 1_440;
    format!("{} {:02}:{:02}", day(ms), minutes / 60, minutes % 60)
}

fn at(language: Language, ms: Option<u64>) -> Markup {
    html! {
        @if let Some(ms) = ms {
            time datetime={ (moment(ms).replace(' ', "T")) "Z" } { (moment(ms)) }
        } @else { (NEVER.in_language(language)) }
    }
}

fn state_of(partner: Option<&PartnerRecord>, is_blocked: bool, contact: &Contact) -> Text {
    match partner {
        _ if is_blocked => BLOCKED,
        Some(partner) if partner.suspended => SUSPENDED,
        _ if contact.is_failing() => FAILING,
        _ if contact.heard_ms.is_none() && contact.answered_ms.is_none() => QUIET,
        _ => IN_ORDER,
    }
}

fn table(language: Language, title: Text, rows: &[Row]) -> Markup {
    html! {
        h2 { (title.in_language(language)) }
        @if rows.is_empty() { p { (NONE.in_language(language)) } } @else {
            ul class="list" {
                @for row in rows {
                    li { (entry(language, row)) }
                }
            }
        }
    }
}

/// A server with what is known of it. A list of terms reads well on small screens and aloud.
fn entry(language: Language, row: &Row) -> Markup {
    html! {
        h3 { (row.server) }
        dl {
            dt { (STATE.in_language(language)) }
            dd { (row.state.in_language(language)) }
            dt { (HEARD.in_language(language)) }
            dd { (at(language, row.contact.heard_ms)) }
            dt { (ANSWERED.in_language(language)) }
            dd { (at(language, row.contact.answered_ms)) }
            dt { (WAITING.in_language(language)) }
            dd {
                (row.waiting)
                @if let Some(ms) = row.retry_at_ms {
                    ", " (RETRY.in_language(language)) " " (at(language, Some(ms)))
                }
            }
            dt { (FAILURE.in_language(language)) }
            dd {
                @match &row.contact.failed {
                    Some((ms, error)) => { (at(language, Some(*ms))) " – " (error) }
                    None => { (NO_FAILURE.in_language(language)) }
                }
            }
        }
    }
}

/// A server with what waits for it.
async fn row(
    (signed, sender): (&Signed, &Sender),
    server: OwnedServerName,
    (partner, is_blocked): (Option<&PartnerRecord>, bool),
) -> Result<Row, Error> {
    let contact = signed.partners().contacts().of(&server);
    let status = sender.status(&server).await?;
    let mut state = state_of(partner, is_blocked, &contact);
    if status.failures > 0 && (state == IN_ORDER || state == QUIET) {
        state = FAILING;
    }
    let waiting =
        status.events.saturating_add(status.to_device).saturating_add(status.device_lists);
    Ok(Row { server, state, contact, waiting, retry_at_ms: status.retry_at_ms })
}

async fn rows(signed: &Signed, sender: &Sender) -> Result<(Vec<Row>, Vec<Row>), Error> {
    let partners = signed.partners();
    let blocked = partners.blocked().await?;
    let is_blocked = |server: &OwnedServerName| blocked.iter().any(|(name, _)| name == server);
    let all = partners.all().await?;
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (server, partner) in &all {
        let standing = (Some(partner), is_blocked(server));
        own.push(row((signed, sender), server.clone(), standing).await?);
    }
    for (server, _) in partners.contacts().lately(LATELY_MAX) {
        if all.iter().all(|(partner, _)| *partner != server) {
            let standing = (None, is_blocked(&server));
            others.push(row((signed, sender), server, standing).await?);
        }
    }
    Ok((own, others))
}

async fn show(
    State(accounts): State<Accounts>,
    State(signed): State<Signed>,
    State(sender): State<Sender>,
    visitor: Visitor,
) -> PageResult {
    let user = visitor.user()?;
    let failed = |error: Error| visitor.failed(&error);
    let account = accounts.account(&user.user_id).await.map_err(failed)?;
    if !account.is_some_and(|account| account.admin && !account.deactivated && !account.locked) {
        return Ok(visitor.refused(StatusCode::FORBIDDEN, ADMINS_ONLY));
    }
    let (own, others) = rows(&signed, &sender).await.map_err(failed)?;
    Ok(page(&visitor, &signed, &own, &others))
}

fn page(visitor: &Visitor, signed: &Signed, own: &[Row], others: &[Row]) -> Response {
    let language = visitor.language;
    let how = match (signed.partners().is_enabled(), signed.partners().is_open()) {
        (false, _) => OFF,
        (true, true) => OPEN,
        (true, false) => CLOSED,
    };
    let body = html! {
        p { (how.in_language(language)) }
        p { (SINCE_START.in_language(language)) }
        (table(language, PARTNERS, own))
        (table(language, OTHERS, others))
        p { (HELP.in_language(language)) " " code { "pli admin federation check " (SERVER.in_language(language)) } }
    };
    visitor.respond(visitor.page(TITLE, body))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::GET, PAGE, show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_to_the_minute() {
        assert_eq!(moment(0), "1970-01-01 00:00");
        assert_eq!(moment(1_795_305_600_000 + 14 * 3_600_000 + 5 * 60_000), "2026-11-22 14:05");
    }

    #[test]
    fn what_an_admin_must_know_first_is_the_state() {
        let failing = Contact { failed: Some((9, "no answer".to_owned())), ..Contact::default() };
        assert_eq!(state_of(None, true, &failing).en, "blocked");
        assert_eq!(state_of(None, false, &failing).en, "failing");
        assert_eq!(state_of(None, false, &Contact::default()).en, "no contact yet");
        let answered = Contact { answered_ms: Some(10), ..failing };
        assert_eq!(state_of(None, false, &answered).en, "in order");
    }
}
