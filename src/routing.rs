//! Decisions, as pure functions and values with the clock as a parameter: which routes, what a failure means,
//! which key, and whether a client may.

pub mod affinity;
pub mod course;
pub mod keyring;
pub mod outcome;
pub mod plan;
pub mod select;
pub mod window;

#[cfg(test)]
pub(crate) mod samples;
