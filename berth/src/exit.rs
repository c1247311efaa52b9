//! How a command ends: the code that scripts see, and the words that people see.

use std::fmt;

/// What a script sees as `$?`. Listed in `berth --help` and `docs/cli.md`; never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Anything that has no code of its own.
    Failure = 1,
    /// The command line or a file is wrong; nothing was tried.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// A rule, a conflict or missing rights refused it; nothing changed.
    Refused = 4,
    /// The platform does not answer, or not in time; the same command may be given again.
    Unavailable = 5,
    /// A deploy was taken but did not become ready in time.
    NotReady = 6,
    /// A plan was asked to tell by its code: something would change.
    Changes = 7,
}

/// Lines of `--help` about the codes.
pub const EXIT_CODES: &str = "\
EXIT CODES
  0  done
  1  failure
  2  the command line or a file is wrong
  3  not found
  4  refused: conflict, broken rule, or missing rights
  5  unavailable or timed out; give the same command again
  6  deployed, but not ready in time
  7  something would change (`berth plan --detailed-exitcode`)";

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For scripts.
    pub exit: Exit,
    /// What is the matter, for people. May have several lines.
    pub message: String,
    /// What to do about it.
    pub cure: Option<String>,
    /// Faults with their places, shown before the message.
    pub faults: Vec<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            cure: None,
            faults: Vec::new(),
        }
    }

    /// Something that has no code of its own.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// A wrong command line or file.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// An error with all its causes in one line.
    pub fn from_error(what: &str, error: &dyn std::error::Error) -> Self {
        Self::other(format!("{what}: {}", chain(error)))
    }
}

/// An error and its causes, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cure {
            Some(cure) => write!(f, "\n  help: {cure}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::other(error.to_string())
    }
}

/// What every command gives.
pub type Outcome<T = ()> = Result<T, Failure>;
