//! What `serve` says when it starts: where it listens, what it serves, with which keys, and what is odd.

use std::io::{self, Write};

use crate::app::Application;
use crate::config::catalog::{Catalog, Model, Origin, Provider};
use crate::config::settings::Settings;

/// More models are counted, not listed.
const LISTED: usize = 20;

/// Prints the report of an application that is about to run.
pub(super) fn print(application: &Application, out: &mut dyn Write) -> io::Result<()> {
    let catalog = application.catalog();
    writeln!(
        out,
        "model-proxy {} listening on http://{}",
        env!("CARGO_PKG_VERSION"),
        application.address()
    )?;
    summary(&catalog, application.settings(), out)?;
    for finding in &catalog.faults {
        writeln!(out, "fault:    {finding}")?;
    }
    for finding in &catalog.warnings {
        writeln!(out, "warning:  {finding}")?;
    }
    Ok(())
}

/// Models, keys, clients, database: without the address, so that `check` can print it too.
pub(super) fn summary(
    catalog: &Catalog,
    settings: &Settings,
    out: &mut dyn Write,
) -> io::Result<()> {
    models(catalog, out)?;
    for provider in catalog.providers.values() {
        if is_mentioned(catalog, provider) {
            writeln!(out, "provider: {}", provider_line(provider))?;
        }
    }
    writeln!(out, "clients:  {}", clients_line(catalog, settings))?;
    let directory = settings.config_dir.as_ref().map_or_else(
        || "none, the compiled-in providers alone".to_owned(),
        |directory| directory.display().to_string(),
    );
    writeln!(out, "config:   {directory}")?;
    writeln!(out, "database: {}", settings.database_url)
}

fn models(catalog: &Catalog, out: &mut dyn Write) -> io::Result<()> {
    if catalog.models.is_empty() {
        writeln!(
            out,
            "models:   none yet: put a file into models/ of the configuration directory"
        )?;
    }
    for model in catalog.models.values().take(LISTED) {
        writeln!(out, "model:    {}", model_line(model))?;
    }
    let rest = catalog.models.len().saturating_sub(LISTED);
    if rest > 0 {
        writeln!(out, "models:   … and {rest} more")?;
    }
    Ok(())
}

fn model_line(model: &Model) -> String {
    let routes: Vec<String> = model
        .routes
        .iter()
        .map(|route| format!("{}/{}", route.provider.name, route.model))
        .collect();
    let fallbacks = if model.fallbacks.is_empty() {
        String::new()
    } else {
        format!(", then as {}", model.fallbacks.join(", "))
    };
    format!("{} → {}{fallbacks}", model.name, routes.join(", "))
}

fn is_mentioned(catalog: &Catalog, provider: &Provider) -> bool {
    matches!(provider.origin, Origin::File(_))
        || !provider.ring.is_empty()
        || catalog
            .models
            .values()
            .flat_map(|model| &model.routes)
            .any(|route| route.provider.name == provider.name)
}

fn provider_line(provider: &Provider) -> String {
    let name = &provider.name;
    if !provider.enabled {
        return format!("{name}: disabled by its file");
    }
    if let Some(reason) = &provider.unusable {
        return format!("{name}: unusable, {reason}");
    }
    let labels: Vec<&str> = provider.ring.iter().map(|key| key.label.as_str()).collect();
    match labels.len() {
        0 => format!("{name}: no key"),
        1 => format!("{name}: 1 key ({})", labels.join(", ")),
        count => format!("{name}: {count} keys ({})", labels.join(", ")),
    }
}

fn clients_line(catalog: &Catalog, settings: &Settings) -> String {
    let limit = |limit: u64, what: &str| match limit {
        0 => format!("any number of {what}"),
        limit => format!("{limit} {what}"),
    };
    let limits = format!(
        "{} and {} a minute each",
        limit(settings.rate_limit_requests_per_minute, "requests"),
        limit(settings.rate_limit_tokens_per_minute, "tokens")
    );
    match catalog.clients.len() {
        0 => "no client key: every request will be refused with 401; set CLIENT_API_KEY".to_owned(),
        1 => format!("1 client key, {limits}"),
        count => format!("{count} client keys, {limits}"),
    }
}
