//! `GET /_pli/account/register`
//! `POST /_pli/account/register`
//! `GET /_pli/account/password`
//! `POST /_pli/account/password`
//!
//! What needs a proof by mail: a new account, and a new password for who has forgotten theirs. Both go
//! the same way: the address, then the code of the mail with the password. The answer to an address is
//! the same whether it has an account or not; the mail says more.

use axum::{extract::State, response::Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use pli_core::{
    Error, Oauth,
    accounts::{Accounts, Secret, ValidationRequest},
};
use pli_schema::{Language, Text, account_settings::TermsDocument, records::accounts::Purpose};
use ruma::OwnedUserId;

use super::{
    forms::{Field, Wrong, field, hidden, summary},
    visitor::{
        Fields, PageResult, Parameters, Posted, SIGN_IN, Visitor, encode, explain, own_place,
    },
};
use crate::Routes;

const REGISTER: &str = "/_pli/account/register";
const FORGOTTEN: &str = "/_pli/account/password";

const NEW_ACCOUNT: Text = Text { fr: "Créer un compte", en: "Create an account" };
const NEW_PASSWORD: Text = Text { fr: "Nouveau mot de passe", en: "New password" };
const ADDRESS: Text = Text { fr: "Adresse de messagerie", en: "E-mail address" };
const ADDRESS_HINT: Text = Text {
    fr: "Votre adresse professionnelle. Nous y envoyons un code.",
    en: "Your address at work. We send a code to it.",
};
const RESET_HINT: Text = Text {
    fr: "L’adresse de votre compte. Nous y envoyons un code.",
    en: "The address of your account. We send a code to it.",
};
const SEND: Text = Text { fr: "Recevoir un code", en: "Send me a code" };
const SENT: Text = Text { fr: "Nous avons envoyé un message à", en: "We have sent a mail to" };
const SENT_MORE: Text = Text {
    fr: "S’il n’arrive pas d’ici quelques minutes, regardez parmi les indésirables.",
    en: "If it does not arrive within some minutes, look among the spam.",
};
const CODE: Text = Text { fr: "Code reçu par messagerie", en: "Code from the mail" };
const CODE_HINT: Text = Text {
    fr: "Six chiffres. Inutile si vous avez cliqué sur le lien du message.",
    en: "Six digits. Not needed if you have clicked the link of the mail.",
};
const PASSWORD: Text = Text { fr: "Choisissez un mot de passe", en: "Choose a password" };
const REPEAT: Text =
    Text { fr: "Le même mot de passe encore une fois", en: "The same password again" };
const CREATE: Text = Text { fr: "Créer le compte", en: "Create the account" };
const CHANGE: Text = Text { fr: "Changer le mot de passe", en: "Change the password" };
const HAVE_ONE: Text = Text { fr: "J’ai déjà un compte", en: "I have an account already" };
const BACK: Text = Text { fr: "Retour à la connexion", en: "Back to sign-in" };
const RESET_ENDS: Text = Text {
    fr: "Toutes vos sessions seront fermées ; vous devrez vous reconnecter partout.",
    en: "All your sessions will end; you will have to sign in again everywhere.",
};
const DIFFERENT: Text = Text {
    fr: "Les deux mots de passe ne sont pas les mêmes.",
    en: "The two passwords are not the same.",
};
const WRONG_CODE: Text = Text {
    fr: "Ce code n’est pas le bon. Vérifiez la saisie.",
    en: "This code is not right. Check what you typed.",
};
const OLD_CODE: Text = Text {
    fr: "Ce code n’est plus valable. Demandez-en un autre.",
    en: "This code is not valid any more. Ask for another one.",
};
const NO_ADDRESS: Text = Text {
    fr: "Ceci n’est pas une adresse de messagerie valable. Vérifiez la saisie.",
    en: "This is not a valid e-mail address. Check what you typed.",
};
const IN_USE: Text = Text {
    fr: "Un compte existe déjà avec cette adresse. Connectez-vous.",
    en: "There is an account with this address already. Sign in.",
};
pub(crate) const MUST_ACCEPT: Text = Text {
    fr: "Pour créer un compte, acceptez ces conditions.",
    en: "To create an account, accept these terms.",
};
const ACCEPT: Text = Text { fr: "J’ai lu et j’accepte :", en: "I have read and accept:" };

/// What a new password lacks, for the person.
pub(crate) fn weak_password(errcode: &str, minimum: u32, language: Language) -> String {
    let (fr, en) = match errcode {
        "M_PASSWORD_TOO_SHORT" => (
            format!("Le mot de passe doit avoir au moins {minimum} caractères."),
            format!("The password needs at least {minimum} characters."),
        ),
        "M_PASSWORD_NO_DIGIT" => (
            "Le mot de passe doit contenir un chiffre.".to_owned(),
            "The password needs a digit.".to_owned(),
        ),
        "M_PASSWORD_NO_SYMBOL" => (
            "Le mot de passe doit contenir un signe, comme ! ou +.".to_owned(),
            "The password needs a sign such as ! or +.".to_owned(),
        ),
        "M_PASSWORD_NO_LOWERCASE" | "M_PASSWORD_NO_UPPERCASE" => (
            "Le mot de passe doit contenir des minuscules et des majuscules.".to_owned(),
            "The password needs small and capital letters.".to_owned(),
        ),
        _ => {
            ("Ce mot de passe est trop faible.".to_owned(), "This password is too weak.".to_owned())
        }
    };
    if language == Language::Fr { fr } else { en }
}

/// The box with which the terms are accepted, if there are any.
pub(crate) fn terms(
    language: Language,
    documents: &[TermsDocument],
    wrong: Option<&Wrong<'_>>,
) -> Markup {
    html! {
        @if !documents.is_empty() {
            @if let Some((_, text)) = wrong.filter(|(name, _)| *name == "terms") {
                span class="error" id="terms-error" { (text) }
            }
            div class="check" {
                input type="checkbox" id="terms" name="terms" value="yes" required;
                label for="terms" {
                    (ACCEPT.in_language(language))
                    @for document in documents {
                        @let it = if language == Language::Fr { &document.fr } else { &document.en };
                        " " a href=(it.url) target="_blank" rel="noopener" { (it.name) }
                    }
                }
            }
        }
    }
}

/// One of the two ways.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Register,
    Reset,
}

