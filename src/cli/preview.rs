//! `model-proxy explain MODEL --request FILE`: what each route would be sent and what would be lost, without sending it.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;

use super::Dialect;
use super::outcome::Failure;
use crate::actors::ledger::Selection;
use crate::gateway::{self, ClientRequest};
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;
use crate::routing::plan::Plan;
use crate::upstream::Forwarded;

impl From<Dialect> for Protocol {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Openai => Self::OpenAi,
            Dialect::Anthropic => Self::Anthropic,
        }
    }
}

/// Prints a body and its losses for each route of the plan.
pub(super) fn print(
    file: &Path,
    protocol: Protocol,
    plan: &Plan,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let request = read(file, protocol)?;
    for (position, planned) in plan.routes.iter().enumerate() {
        let route = &planned.route;
        writeln!(
            out,
            "request of attempt {} ({} to {}):",
            position + 1,
            protocol.name(),
            route.protocol.name()
        )?;
        match gateway::preview(&request, &planned.logical_model, route) {
            Err(refusal) => writeln!(out, "  refused: {refusal}")?,
            Ok((body, loss)) => {
                let lost = if loss.is_empty() {
                    "nothing".to_owned()
                } else {
                    loss.to_string()
                };
                writeln!(out, "  lost: {lost}")?;
                writeln!(out, "  sent: {}", String::from_utf8_lossy(&body))?;
            }
        }
    }
    Ok(())
}

fn read(file: &Path, protocol: Protocol) -> Result<ClientRequest, Failure> {
    let text = fs_err::read(file).map_err(Failure::usage)?;
    let told =
        |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let body = RawObject::parse(Bytes::from(text)).map_err(|fault| told(&fault))?;
    let head = protocol.read_request(&body).map_err(|error| told(&error))?;
    Ok(ClientRequest {
        protocol,
        streaming: head.stream,
        body,
        head,
        forwarded: Forwarded::default(),
        selection: Selection::default(),
    })
}
