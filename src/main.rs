//! The binary: parse arguments, run, print one error, exit code.

use std::process::ExitCode;

// Linked for its `malloc`, which takes the place of glibc's: that one keeps only small blocks for each thread, so plain requests
// cost a tenth more CPU. Called as `malloc` and not as Rust's global allocator, whose shims ask it for an alignment: then blocks
// over 1 KiB take its slow path.
#[cfg(target_os = "linux")]
use mimalloc as _;

fn main() -> ExitCode {
    model_proxy::cli::run()
}
