//! The black-box suite: the real application over real sockets, before an upstream that does what it is told.
//!
//! One binary, so that it links once. Each module is a subject; `support` holds what they share.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

// The layer rule of the source itself.
mod layers;

mod support;

// The doubles themselves: an upstream or client that does not do what it says proves nothing.
mod doubles;

// A request and its answer.
mod conversion;
mod count_tokens;
mod passthrough;
mod refusals;
mod streams;

// What becomes of a request when an upstream fails.
mod failover;

// What stands between them.
mod key_health;
mod keys;
mod limits;
mod overload;
mod request_log;
mod route_selection;

// The process around them.
mod commands;
mod demo;
mod reload;
mod service;
mod stopping;

// All of it at once, for a while.
mod soak;

// What holds whatever the bytes are.
mod fuzz_seeds;

// What went wrong once.
mod regressions;
