//! What the mails say.

use pli_schema::{
    Language, Text,
    records::accounts::{Letter, Purpose},
};

/// A mail as text and as HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The subject.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
}

/// What stands in a mail that proves an address.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Six digits.
    pub code: String,
    /// The address of the page with the button.
    pub link: String,
}

const GREETING: Text = Text { fr: "Bonjour,", en: "Hello," };

/// The paragraphs of a mail.
struct Paragraphs {
    subject: Text,
    why: Text,
    hint: Text,
}

/// A mail with a code: its subject and why it comes, in French and English.
const fn with_code(
    (subject_fr, subject_en): (&'static str, &'static str),
    fr: &'static str,
    en: &'static str,
) -> Paragraphs {
    let subject = Text { fr: subject_fr, en: subject_en };
    Paragraphs { subject, why: Text { fr, en }, hint: IGNORE }
}

const fn paragraphs(purpose: Purpose, letter: Letter) -> Paragraphs {
    match (letter, purpose) {
        (Letter::Code, Purpose::Register) => with_code(
            ("Votre code d’inscription", "Your registration code"),
            "Vous avez demandé à créer un compte. Voici votre code :",
            "You asked for an account. This is your code:",
        ),
        (Letter::Code, Purpose::ResetPassword) => with_code(
            ("Votre nouveau mot de passe", "Your new password"),
            "Vous avez demandé à changer de mot de passe. Voici votre code :",
            "You asked for a new password. This is your code:",
        ),
        (Letter::Code, Purpose::AddEmail) => with_code(
            ("Confirmez votre adresse", "Confirm your address"),
            "Vous avez demandé à ajouter cette adresse à votre compte. Voici votre code :",
            "You asked to add this address to your account. This is your code:",
        ),
        (Letter::Code, Purpose::Renew) => RENEWAL,
        (Letter::AccountExists, _) => Paragraphs {
            subject: Text { fr: "Vous avez déjà un compte", en: "You have an account already" },
            why: Text {
                fr: "Quelqu’un, sans doute vous, a voulu utiliser cette adresse pour un compte. \
                     Un compte existe déjà avec elle.",
                en: "Someone, probably you, wanted to use this address for an account. There is an \
                     account with it already.",
            },
            hint: Text {
                fr: "Connectez-vous, ou choisissez « mot de passe oublié ». Si ce n’était pas \
                     vous, il n’y a rien à faire.",
                en: "Log in, or choose “forgotten password”. If it was not you, there is nothing \
                     to do.",
            },
        },
        (Letter::NoAccount, _) => Paragraphs {
            subject: Text {
                fr: "Pas de compte à cette adresse",
                en: "No account with this address",
            },
            why: Text {
                fr: "Quelqu’un, sans doute vous, a demandé un nouveau mot de passe. Aucun compte \
                     n’existe avec cette adresse.",
                en: "Someone, probably you, asked for a new password. There is no account with \
                     this address.",
            },
            hint: Text {
                fr: "Votre compte a peut-être une autre adresse ; sinon, inscrivez-vous.",
                en: "Your account may have another address; else register.",
            },
        },
    }
}

const RENEWAL: Paragraphs = Paragraphs {
    subject: Text { fr: "Prolongez votre compte", en: "Renew your account" },
    why: Text {
        fr: "Votre compte arrive à échéance. Pour le garder, confirmez que vous l’utilisez \
                     toujours.",
        en: "Your account is about to expire. To keep it, confirm that you still use it.",
    },
    hint: Text {
        fr: "Sans confirmation, le compte ne pourra plus être utilisé après son échéance.",
        en: "Without it, the account cannot be used any more once it has expired.",
    },
};

const IGNORE: Text = Text {
    fr: "Le code et le lien sont valables 30 minutes. Si vous n’avez rien demandé, ignorez ce message \
         et ne donnez ce code à personne.",
    en: "Code and link are good for 30 minutes. If you asked for nothing, ignore this message and give \
         the code to nobody.",
};

const LINK: Text = Text {
    fr: "Ou ouvrez cette page et cliquez sur « Confirmer » :",
    en: "Or open this page and click “Confirm”:",
};

const ONLY_LINK: Text = Text {
    fr: "Ouvrez cette page et cliquez sur « Confirmer » :",
    en: "Open this page and click “Confirm”:",
};

/// Writes a mail. `proof` is there for [`Letter::Code`] only.
#[must_use]
pub fn write(
    purpose: Purpose,
    letter: Letter,
    language: Language,
    server_name: &str,
    proof: Option<&Proof>,
) -> Written {
    let it = paragraphs(purpose, letter);
    let [greeting, why, hint] = [GREETING, it.why, it.hint].map(|text| text.in_language(language));
    let mut text = format!("{greeting}\n\n{why}\n\n");
    let mut html = format!("<p>{}</p>\n<p>{}</p>\n", escape(greeting), escape(why));
    if let Some(Proof { code, link }) = proof {
        let is_renewal = purpose == Purpose::Renew;
        let or = if is_renewal { ONLY_LINK } else { LINK }.in_language(language);
        if !is_renewal {
            text.push_str(&format!("    {code}\n\n"));
            html.push_str(&format!(
                "<p style=\"font-size:2em;letter-spacing:.2em\"><b>{}</b></p>\n",
                escape(code),
            ));
        }
        text.push_str(&format!("{or}\n{link}\n\n"));
        html.push_str(&format!(
            "<p>{}<br><a href=\"{href}\">{href}</a></p>\n",
            escape(or),
            href = escape(link),
        ));
    }
    text.push_str(&format!("{hint}\n\n-- \n{server_name}\n"));
    html.push_str(&format!("<p>{}</p>\n<p>{}</p>\n", escape(hint), escape(server_name)));
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head><meta charset=\"utf-8\"></head>\n<body>\n{html}</body>\n</html>\n",
        language.tag(),
    );
    let subject = format!("{} – {server_name}", it.subject.in_language(language));
    Written { subject, text, html }
}

/// Text as HTML, also for attributes in double quotes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_in_both_parts_and_the_languages_differ() {
        let proof = Proof { code: "123456".into(), link: "https://x/?a=1&b=2".into() };
        let write_in = |language| {
            write(Purpose::Register, Letter::Code, language, "pli.example", Some(&proof))
        };
        let (fr, en) = (write_in(Language::Fr), write_in(Language::En));
        for mail in [&fr, &en] {
            assert!(mail.text.contains("123456") && mail.html.contains("123456"));
            assert!(mail.text.contains("https://x/?a=1&b=2"));
            assert!(mail.html.contains("https://x/?a=1&amp;b=2"));
        }
        assert_ne!(fr.subject, en.subject);
        assert!(fr.text.contains("30 minutes") && en.text.contains("30 minutes"));
    }

    #[test]
    fn a_mail_about_an_account_has_no_code() {
        for letter in [Letter::AccountExists, Letter::NoAccount] {
            let mail = write(Purpose::Register, letter, Language::En, "<pli>", None);
            assert!(!mail.text.contains("code") && !mail.html.contains("<pli>"));
        }
    }
}
