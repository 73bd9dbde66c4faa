//! `pli help`

use crate::args::HelpArgs;
use crate::context::{Context, line};
use crate::error::{CliError, Result};
use crate::help;
use crate::text::messages::Msg;

/// Prints the help page of a command.
///
/// # Errors
/// `Usage` when there is no such command.
pub fn run(context: &Context, args: &HelpArgs) -> Result<()> {
    let page = help::page(&args.words, context.lang)
        .ok_or_else(|| CliError::Usage(Msg::HelpUnknown, vec![args.words.join(" ")]))?;
    line(page.trim_end())
}
