//! Our clients, by the keys in `CLIENT_API_KEY`, and the administrator's key.

use std::collections::HashSet;
use std::sync::Arc;

use super::catalog::{Client, Limits};
use super::environment::Environment;
use super::settings::Settings;
use crate::secret::Secret;

/// The variable that holds client keys, comma-separated.
pub(crate) const CLIENT_API_KEY: &str = "CLIENT_API_KEY";

/// The clients and their keys in the order of the variable; an empty key is none, a key given twice is one client.
pub(crate) fn clients(
    settings: &Settings,
    environment: &Environment,
) -> Vec<(Arc<Client>, Secret)> {
    let limits = limits(settings);
    let mut clients: Vec<(Arc<Client>, Secret)> = Vec::new();
    let mut seen = HashSet::new();
    let keys = environment.get(CLIENT_API_KEY).unwrap_or_default();
    for key in keys.split(',').map(str::trim).filter(|key| !key.is_empty()) {
        let secret = Secret::new(key);
        let digest = secret.digest();
        if !seen.insert(digest) {
            continue;
        }
        let name = format!("client-{}", clients.len() + 1);
        let client = Client {
            name,
            digest,
            limits,
        };
        clients.push((Arc::new(client), secret));
    }
    clients
}

/// The variable that holds the administrator's key.
pub(crate) const ADMIN_API_KEY: &str = "ADMIN_API_KEY";

/// The administrator's key; an empty one is none.
pub(crate) fn administrator(environment: &Environment) -> Option<Secret> {
    let key = environment.get(ADMIN_API_KEY)?.trim();
    (!key.is_empty()).then(|| Secret::new(key))
}

/// The limits that hold for every client; 0 in the settings is no limit.
fn limits(settings: &Settings) -> Limits {
    let limit = |number: u64| Some(number).filter(|number| *number > 0);
    Limits {
        requests_per_minute: limit(settings.rate_limit_requests_per_minute),
        tokens_per_minute: limit(settings.rate_limit_tokens_per_minute),
        concurrent_requests: limit(settings.rate_limit_concurrent_requests),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Vec<(Arc<Client>, Secret)> {
        let environment = variables.iter().copied().collect();
        let settings = Settings::load(None, &environment).unwrap();
        clients(&settings, &environment)
    }

    #[test]
    fn several_keys_are_several_clients_and_empty_or_repeated_ones_are_none() {
        let clients = read(&[("CLIENT_API_KEY", " one ,,two,one, ")]);
        let names: Vec<_> = clients
            .iter()
            .map(|(client, key)| (client.name.as_str(), key.expose()))
            .collect();
        assert_eq!(names, [("client-1", "one"), ("client-2", "two")]);
    }

    #[test]
    fn without_the_variable_there_is_no_client() {
        assert!(read(&[]).is_empty());
        assert!(read(&[("CLIENT_API_KEY", " , ")]).is_empty());
    }

    #[test]
    fn an_empty_administrator_s_key_is_none() {
        let key = |value| administrator(&[(ADMIN_API_KEY, value)].into_iter().collect());
        assert_eq!(key(" root-key ").unwrap().expose(), "root-key");
        assert!(key("  ").is_none());
        assert!(administrator(&Environment::default()).is_none());
    }

    #[test]
    fn limits_come_from_the_settings_and_zero_is_none() {
        let clients = read(&[
            ("CLIENT_API_KEY", "k"),
            ("RATE_LIMIT_TOKENS_PER_MINUTE", "0"),
            ("RATE_LIMIT_CONCURRENT_REQUESTS", "3"),
        ]);
        let limits = clients[0].0.limits;
        assert_eq!(limits.requests_per_minute, Some(60));
        assert_eq!(limits.tokens_per_minute, None);
        assert_eq!(limits.concurrent_requests, Some(3));
    }
}
