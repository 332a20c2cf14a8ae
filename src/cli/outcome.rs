//! How a command ends: an exit code and one message.

use std::fmt::Display;
use std::io;

/// Something went wrong.
pub(super) const FAILURE: u8 = 1;
/// Bad usage or bad configuration (`EX_USAGE`).
pub(super) const USAGE: u8 = 64;

/// A command that did not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    /// Printed after the program's name; empty where everything has been said.
    pub(super) message: String,
}

impl Failure {
    pub(super) fn usage(message: impl Display) -> Self {
        Self {
            code: USAGE,
            message: message.to_string(),
        }
    }

    pub(super) fn failed(message: impl Display) -> Self {
        Self {
            code: FAILURE,
            message: message.to_string(),
        }
    }

    /// The faults have been printed already.
    pub(super) fn said(code: u8) -> Self {
        Self {
            code,
            message: String::new(),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // A reader that has seen enough (`| head`) is no failure.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::said(0);
        }
        Self::failed(error)
    }
}
