//! Why a foreign client did not do what it was asked.

use std::fmt;

/// Why a foreign client did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It could not be built or started: a tool is missing, a download failed.
    Build(String),
    /// The broker refused the credentials or the permission.
    Refused {
        /// The broker's code.
        code: i32,
        /// The client's words.
        error: String,
    },
    /// The client reported another error.
    Failed {
        /// The broker's code, -1 if it was not the broker.
        code: i32,
        /// The client's words.
        error: String,
    },
    /// It was not done in time.
    TimedOut {
        /// Client and verb.
        what: String,
        /// What it printed until then.
        lines: Vec<String>,
    },
    /// It ended in a way, or said something, that is not in the contract.
    Output(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(why) | Self::Output(why) => f.write_str(why),
            Self::Refused { code, error } => write!(f, "refused with code {code}: {error}"),
            Self::Failed { code, error } => write!(f, "failed with code {code}: {error}"),
            Self::TimedOut { what, lines } => {
                write!(
                    f,
                    "{what} timed out after {} messages: {lines:#?}",
                    lines.len()
                )
            }
        }
    }
}

impl std::error::Error for Failure {}
