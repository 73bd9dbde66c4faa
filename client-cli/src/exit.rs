//! What the process answers to the shell.

/// The exit codes of `pli`; they are part of its interface (docs/user-guide.md lists them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It worked.
    Ok = 0,
    /// Something that no other code names.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No session in this profile, or the server ended it.
    NotLoggedIn = 3,
    /// The server answered with a refusal.
    Refused = 4,
    /// The server cannot be reached or does not answer as a Matrix server.
    Network = 5,
    /// No such room, user, device, event or domain.
    NotFound = 6,
    /// Encryption, verification or recovery failed.
    Crypto = 7,
    /// A local file cannot be read or written.
    File = 8,
    /// What was waited for did not come in time.
    Timeout = 9,
    /// Stopped by the person (Ctrl-C, "no" to a question).
    Cancelled = 10,
}

impl Exit {
    /// Every code, for the documentation test.
    #[cfg(test)]
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::NotLoggedIn,
        Self::Refused,
        Self::Network,
        Self::NotFound,
        Self::Crypto,
        Self::File,
        Self::Timeout,
        Self::Cancelled,
    ];

    /// The number given to the shell.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_never_move() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, (0..=10).collect::<Vec<u8>>());
    }

    #[test]
    fn the_user_guides_list_every_code() {
        for guide in
            [include_str!("../../docs/user-guide.md"), include_str!("../../docs/user-guide.fr.md")]
        {
            for exit in Exit::ALL {
                assert!(
                    guide.contains(&format!("| {} |", exit.code())),
                    "{exit:?} is not in a guide"
                );
            }
        }
    }
}
