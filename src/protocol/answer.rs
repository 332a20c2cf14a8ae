//! What we read of answers: tokens, errors in disguise, and whether they are complete.

use super::failure::UpstreamError;
use crate::conversation::Usage;

/// Usage as we count, and as the upstream said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// The tokens.
    pub usage: Usage,
    /// The upstream's own object, as JSON text.
    pub raw: String,
}

/// What a whole body with status 200 says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WholeReading {
    /// The tokens, if it tells.
    pub usage: Option<UsageReport>,
    /// It is an error in spite of its status.
    pub error: Option<UpstreamError>,
    /// Every choice says why it ended.
    pub complete: bool,
}

impl WholeReading {
    pub(super) fn failed(error: UpstreamError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}
