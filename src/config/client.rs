//! Our clients, by the keys in `CLIENT_API_KEY`, and the administrator's key.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::catalog::{Client, Limits};
use super::environment::Environment;
use super::settings::Settings;
use foldhash::HashMap;

use crate::secret::{Digest, Secret};

/// The variable that holds client keys, comma-separated.
pub(crate) const CLIENT_API_KEY: &str = "CLIENT_API_KEY";

/// The clients of one value of the variable.
#[derive(Debug)]
pub(crate) struct Clients {
    variable: Secret,
    limits: Limits,
    /// The clients and their keys in the order of the variable; an empty key is none, a key given twice is one client.
    pub(crate) listed: Vec<(Arc<Client>, Secret)>,
    /// The same by the digests of their keys.
    pub(crate) by_digest: Arc<HashMap<Digest, Arc<Client>>>,
}

impl Clients {
    /// The clients of this environment: those of `before`, if nothing has changed.
    pub(crate) fn read(
        settings: &Settings,
        environment: &Environment,
        before: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let limits = limits(settings);
        let variable = environment.get(CLIENT_API_KEY).unwrap_or_default();
        let is_same =
            |before: &Arc<Self>| before.variable.expose() == variable && before.limits == limits;
        before
            .filter(is_same)
            .unwrap_or_else(|| Arc::new(Self::list(variable, limits)))
    }

    fn list(variable: &str, limits: Limits) -> Self {
        let mut listed = Vec::new();
        let mut by_digest = HashMap::default();
        let keys = variable.split(',').map(str::trim);
        for key in keys.filter(|key| !key.is_empty()) {
            let secret = Secret::new(key);
            let digest = secret.digest();
            let Entry::Vacant(vacant) = by_digest.entry(digest) else {
                continue;
            };
            let name = format!("client-{}", listed.len() + 1);
            let client = Arc::new(Client {
                name,
                digest,
                limits,
            });
            vacant.insert(Arc::clone(&client));
            listed.push((client, secret));
        }
        Self {
            variable: Secret::new(variable),
            limits,
            listed,
            by_digest: Arc::new(by_digest),
        }
    }
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

    fn read_after(before: Option<Arc<Clients>>, variables: &[(&str, &str)]) -> Arc<Clients> {
        let environment = variables.iter().copied().collect();
        let settings = Settings::load(None, &environment).unwrap();
        Clients::read(&settings, &environment, before)
    }

    fn read(variables: &[(&str, &str)]) -> Vec<(Arc<Client>, Secret)> {
        read_after(None, variables).listed.clone()
    }

    #[test]
    fn clients_are_made_anew_only_when_their_variable_or_limits_change() {
        let key = ("CLIENT_API_KEY", "one,two");
        let first = read_after(None, &[key]);
        assert_eq!(first.by_digest.len(), 2);
        let again = read_after(Some(Arc::clone(&first)), &[key, ("OTHER", "x")]);
        assert!(Arc::ptr_eq(&first, &again));
        let limits = [key, ("RATE_LIMIT_CONCURRENT_REQUESTS", "3")];
        let limited = read_after(Some(Arc::clone(&first)), &limits);
        assert_eq!(limited.listed[0].0.limits.concurrent_requests, Some(3));
        let fewer = read_after(Some(first), &[("CLIENT_API_KEY", "two")]);
        assert_eq!(fewer.listed.len(), 1);
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
