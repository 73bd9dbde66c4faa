//! `pli completions`

use crate::args::CompletionsArgs;
use crate::context::{Context, line};
use crate::error::Result;
use crate::help;

/// Prints the completion script of a shell, described in the person's language.
///
/// # Errors
/// When standard output is closed.
pub fn run(context: &Context, args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command(context.lang), "pli", &mut script);
    line(String::from_utf8_lossy(&script).trim_end())
}