impl Way {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Register => Purpose::Register,
            Self::Reset => Purpose::ResetPassword,
        }
    }

    const fn title(self) -> Text {
        match self {
            Self::Register => NEW_ACCOUNT,
            Self::Reset => NEW_PASSWORD,
        }
    }

    fn check(self, accounts: &Accounts) -> Result<(), Error> {
        if !accounts.settings().passwords.enabled {
            return Err(Error::forbidden("Passwords are not used on this server"));
        }
        match self {
            Self::Register => accounts.check_registration_open(),
            Self::Reset => Ok(()),
        }
    }
}

/// The first step: the address.
fn ask_address(
    visitor: &Visitor,
    way: Way,
    parameters: &Parameters,
    (typed, wrong): (&str, Option<&Wrong<'_>>),
) -> Markup {
    let language = visitor.language;
    let (hint, back) = match way {
        Way::Register => (ADDRESS_HINT, HAVE_ONE),
        Way::Reset => (RESET_HINT, BACK),
    };
    let address = Field::new("email", "email", ADDRESS, "email").hint(hint).value(typed);
    let next = encode(own_place(parameters.get("next")));
    html! {
        (summary(language, wrong))
        form method="post" action=(visitor.here) {
            (visitor.form_token())
            (field(language, &address, wrong))
            button type="submit" { (SEND.in_language(language)) }
        }
        p class="or" { a href={ (SIGN_IN) "?next=" (next) } { (back.in_language(language)) } }
    }
}

/// What leads from the first step to the second.
struct Sent<'a> {
    sid: &'a str,
    client_secret: &'a str,
    address: &'a str,
}

/// The second step: the code and the password.
fn ask_code(
    visitor: &Visitor,
    way: Way,
    documents: &[TermsDocument],
    sent: &Sent<'_>,
    wrong: Option<&Wrong<'_>>,
) -> Markup {
    let language = visitor.language;
    let code = Field::new("code", "text", CODE, "one-time-code").hint(CODE_HINT);
    let code = Field { required: false, ..code };
    let password = Field::new("password", "password", PASSWORD, "new-password");
    let repeat = Field::new("repeat", "password", REPEAT, "new-password");
    html! {
        (summary(language, wrong))
        p { (SENT.in_language(language)) " " strong { (sent.address) } ". " (SENT_MORE.in_language(language)) }
        form method="post" action=(visitor.here) {
            (visitor.form_token())
            (hidden("sid", sent.sid))
            (hidden("client_secret", sent.client_secret))
            (hidden("address", sent.address))
            (field(language, &code, wrong))
            (field(language, &password, wrong))
            (field(language, &repeat, wrong))
            @if way == Way::Register { (terms(language, documents, wrong)) }
            @if way == Way::Reset { p { (RESET_ENDS.in_language(language)) } }
            button type="submit" {
                (if way == Way::Register { CREATE } else { CHANGE }.in_language(language))
            }
        }
    }
}

async fn begin(
    accounts: Accounts,
    visitor: Visitor,
    parameters: Parameters,
    way: Way,
) -> PageResult {
    way.check(&accounts).map_err(|error| visitor.failed(&error))?;
    let body = ask_address(&visitor, way, &parameters, ("", None));
    Ok(visitor.respond(visitor.page(way.title(), body)))
}

