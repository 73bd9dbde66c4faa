//! `GET /_pli/account`
//! `POST /_pli/account`
//!
//! The pages of an account: profile, sessions, password, reset of the digital identity, closing. The
//! actions of the specification lead straight to their part
//! (<https://spec.matrix.org/v1.19/client-server-api/#account-management-url-actions>).

use axum::{extract::State, response::Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use pli_core::{
    Error, Oauth, Rooms,
    accounts::{Accounts, Device},
};
use pli_schema::Text;
use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::{
    forms::{Field, Wrong, field, hidden, summary},
    mail_proof::weak_password,
    sign_in::SIGN_OUT,
    visitor::{ACCOUNT, Fields, PageResult, Parameters, Posted, Visitor, encode, explain},
};
use crate::{Routes, closing::close_account};

const TITLE: Text = Text { fr: "Votre compte", en: "Your account" };
const SESSIONS: Text = Text { fr: "Vos sessions", en: "Your sessions" };
const SESSION: Text = Text { fr: "Session", en: "Session" };
const NO_SESSIONS: Text = Text { fr: "Aucune session.", en: "No sessions." };
const END: Text = Text { fr: "Fermer cette session", en: "End this session" };
const END_QUESTION: Text = Text {
    fr: "Fermer cette session ? Son application sera déconnectée.",
    en: "End this session? Its application will be signed out.",
};
const LAST_SEEN: Text = Text { fr: "vue pour la dernière fois le", en: "last seen on" };
const NAME: Text = Text { fr: "Nom affiché", en: "Display name" };
const USER_ID: Text = Text { fr: "Identifiant Matrix", en: "Matrix id" };
const ADDRESSES: Text = Text { fr: "Adresses de messagerie", en: "E-mail addresses" };
const PASSWORD: Text = Text { fr: "Mot de passe", en: "Password" };
const OLD: Text = Text { fr: "Mot de passe actuel", en: "Current password" };
const NEW: Text = Text { fr: "Nouveau mot de passe", en: "New password" };
const REPEAT: Text =
    Text { fr: "Le nouveau mot de passe encore une fois", en: "The new password again" };
const END_OTHERS: Text =
    Text { fr: "Fermer aussi toutes mes sessions", en: "End all my sessions too" };
const CHANGE: Text = Text { fr: "Changer le mot de passe", en: "Change the password" };
const CHANGED: Text = Text { fr: "Mot de passe changé.", en: "Password changed." };
const WRONG_PASSWORD: Text = Text {
    fr: "Le mot de passe actuel n’est pas le bon.",
    en: "The current password is not right.",
};
const DIFFERENT: Text = Text {
    fr: "Les deux nouveaux mots de passe ne sont pas les mêmes.",
    en: "The two new passwords are not the same.",
};
const RESET: Text =
    Text { fr: "Réinitialiser l’identité numérique", en: "Reset the digital identity" };
const RESET_TEXT: Text = Text {
    fr: "Vos correspondants verront que votre identité a changé et devront vous vérifier à nouveau. \
         Sans clé de récupération ni autre session vérifiée, vous perdrez l’accès aux anciens messages \
         chiffrés. N’approuvez que si vous venez de le demander dans votre application.",
    en: "The people you talk to will see that your identity has changed and will have to verify you \
         again. Without a recovery key or another verified session you will lose access to old \
         encrypted messages. Approve only if you have just asked for it in your application.",
};
const APPROVE: Text = Text { fr: "Approuver la réinitialisation", en: "Approve the reset" };
const APPROVED: Text = Text {
    fr: "Réinitialisation approuvée pour dix minutes. Retournez à votre application.",
    en: "Reset approved for ten minutes. Go back to your application.",
};
const CLOSE: Text = Text { fr: "Fermer le compte", en: "Close the account" };
const CLOSE_TEXT: Text = Text {
    fr: "Le compte sera fermé pour toujours : toutes les sessions prennent fin, vous quittez tous les \
         salons, et le nom n’est plus jamais attribué.",
    en: "The account will be closed for ever: all sessions end, you leave all rooms, and the name is \
         never given again.",
};
const ERASE: Text = Text {
    fr: "Demander aussi l’effacement de mes messages",
    en: "Also ask for my messages to be erased",
};
const CLOSED: Text = Text { fr: "Compte fermé", en: "Account closed" };
const CLOSED_TEXT: Text =
    Text { fr: "Votre compte est fermé.", en: "Your account has been closed." };
const SURE: Text = Text {
    fr: "Je sais que cela ne peut pas être annulé",
    en: "I know that this cannot be undone",
};
const SIGN_OUT_HERE: Text =
    Text { fr: "Se déconnecter de cette page", en: "Sign out of this page" };
const ENDED: Text = Text { fr: "Session fermée.", en: "Session ended." };
const BACK: Text = Text { fr: "Retour au compte", en: "Back to the account" };

/// The part of the account that an action is about, by the names of the specification and those that
/// clients used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Overview,
    Sessions,
    Session,
    EndSession,
    Close,
    Reset,
}

