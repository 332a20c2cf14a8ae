//! The binary: parse arguments, run, print one error, exit code.

use std::process::ExitCode;

/// Instead of glibc's, which keeps only small blocks for each thread: a tenth less CPU for plain requests.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    model_proxy::cli::run()
}