async fn go_on(
    (accounts, oauth): (Accounts, Oauth),
    parameters: Parameters,
    Posted(visitor, fields): Posted,
    way: Way,
) -> PageResult {
    way.check(&accounts).map_err(|error| visitor.failed(&error))?;
    if fields.get("sid").is_empty() {
        return send(&accounts, &visitor, (&parameters, &fields), way).await;
    }
    let sent = Sent {
        sid: fields.get("sid"),
        client_secret: fields.get("client_secret"),
        address: fields.get("address"),
    };
    match finish(&accounts, &visitor, &fields, (&sent, way)).await {
        Ok(user_id) => {
            if way == Way::Reset {
                oauth.sign_out_everywhere(&user_id, None);
            }
            let usable = accounts.check_usable(&user_id).await;
            usable.map_err(|error| visitor.failed(&error))?;
            Ok(visitor.sign_in(&oauth, &user_id, None, own_place(parameters.get("next"))))
        }
        Err(Failed::Page(response)) => Err(response),
        Err(Failed::Field(name, text)) => {
            let wrong = (name, text);
            let documents = &accounts.settings().registration.terms;
            let body = ask_code(&visitor, way, documents, &sent, Some(&wrong));
            let page = visitor.page(way.title(), body).status(StatusCode::BAD_REQUEST);
            Ok(visitor.respond(page))
        }
    }
}

async fn send(
    accounts: &Accounts,
    visitor: &Visitor,
    (parameters, fields): (&Parameters, &Fields),
    way: Way,
) -> PageResult {
    let language = visitor.language;
    let address = fields.get("email").trim();
    let client_secret = accounts.random_letters(43);
    let request = ValidationRequest {
        purpose: way.purpose(),
        client_secret: Secret::from(client_secret.as_str()),
        address: address.to_owned(),
        send_attempt: 1,
        language,
    };
    let documents = &accounts.settings().registration.terms;
    let (status, text) = match accounts.request_validation(request).await {
        Ok(sid) => {
            let sent = Sent { sid: &sid, client_secret: &client_secret, address };
            let body = ask_code(visitor, way, documents, &sent, None);
            return Ok(visitor.respond(visitor.page(way.title(), body)));
        }
        Err(Error::InvalidParam(_)) => {
            (StatusCode::BAD_REQUEST, NO_ADDRESS.in_language(language).to_owned())
        }
        Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(visitor.failed(&error)),
        Err(error) => explain(&error, language),
    };
    let wrong = ("email", text);
    let body = ask_address(visitor, way, parameters, (address, Some(&wrong)));
    Ok(visitor.respond(visitor.page(way.title(), body).status(status)))
}

/// Why the second step did not succeed.
enum Failed {
    Field(&'static str, String),
    Page(Response),
}

async fn finish(
    accounts: &Accounts,
    visitor: &Visitor,
    fields: &Fields,
    (sent, way): (&Sent<'_>, Way),
) -> Result<OwnedUserId, Failed> {
    let language = visitor.language;
    let field = |name, text: Text| Failed::Field(name, text.in_language(language).to_owned());
    let settings = accounts.settings();
    if fields.get("password") != fields.get("repeat") {
        return Err(field("repeat", DIFFERENT));
    }
    let must_accept = way == Way::Register && !settings.registration.terms.is_empty();
    if must_accept && fields.get("terms") != "yes" {
        return Err(field("terms", MUST_ACCEPT));
    }
    let failed = |error: Error| match error {
        Error::WeakPassword { errcode, .. } => {
            let minimum = settings.passwords.rules.minimum_length;
            Failed::Field("password", weak_password(errcode, minimum, language))
        }
        Error::SessionExpired(_) | Error::NoValidSession(_) => field("code", OLD_CODE),
        Error::ThreepidAuthFailed(_) => field("code", WRONG_CODE),
        Error::ThreepidInUse(_) | Error::UserInUse(_) => field("code", IN_USE),
        error => Failed::Page(visitor.failed(&error)),
    };
    let (secret, password) = (Secret::from(sent.client_secret), fields.secret("password"));
    accounts.check_new_password(&password).map_err(failed)?;
    // Who has clicked the link of the mail needs no code.
    let code = fields.secret("code");
    match accounts.submit_validation(sent.sid, Some(&secret), &code).await {
        Ok(()) => {}
        Err(_) if code.reveal().is_empty() => {}
        Err(error) => return Err(failed(error)),
    }
    let done = match way {
        Way::Register => accounts.register_with_mail(sent.sid, &secret, &password, language).await,
        Way::Reset => accounts.reset_password_with_mail(sent.sid, &secret, &password).await,
    };
    done.map_err(failed)
}

async fn register(
    State(accounts): State<Accounts>,
    visitor: Visitor,
    parameters: Parameters,
) -> PageResult {
    begin(accounts, visitor, parameters, Way::Register).await
}

async fn register_go_on(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    parameters: Parameters,
    posted: Posted,
) -> PageResult {
    go_on((accounts, oauth), parameters, posted, Way::Register).await
}

async fn forgotten(
    State(accounts): State<Accounts>,
    visitor: Visitor,
    parameters: Parameters,
) -> PageResult {
    begin(accounts, visitor, parameters, Way::Reset).await
}

async fn forgotten_go_on(
    State(accounts): State<Accounts>,
    State(oauth): State<Oauth>,
    parameters: Parameters,
    posted: Posted,
) -> PageResult {
    go_on((accounts, oauth), parameters, posted, Way::Reset).await
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .path(&Method::GET, REGISTER, register)
        .path(&Method::POST, REGISTER, register_go_on)
        .path(&Method::GET, FORGOTTEN, forgotten)
        .path(&Method::POST, FORGOTTEN, forgotten_go_on)
}
