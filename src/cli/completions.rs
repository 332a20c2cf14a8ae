//! `model-proxy completions SHELL`.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Arguments;
use super::outcome::Failure;

pub(super) fn run(shell: Shell, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "model-proxy", &mut script);
    Ok(out.write_all(&script)?)
}
