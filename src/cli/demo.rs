//! `model-proxy demo`.

use std::io::Write;

use super::DemoArguments;
use super::outcome::Failure;
use crate::demo::{self, DemoError};

const GATEWAY_PORT: u16 = 9876;
const UPSTREAM_PORT: u16 = 9877;

pub(super) fn run(arguments: &DemoArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let host = &arguments.host;
    let ended = if arguments.upstream_only {
        demo::run_upstream(host, arguments.port.unwrap_or(UPSTREAM_PORT), out)
    } else {
        demo::run(host, arguments.port.unwrap_or(GATEWAY_PORT), out)
    };
    ended.map_err(failure)
}

fn failure(error: DemoError) -> Failure {
    if error.is_usage() {
        Failure::usage(error)
    } else {
        Failure::failed(error)
    }
}
