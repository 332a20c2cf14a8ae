//! model-proxy: a self-hosted LLM gateway, as a library with one binary.
//!
//! # Layers
//!
//! A module imports lower rows and, within its row, what stands left of it.
//! `tests/suite/layers.rs` checks every path against this table.
//!
//! ```text
//! 6  app  demo  cli  main
//! 5  http
//! 4  gateway (exchange, transcript)
//! 3  actors
//! 2  routing   upstream   storage
//! 1  config   convert   tokens
//! 0  error  secret  telemetry  conversation  protocol
//! ```
//!
//! `protocol`, `conversation`, `convert`, `routing` and `config` import neither actix, awc, diesel
//! nor tokio: they are pure, and survive a change of framework.

pub mod actors;
pub mod app;
pub mod cli;
pub mod config;
pub mod conversation;
pub mod convert;
pub mod demo;
pub mod error;
pub mod gateway;
pub mod http;
pub mod protocol;
pub mod routing;
pub mod secret;
pub mod storage;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