/// The actions of the specification, for the metadata of the server.
pub(crate) const ACTIONS: [&str; 6] = [
    "org.matrix.profile",
    "org.matrix.devices_list",
    "org.matrix.device_view",
    "org.matrix.device_delete",
    "org.matrix.account_deactivate",
    "org.matrix.cross_signing_reset",
];

/// The names that some of them had before (MSC4191).
pub(crate) const OLD_ACTIONS: [&str; 3] =
    ["org.matrix.sessions_list", "org.matrix.session_view", "org.matrix.session_end"];

impl Part {
    fn of(action: &str) -> Self {
        match action.strip_prefix("org.matrix.").unwrap_or(action) {
            "devices_list" | "sessions_list" => Self::Sessions,
            "device_view" | "session_view" => Self::Session,
            "device_delete" | "session_end" => Self::EndSession,
            "account_deactivate" => Self::Close,
            "cross_signing_reset" => Self::Reset,
            _ => Self::Overview,
        }
    }
}

/// A day, as `2026-11-22`, from milliseconds since 1970 (Howard Hinnant's `civil_from_days`).
pub(super) fn day(ms: u64) -> String {
    let days = i64::try_from(ms / 86_400_000).unwrap_or(0) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{of_month:02}")
}

fn session(visitor: &Visitor, device: &Device) -> Markup {
    let language = visitor.language;
    html! {
        strong { (device.display_name) }
        br;
        (device.device_id) ", " (LAST_SEEN.in_language(language)) " "
        time datetime=(day(device.last_seen_ms)) { (day(device.last_seen_ms)) }
        @if let Some(ip) = &device.last_seen_ip { " (" (ip) ")" }
    }
}

fn sessions(visitor: &Visitor, devices: &[Device]) -> Markup {
    let language = visitor.language;
    html! {
        @if devices.is_empty() { p { (NO_SESSIONS.in_language(language)) } }
        ul class="list" {
            @for device in devices {
                li {
                    (session(visitor, device))
                    form method="post" action=(ACCOUNT) {
                        (visitor.form_token())
                        (hidden("do", "end"))
                        (hidden("device_id", device.device_id.as_str()))
                        button type="submit" class="small danger"
                            aria-label={ (END.in_language(language)) " : " (device.display_name) " " (device.device_id) } {
                            (END.in_language(language))
                        }
                    }
                }
            }
        }
    }
}

fn password(visitor: &Visitor, wrong: Option<&Wrong<'_>>) -> Markup {
    let language = visitor.language;
    html! {
        h2 id="password-part" { (PASSWORD.in_language(language)) }
        form method="post" action=(ACCOUNT) {
            (visitor.form_token())
            (hidden("do", "password"))
            (field(language, &Field::new("old", "password", OLD, "current-password"), wrong))
            (field(language, &Field::new("password", "password", NEW, "new-password"), wrong))
            (field(language, &Field::new("repeat", "password", REPEAT, "new-password"), wrong))
            div class="check" {
                input type="checkbox" id="others" name="others" value="yes";
                label for="others" { (END_OTHERS.in_language(language)) }
            }
            button type="submit" { (CHANGE.in_language(language)) }
        }
    }
}

/// What the whole page says about what was just done.
struct Note<'a> {
    done: Option<Text>,
    wrong: Option<&'a Wrong<'a>>,
}

