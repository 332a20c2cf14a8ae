//! `model-proxy health`: so that a container needs no other program for its health check.

use std::io::Write;

use super::call::{call, gateway};
use super::outcome::Failure;

pub(super) fn run(url: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let authority = gateway(url)?;
    let reply = call(&authority, "GET /health", None, None)
        .map_err(|error| Failure::failed(format!("no answer from {authority}: {error}")))?;
    if reply.status == 200 {
        return Ok(writeln!(out, "healthy")?);
    }
    Err(Failure::failed(format!(
        "{authority} is unhealthy: status {}",
        reply.status
    )))
}
