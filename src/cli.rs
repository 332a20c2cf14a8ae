//! The command line: what was typed, and which command it means.

mod call;
mod check;
mod completions;
mod demo;
mod explain;
mod health;
mod keys;
mod migrate;
mod outcome;
mod preview;
mod report;
mod serve;
mod start;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};

use outcome::{Failure, USAGE};

/// Self-hosted LLM gateway: OpenAI- and Anthropic-compatible endpoints over any number of providers and keys.
#[derive(Debug, Parser)]
#[command(name = "model-proxy", version, about, arg_required_else_help = false)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the gateway (the default when no command is given).
    Serve,
    /// Serve a gateway in front of a small built-in upstream: no key, no configuration, no network needed.
    Demo(DemoArguments),
    /// Validate configuration and environment as `serve` would; exit code 0 or 64.
    Check,
    /// Show the ordered attempts for a model, and why anything is skipped.
    Explain(ExplainArguments),
    /// Ask a running gateway for its health; exit code 0 or 1.
    Health(HealthArguments),
    /// List the provider keys of a running gateway, or end their rests. Wants ADMIN_API_KEY, here and there.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Work on configuration files.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print shell completions.
    Completions(CompletionsArguments),
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// Serve the built-in upstream alone, for a gateway that runs elsewhere.
    #[arg(long)]
    upstream_only: bool,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 takes a free one. [default: 9876, with --upstream-only 9877]
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, Args)]
struct ExplainArguments {
    /// The logical model, as clients name it.
    model: String,
    /// A request body (JSON): show what each route would be sent and what would be lost, without sending it.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// The protocol of that request: `openai` or `anthropic`.
    #[arg(long, default_value = "openai", requires = "request")]
    protocol: Dialect,
}

/// What a client speaks, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dialect {
    /// OpenAI chat completions.
    Openai,
    /// Anthropic messages.
    Anthropic,
}

#[derive(Debug, Args)]
struct HealthArguments {
    /// Base address of the gateway. [default: http://127.0.0.1:$PORT]
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Show what each key does: ready, resting (why, and how long yet), probing or busy.
    List(KeysListArguments),
    /// End the rests of one key, of a provider, or of all.
    Reset(KeysResetArguments),
}

#[derive(Debug, Args)]
struct KeysListArguments {
    /// Print the gateway's answer as it is.
    #[arg(long)]
    json: bool,
    /// Base address of the gateway. [default: http://127.0.0.1:$PORT]
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, Args)]
struct KeysResetArguments {
    /// The provider, by its name. [default: all]
    #[arg(long)]
    provider: Option<String>,
    /// The key, by its label (the variable it came from). [default: all]
    #[arg(long, value_name = "LABEL")]
    key: Option<String>,
    /// Base address of the gateway. [default: http://127.0.0.1:$PORT]
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Split a legacy flat `models.json` into one file for each model.
    Migrate(MigrateArguments),
}

#[derive(Debug, Args)]
struct MigrateArguments {
    /// The configuration directory. [default: $CONFIG_DIR, else ./config]
    #[arg(long)]
    config_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CompletionsArguments {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Parses the command line and runs the command.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no faults; everything else is bad usage.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(USAGE),
            };
        }
    };
    match dispatch(arguments.command.unwrap_or(Command::Serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                let _ = writeln!(io::stderr(), "model-proxy: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    let mut out = io::stdout();
    match command {
        Command::Serve => serve::run(&mut out),
        Command::Demo(arguments) => demo::run(&arguments, &mut out),
        Command::Check => check::run(&mut out),
        Command::Explain(arguments) => explain::run(&arguments, &mut out),
        Command::Health(arguments) => health::run(arguments.url.as_deref(), &mut out),
        Command::Keys(KeysCommand::List(arguments)) => keys::list(&arguments, &mut out),
        Command::Keys(KeysCommand::Reset(arguments)) => keys::reset(&arguments, &mut out),
        Command::Config(ConfigCommand::Migrate(arguments)) => {
            migrate::run(arguments.config_dir, &mut out)
        }
        Command::Completions(arguments) => completions::run(arguments.shell, &mut out),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
