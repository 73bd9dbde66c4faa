//! The clap command with its texts in the language of the person.

use std::ffi::OsString;

use clap::builder::{StyledStr, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::args::Cli;
use crate::lang::Lang;
use crate::text::help;
use crate::text::messages::Msg;

/// The command line of `pli` in `lang`.
pub fn command(lang: Lang) -> Command {
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    let root = Cli::command().disable_version_flag(true).arg(version).styles(Styles::plain());
    localize(root, "", lang)
}

fn localize(command: Command, path: &str, lang: Lang) -> Command {
    let about = help::command(path, lang).unwrap_or_default();
    let help_arg = Arg::new("help").short('h').long("help").action(ArgAction::Help);
    let mut command = command
        .about(about)
        .long_about(None)
        .disable_help_flag(true)
        .arg(help_arg)
        .mut_args(|arg| {
            let text = help::argument(path, arg.get_id().as_str(), lang).unwrap_or_default();
            let arg = arg.help(text).long_help(None);
            if !arg.get_action().takes_values() {
                return arg;
            }
            // What clap would write about values is English; the texts say it themselves.
            arg.hide_default_value(true).hide_env(true).hide_possible_values(true)
        })
        .help_template(template(&command_shape(path), lang));
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(&name, |sub| localize(sub, &path, lang));
    }
    command
}

/// Which parts a help page has.
struct Shape {
    subcommands: bool,
    positionals: bool,
}

/// Looks the shape of a command up in the derived command line.
fn command_shape(path: &str) -> Shape {
    let mut command = &Cli::command();
    for word in path.split(' ').filter(|word| !word.is_empty()) {
        if let Some(sub) = command.find_subcommand(word) {
            command = sub;
        }
    }
    Shape {
        subcommands: command.has_subcommands(),
        positionals: command.get_positionals().next().is_some(),
    }
}

fn template(shape: &Shape, lang: Lang) -> StyledStr {
    let [usage, commands, arguments, options] = help::headings(lang);
    let mut page = format!("{{about}}\n\n{usage} {{usage}}\n\n");
    if shape.subcommands {
        page.push_str(&format!("{commands}\n{{subcommands}}\n\n"));
    }
    if shape.positionals {
        page.push_str(&format!("{arguments}\n{{positionals}}\n\n"));
    }
    page.push_str(&format!("{options}\n{{options}}\n"));
    page.into()
}

/// The sentence for a command line that clap refused.
pub fn explain(error: &clap::Error, lang: Lang) -> String {
    let value = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let arg = value(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument => Msg::UsageUnknownArgument.text(lang, &[&arg]),
        ErrorKind::InvalidSubcommand => {
            Msg::UsageUnknownCommand.text(lang, &[&value(ContextKind::InvalidSubcommand)])
        }
        ErrorKind::MissingRequiredArgument => Msg::UsageMissing.text(lang, &[&arg]),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Msg::UsageMissingCommand.text(lang, &[])
        }
        ErrorKind::ArgumentConflict => {
            Msg::UsageConflict.text(lang, &[&arg, &value(ContextKind::PriorArg)])
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::NoEquals => {
            Msg::UsageInvalidValue.text(lang, &[&value(ContextKind::InvalidValue), &arg])
        }
        ErrorKind::InvalidUtf8 => Msg::UsageNotUtf8.text(lang, &[]),
        _ => Msg::UsageOther.text(lang, &[]),
    }
}

/// The help page of a command named by its words, or `None` when there is no such command.
pub fn page(words: &[String], lang: Lang) -> Option<String> {
    let args: Vec<OsString> = std::iter::once("pli".to_owned())
        .chain(words.iter().cloned())
        .chain(std::iter::once("--help".to_owned()))
        .map(OsString::from)
        .collect();
    let error = command(lang).try_get_matches_from(args).err()?;
    (error.kind() == ErrorKind::DisplayHelp).then(|| error.render().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(command: &Command, path: &str, missing: &mut Vec<String>) {
        for lang in [Lang::En, Lang::Fr] {
            if help::command(path, lang).is_none_or(str::is_empty) {
                missing.push(format!("command {path:?} {lang:?}"));
            }
            for arg in command.get_arguments() {
                let id = arg.get_id().as_str();
                if help::argument(path, id, lang).is_none_or(str::is_empty) {
                    missing.push(format!("argument {path:?} {id} {lang:?}"));
                }
            }
        }
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            walk(sub, path.trim(), missing);
        }
    }

    #[test]
    fn every_command_and_argument_has_both_languages() {
        let mut missing = Vec::new();
        walk(&command(Lang::En), "", &mut missing);
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        command(Lang::Fr).debug_assert();
        command(Lang::En).debug_assert();
    }

    #[test]
    fn pages_are_in_one_language() {
        let page = page(&["room".into(), "create".into()], Lang::Fr).unwrap();
        assert!(page.contains("Utilisation : pli room create"), "{page}");
        assert!(page.contains("Ne pas chiffrer le salon"), "{page}");
        for english in ["Usage", "Print help", "default:", "possible values", "env:"] {
            assert!(!page.contains(english), "{english} in {page}");
        }
        let top = super::page(&[], Lang::Fr).unwrap();
        assert!(top.contains("Commandes :") && top.contains("Créer un compte"), "{top}");
        assert!(super::page(&["nonsense".into()], Lang::Fr).is_none());
    }

    #[test]
    fn refusals_are_explained() {
        let refused = |words: &[&str], lang| {
            let error = command(lang).try_get_matches_from(words).unwrap_err();
            explain(&error, lang)
        };
        assert!(refused(&["pli", "sned"], Lang::Fr).contains("sned"));
        assert!(refused(&["pli", "whoami", "--jsn"], Lang::En).contains("--jsn"));
        assert!(refused(&["pli", "chat"], Lang::En).to_lowercase().contains("room"));
        assert!(refused(&["pli", "listen", "--limit", "x"], Lang::Fr).contains('x'));
    }
}
