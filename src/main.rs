//! The binary: parse arguments, run, print one error, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    model_proxy::cli::run()
}