async fn overview(
    accounts: &Accounts,
    visitor: &Visitor,
    user_id: &UserId,
    note: Note<'_>,
) -> Result<Markup, Error> {
    let language = visitor.language;
    let name = accounts.profile_field(user_id, "displayname").await?;
    let name = name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    let emails = accounts.emails(user_id).await?;
    let devices = accounts.devices(user_id).await?;
    let account = accounts.account(user_id).await?;
    let has_password = account.is_some_and(|account| account.password_hash.is_some());
    Ok(html! {
        (summary(language, note.wrong))
        @if let Some(done) = note.done { p class="box" role="status" { (done.in_language(language)) } }
        dl {
            @if !name.is_empty() {
                dt { (NAME.in_language(language)) }
                dd { (name) }
            }
            dt { (USER_ID.in_language(language)) }
            dd { (user_id) }
            @if !emails.is_empty() {
                dt { (ADDRESSES.in_language(language)) }
                @for email in &emails { dd { (email.address) } }
            }
        }
        form method="post" action=(SIGN_OUT) {
            (visitor.form_token())
            button type="submit" class="other" { (SIGN_OUT_HERE.in_language(language)) }
        }
        h2 id="sessions" { (SESSIONS.in_language(language)) }
        (sessions(visitor, &devices))
        @if has_password { (password(visitor, note.wrong)) }
        h2 { (RESET.in_language(language)) }
        p { a href={ (ACCOUNT) "?action=org.matrix.cross_signing_reset" } { (RESET.in_language(language)) } }
        h2 { (CLOSE.in_language(language)) }
        p { a href={ (ACCOUNT) "?action=org.matrix.account_deactivate" } { (CLOSE.in_language(language)) } }
    })
}

async fn one_session(
    accounts: &Accounts,
    visitor: &Visitor,
    user_id: &UserId,
    (device_id, ask): (&DeviceId, bool),
) -> Result<Markup, Error> {
    let language = visitor.language;
    let device = accounts.device(user_id, device_id).await?;
    Ok(html! {
        p class="box" { (session(visitor, &device)) }
        @if ask { p { (END_QUESTION.in_language(language)) } }
        form method="post" action=(ACCOUNT) {
            (visitor.form_token())
            (hidden("do", "end"))
            (hidden("device_id", device_id.as_str()))
            button type="submit" class="danger" { (END.in_language(language)) }
            a class="button other" href=(ACCOUNT) { (BACK.in_language(language)) }
        }
    })
}

fn reset(visitor: &Visitor) -> Markup {
    let language = visitor.language;
    html! {
        p { (RESET_TEXT.in_language(language)) }
        form method="post" action=(ACCOUNT) {
            (visitor.form_token())
            (hidden("do", "reset"))
            button type="submit" class="danger" { (APPROVE.in_language(language)) }
            a class="button other" href=(ACCOUNT) { (BACK.in_language(language)) }
        }
    }
}

fn close(visitor: &Visitor, user_id: &UserId) -> Markup {
    let language = visitor.language;
    html! {
        p { (CLOSE_TEXT.in_language(language)) }
        p class="box" { (user_id) }
        form method="post" action=(ACCOUNT) {
            (visitor.form_token())
            (hidden("do", "close"))
            div class="check" {
                input type="checkbox" id="erase" name="erase" value="yes";
                label for="erase" { (ERASE.in_language(language)) }
            }
            div class="check" {
                input type="checkbox" id="sure" name="sure" value="yes" required;
                label for="sure" { (SURE.in_language(language)) }
            }
            button type="submit" class="danger" { (CLOSE.in_language(language)) }
            a class="button other" href=(ACCOUNT) { (BACK.in_language(language)) }
        }
    }
}

async fn show(
    State(accounts): State<Accounts>,
    visitor: Visitor,
    parameters: Parameters,
) -> PageResult {
    let user = visitor.user()?;
    let part = Part::of(parameters.get("action"));
    let device_id = <&DeviceId>::from(parameters.get("device_id"));
    let named = !device_id.as_str().is_empty();
    let note = Note { done: None, wrong: None };
    let failed = |error: Error| visitor.failed(&error);
    let (title, body) = match part {
        Part::Session | Part::EndSession if named => {
            let which = (device_id, part == Part::EndSession);
            let body = one_session(&accounts, &visitor, &user.user_id, which).await;
            (SESSION, body.map_err(failed)?)
        }
        Part::Sessions | Part::Session | Part::EndSession => {
            let devices = accounts.devices(&user.user_id).await.map_err(failed)?;
            let back = BACK.in_language(visitor.language);
            let list = sessions(&visitor, &devices);
            (SESSIONS, html! { (list) p { a href=(ACCOUNT) { (back) } } })
        }
        Part::Reset => {
            visitor.fresh_user(&visitor.here)?;
            (RESET, reset(&visitor))
        }
        Part::Close => {
            visitor.fresh_user(&visitor.here)?;
            (CLOSE, close(&visitor, &user.user_id))
        }
        Part::Overview => {
            let body = overview(&accounts, &visitor, &user.user_id, note).await;
            (TITLE, body.map_err(failed)?)
        }
    };
    Ok(visitor.respond(visitor.page(title, body)))
}

