//! The command line of `pli admin notice` and `pli admin reports`.

use clap::{Args, Subcommand};

/// `pli admin notice …`.
#[derive(Debug, Subcommand)]
pub enum NoticeCommand {
    /// Send a notice to a user.
    Send(NoticeSendArgs),
}

/// `pli admin notice send`.
#[derive(Args, Debug)]
pub struct NoticeSendArgs {
    /// To whom.
    pub user: String,
    /// The text.
    pub text: String,
}

/// `pli admin reports …`.
#[derive(Debug, Subcommand)]
pub enum ReportsCommand {
    /// List the reports.
    List(ReportsListArgs),
    /// Close a report.
    Close(ReportsCloseArgs),
}

/// `pli admin reports list`.
#[derive(Args, Debug)]
pub struct ReportsListArgs {
    /// The closed ones too.
    #[arg(long)]
    pub all: bool,
}

/// `pli admin reports close`.
#[derive(Args, Debug)]
pub struct ReportsCloseArgs {
    /// Its number.
    pub number: u64,
    /// What was done.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}
