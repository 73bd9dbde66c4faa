//! The page of the login fallback: a form, and the script that hands the answer to the client.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#login-fallback>

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, PreEscaped, html};
use pli_schema::{Language, Text};
use sha2::{Digest, Sha256};

use super::forms::{Field, field};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("login_fallback.js");

const TITLE: Text = Text { fr: "Se connecter", en: "Sign in" };
const USER: Text =
    Text { fr: "Adresse de messagerie ou identifiant", en: "E-mail address or user name" };
const PASSWORD: Text = Text { fr: "Mot de passe", en: "Password" };
const FAILED: Text = Text {
    fr: "La connexion n’a pas abouti. Vérifiez la saisie.",
    en: "The sign-in did not succeed. Check what you typed.",
};
const DONE: Text = Text {
    fr: "Vous êtes connecté. Retournez à l’application.",
    en: "You are signed in. Go back to the application.",
};
const NEEDS_SCRIPTS: Text =
    Text { fr: "Cette page a besoin de JavaScript.", en: "This page needs JavaScript." };

/// What of the address is handed to the login.
const HANDED_ON: [&str; 2] = ["device_id", "initial_device_display_name"];

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// The page and its content security policy.
pub(crate) fn page(language: Language, parameters: &[(String, String)]) -> (String, String) {
    let text = |text: Text| text.in_language(language);
    let document = html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text(TITLE)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (text(TITLE)) }
                    noscript { p role="alert" { (text(NEEDS_SCRIPTS)) } }
                    p id="failed" class="errors" role="alert" tabindex="-1" hidden { (text(FAILED)) }
                    p id="done" class="box" role="status" hidden { (text(DONE)) }
                    form id="login" method="post" {
                        (field(language, &Field::new("user", "text", USER, "username"), None))
                        (field(language, &Field::new("password", "password", PASSWORD, "current-password"), None))
                        @for (name, value) in parameters {
                            @if HANDED_ON.contains(&name.as_str()) {
                                input type="hidden" name=(name) value=(value) data-handed-on="true";
                            }
                        }
                        button type="submit" { (text(TITLE)) }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; form-action 'none'; \
         frame-ancestors 'none'; base-uri 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    (document.into_string(), policy)
}
