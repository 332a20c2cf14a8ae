//! Everything that must never be seen outside: keys of providers and clients, and what `${VAR}` put into addresses and
//! headers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Resolved;
use crate::config::client::{ADMIN_API_KEY, Clients};
use crate::secret::{Scrubber, Secret};

/// The secrets of one catalog with their labels.
#[derive(Debug)]
pub(super) struct Secrets {
    /// Of providers.
    pub(super) keys: Vec<(Secret, String)>,
    /// Of clients.
    pub(super) clients: Arc<Clients>,
    /// See [`others`].
    pub(super) others: Vec<(Secret, String)>,
}

/// The keys of these providers.
pub(super) fn keys(resolved: &BTreeMap<&str, Resolved<'_>>) -> Vec<(Secret, String)> {
    let providers = resolved.values();
    providers
        .flat_map(|resolved| resolved.provider.ring.iter())
        .map(|key| (key.secret.clone(), key.label.clone()))
        .collect()
}

/// The administrator's key, and the values of variables.
pub(super) fn others(
    administrator: Option<&Secret>,
    variables: &BTreeMap<String, String>,
) -> Vec<(Secret, String)> {
    let variables = variables
        .iter()
        .map(|(name, value)| (Secret::new(value.clone()), name.clone()));
    administrator
        .map(|secret| (secret.clone(), ADMIN_API_KEY.to_owned()))
        .into_iter()
        .chain(variables)
        .collect()
}

impl Secrets {
    /// The scrubber that knows them: the one that is kept, if they are as they were.
    pub(super) fn scrubber(self, kept: &mut Option<(Self, Arc<Scrubber>)>) -> Arc<Scrubber> {
        if let Some((before, scrubber)) = kept
            && before.are(&self)
        {
            return Arc::clone(scrubber);
        }
        let clients = self.clients.listed.iter();
        let clients = clients.map(|(client, secret)| (secret.clone(), client.name.clone()));
        let all = self.keys.iter().cloned().chain(clients);
        let scrubber = Arc::new(Scrubber::new(all.chain(self.others.iter().cloned())));
        *kept = Some((self, Arc::clone(&scrubber)));
        scrubber
    }

    fn are(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.clients, &other.clients)
            && same(&self.keys, &other.keys)
            && same(&self.others, &other.others)
    }
}

fn same(left: &[(Secret, String)], right: &[(Secret, String)]) -> bool {
    let pairs = left.iter().zip(right);
    left.len() == right.len()
        && pairs.into_iter().all(|((left, label), (right, other))| {
            label == other && left.expose() == right.expose()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;
    use crate::config::settings::Settings;

    #[test]
    fn a_scrubber_is_kept_while_the_secrets_are_the_same() {
        let environment = Environment::default();
        let settings = Settings::load(None, &environment).unwrap();
        let clients = Clients::read(&settings, &environment, None);
        let mut kept = None;
        let mut scrubber = |key: &str, other: &str| {
            let labelled = |text: &str, label: &str| vec![(Secret::new(text), label.to_owned())];
            Secrets {
                keys: labelled(key, "KEY"),
                clients: Arc::clone(&clients),
                others: labelled(other, "OTHER"),
            }
            .scrubber(&mut kept)
        };
        let first = scrubber("provider-key", "variable");
        assert!(Arc::ptr_eq(&first, &scrubber("provider-key", "variable")));
        let second = scrubber("provider-key", "another variable");
        assert_eq!(second.scrub("another variable"), "[OTHER]");
        let third = scrubber("new-provider-key", "another variable");
        assert_eq!(third.scrub("new-provider-key"), "[KEY]");
        let clients = Clients::read(&settings, &environment, None);
        let secrets = Secrets {
            keys: Vec::new(),
            clients,
            others: Vec::new(),
        };
        assert!(!Arc::ptr_eq(&third, &secrets.scrubber(&mut kept)));
    }
}
