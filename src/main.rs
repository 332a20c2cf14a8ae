//! The binary: parse arguments, run, print one error, exit code.

fn main() {}
