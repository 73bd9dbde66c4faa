//! The parts of forms: labelled fields, a summary of errors that leads to them.

use maud::{Markup, html};
use pli_schema::{Language, Text};

/// A field of a form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Its name and id.
    pub name: &'a str,
    /// `text`, `email`, `password`.
    pub kind: &'a str,
    /// What is to be typed.
    pub label: Text,
    /// More about it.
    pub hint: Option<Text>,
    /// For the browser's memory (HTML, "Autofill").
    pub autocomplete: &'a str,
    /// What stands in it.
    pub value: &'a str,
    /// It must be filled.
    pub required: bool,
}

impl<'a> Field<'a> {
    /// A field that must be filled.
    pub const fn new(name: &'a str, kind: &'a str, label: Text, autocomplete: &'a str) -> Self {
        Self { name, kind, label, hint: None, autocomplete, value: "", required: true }
    }

    /// With a hint.
    pub const fn hint(mut self, hint: Text) -> Self {
        self.hint = Some(hint);
        self
    }

    /// With a value.
    pub const fn value(mut self, value: &'a str) -> Self {
        self.value = value;
        self
    }
}

/// What is wrong with a form: the field and the text.
pub(crate) type Wrong<'a> = (&'a str, String);

const PROBLEM: Text = Text { fr: "Il y a un problème", en: "There is a problem" };

/// The errors above a form. It has the focus when the page opens, so that it is read first.
pub(crate) fn summary(language: Language, wrong: Option<&Wrong<'_>>) -> Markup {
    html! {
        @if let Some((name, text)) = wrong {
            div class="errors" role="alert" tabindex="-1" autofocus {
                h2 { (PROBLEM.in_language(language)) }
                ul { li { a href={ "#" (name) } { (text) } } }
            }
        }
    }
}

/// A field with its label, hint and error.
pub(crate) fn field(language: Language, it: &Field<'_>, wrong: Option<&Wrong<'_>>) -> Markup {
    let error = wrong.filter(|(name, _)| *name == it.name).map(|(_, text)| text);
    let described = match (it.hint.is_some(), error.is_some()) {
        (true, true) => Some(format!("{0}-hint {0}-error", it.name)),
        (true, false) => Some(format!("{}-hint", it.name)),
        (false, true) => Some(format!("{}-error", it.name)),
        (false, false) => None,
    };
    let is_code = it.autocomplete == "one-time-code";
    html! {
        label for=(it.name) {
            (it.label.in_language(language))
            @if let Some(hint) = it.hint {
                span class="hint" id={ (it.name) "-hint" } { (hint.in_language(language)) }
            }
        }
        @if let Some(text) = error {
            span class="error" id={ (it.name) "-error" } { (text) }
        }
        input id=(it.name) name=(it.name) type=(it.kind) value=[Some(it.value).filter(|v| !v.is_empty())]
            autocomplete=(it.autocomplete) required[it.required] maxlength="512"
            aria-invalid=[error.map(|_| "true")] aria-describedby=[described]
            inputmode=[is_code.then_some("numeric")]
            autocapitalize="none" spellcheck="false";
    }
}

/// A hidden field.
pub(crate) fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}
