//! `reasoning`: how a model may be asked to think, as it is written on every level of the files.

use super::catalog::ReasoningStyle;
use super::document::Members;
use super::report::Report;

/// Reads `reasoning`: `false`, `true`, or `"adaptive"`. `None` where it is not there.
pub(super) fn read(members: &mut Members<'_>, report: &mut Report) -> Option<ReasoningStyle> {
    let node = members.take("reasoning")?;
    if !node.is_string() {
        return node.boolean(report).map(|takes| {
            if takes {
                ReasoningStyle::Usual
            } else {
                ReasoningStyle::None
            }
        });
    }
    let word = node.string(report)?;
    if word != "adaptive" {
        node.fault("must be `true`, `false` or `\"adaptive\"`", report);
        return None;
    }
    Some(ReasoningStyle::Adaptive)
}