async fn change(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    State(rooms): State<Rooms>,
    Posted(visitor, fields): Posted,
) -> PageResult {
    let user_id = visitor.user()?.user_id.clone();
    match fields.get("do") {
        "end" => {
            let device_id = OwnedDeviceId::from(fields.get("device_id"));
            let ended = accounts.delete_devices(&user_id, &[device_id]).await;
            ended.map_err(|error| visitor.failed(&error))?;
            with_note(&accounts, &visitor, &user_id, Ok(ENDED)).await
        }
        "password" => {
            let changed = change_password(&accounts, &visitor, &user_id, &fields).await;
            if changed.is_ok() {
                oauth.sign_out_everywhere(&user_id, Some(&visitor.browser));
            }
            with_note(&accounts, &visitor, &user_id, changed).await
        }
        "reset" => {
            visitor.fresh_user(&format!("{ACCOUNT}?action=org.matrix.cross_signing_reset"))?;
            accounts.approve_cross_signing_reset(&user_id);
            let text = APPROVED.in_language(visitor.language);
            let body = html! { p class="box" role="status" { (text) } };
            Ok(visitor.respond(visitor.page(RESET, body)))
        }
        "close" if fields.get("sure") == "yes" => {
            visitor.fresh_user(&format!("{ACCOUNT}?action=org.matrix.account_deactivate"))?;
            let erase = fields.get("erase") == "yes";
            let closed = close_account((&accounts, &rooms), &user_id, erase, &user_id).await;
            closed.map_err(|error| visitor.failed(&error))?;
            oauth.sign_out_everywhere(&user_id, None);
            let text = CLOSED_TEXT.in_language(visitor.language);
            Ok(visitor.respond(visitor.page(CLOSED, html! { p role="status" { (text) } })))
        }
        _ => Ok(visitor.to(ACCOUNT)),
    }
}

async fn with_note(
    accounts: &Accounts,
    visitor: &Visitor,
    user_id: &UserId,
    result: Result<Text, (&'static str, String)>,
) -> Result<Response, Response> {
    let (status, note) = match &result {
        Ok(done) => (StatusCode::OK, Note { done: Some(*done), wrong: None }),
        Err(wrong) => (StatusCode::BAD_REQUEST, Note { done: None, wrong: Some(wrong) }),
    };
    let body = overview(accounts, visitor, user_id, note).await;
    let body = body.map_err(|error| visitor.failed(&error))?;
    Ok(visitor.respond(visitor.page(TITLE, body).status(status)))
}

async fn change_password(
    accounts: &Accounts,
    visitor: &Visitor,
    user_id: &UserId,
    fields: &Fields,
) -> Result<Text, (&'static str, String)> {
    let language = visitor.language;
    let wrong = |name, text: Text| Err((name, text.in_language(language).to_owned()));
    if fields.get("password") != fields.get("repeat") {
        return wrong("repeat", DIFFERENT);
    }
    let passwords = (&fields.secret("old"), &fields.secret("password"));
    let end_others = fields.get("others") == "yes";
    match accounts.replace_password(user_id, passwords, end_others).await {
        Ok(()) => Ok(CHANGED),
        Err(Error::Forbidden(_)) => wrong("old", WRONG_PASSWORD),
        Err(Error::WeakPassword { errcode, .. }) => {
            let minimum = accounts.settings().passwords.rules.minimum_length;
            Err(("password", weak_password(errcode, minimum, language)))
        }
        Err(error) => Err(("old", explain(&error, language).1)),
    }
}

/// The address of the page on which a session of a user is ended.
#[must_use]
pub fn session_page(base_url: &str, device_id: &DeviceId) -> String {
    format!(
        "{base_url}{ACCOUNT}?action=org.matrix.device_delete&device_id={}",
        encode(device_id.as_str())
    )
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.path(&Method::GET, ACCOUNT, show).path(&Method::POST, ACCOUNT, change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (ms, expected) in [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_795_305_600_000, "2026-11-22"),
            (4_107_542_399_999, "2100-02-28"),
        ] {
            assert_eq!(day(ms), expected);
        }
    }
}
