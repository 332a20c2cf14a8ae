//! Provider keys out of the environment: which variables a pattern names, and the keys of one provider, each value once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use super::catalog::{Finding, ProviderKey};
use super::environment::Environment;
use super::provider::is_header_value;
use crate::secret::{Digest, Secret};

/// Patterns of a provider whose file names none.
pub(crate) const USUAL_PATTERNS: [&str; 2] = ["{PROVIDER}_API_KEY", "{PROVIDER}_API_KEY_{INDEX}"];

const PROVIDER: &str = "{PROVIDER}";
const INDEX: &str = "{INDEX}";

/// Whether a pattern can name a variable at all.
pub(crate) fn check(pattern: &str) -> Result<(), &'static str> {
    if pattern.matches(INDEX).count() > 1 {
        return Err("has {INDEX} more than once");
    }
    let plain = pattern.replace(PROVIDER, "").replace(INDEX, "");
    if pattern.is_empty()
        || plain.contains(['{', '}', '=', '$'])
        || plain.contains(char::is_whitespace)
    {
        return Err("is not the name of a variable; placeholders are {PROVIDER} and {INDEX}");
    }
    Ok(())
}

/// The name of a provider in variables: upper case, every other character `_`.
pub(crate) fn provider_in_variables(provider: &str) -> String {
    provider
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// The variable to set for the first key by a pattern.
pub(crate) fn first_variable(pattern: &str, provider: &str) -> String {
    pattern
        .replace(PROVIDER, &provider_in_variables(provider))
        .replace(INDEX, "1")
}

/// The set variables that a pattern names; those with an index by its number.
pub(crate) fn variables<'environment>(
    pattern: &str,
    provider: &str,
    environment: &'environment Environment,
) -> Vec<(&'environment str, &'environment str)> {
    let pattern = pattern.replace(PROVIDER, &provider_in_variables(provider));
    let Some((before, after)) = pattern.split_once(INDEX) else {
        return environment.entry(&pattern).into_iter().collect();
    };
    let mut found: Vec<_> = environment
        .iter()
        .filter_map(|(name, value)| {
            let index = name.strip_prefix(before)?.strip_suffix(after)?;
            let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then_some((index, name, value))
        })
        .collect();
    // Numbers of any length: without leading zeros the longer one is greater, equally long ones compare as text.
    found.sort_by_key(|(index, _, _)| {
        let number = index.trim_start_matches('0');
        (number.len(), number, index.len())
    });
    found
        .into_iter()
        .map(|(_, name, value)| (name, value))
        .collect()
}

/// The keys of one provider, as its patterns and its routes ask for them.
#[derive(Debug)]
pub(crate) struct KeyChain<'environment> {
    provider: String,
    environment: &'environment Environment,
    keys: IndexMap<Digest, Arc<ProviderKey>>,
    lists: HashMap<Vec<String>, Arc<[Arc<ProviderKey>]>>,
    warnings: Vec<Finding>,
}

impl<'environment> KeyChain<'environment> {
    /// A chain without keys.
    pub(crate) fn new(provider: &str, environment: &'environment Environment) -> Self {
        Self {
            provider: provider.to_owned(),
            environment,
            keys: IndexMap::new(),
            lists: HashMap::new(),
            warnings: Vec::new(),
        }
    }

    /// The keys that these patterns find, in their order. A value found under two names is one key, called by the first.
    pub(crate) fn keys(&mut self, patterns: &[String]) -> Arc<[Arc<ProviderKey>]> {
        if let Some(list) = self.lists.get(patterns) {
            return Arc::clone(list);
        }
        let mut list = IndexMap::new();
        for pattern in patterns {
            for (name, value) in variables(pattern, &self.provider, self.environment) {
                if let Some(key) = self.key(name, value.trim()) {
                    list.insert(key.digest, key);
                }
            }
        }
        let list: Arc<[Arc<ProviderKey>]> = list.into_values().collect();
        self.lists.insert(patterns.to_vec(), Arc::clone(&list));
        list
    }

    fn key(&mut self, name: &str, value: &str) -> Option<Arc<ProviderKey>> {
        if value.is_empty() {
            return None;
        }
        if !is_header_value(value) {
            self.warnings.push(Finding {
                source: PathBuf::from(name),
                position: None,
                message:
                    "holds a character that no header can carry; the key is ignored: set it again"
                        .to_owned(),
            });
            return None;
        }
        let secret = Secret::new(value);
        let digest = secret.digest();
        let key = self.keys.entry(digest).or_insert_with(|| {
            Arc::new(ProviderKey {
                label: name.to_owned(),
                secret,
                digest,
            })
        });
        Some(Arc::clone(key))
    }

    /// Every key that was asked for, in the order of its first appearance.
    pub(crate) fn ring(&self) -> Arc<[Arc<ProviderKey>]> {
        self.keys.values().cloned().collect()
    }

    /// What is wrong with variables that were looked at.
    pub(crate) fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    fn usual() -> Vec<String> {
        USUAL_PATTERNS.map(str::to_owned).to_vec()
    }

    fn labels(keys: &[Arc<ProviderKey>]) -> Vec<&str> {
        keys.iter().map(|key| key.label.as_str()).collect()
    }

    #[test]
    fn numbered_keys_come_by_number_with_gaps_after_the_plain_one() {
        let environment = environment(&[
            ("OPENAI_API_KEY_10", "k10"),
            ("OPENAI_API_KEY_2", "k2"),
            ("OPENAI_API_KEY_007", "k7"),
            ("OPENAI_API_KEY_0", "k0"),
            ("OPENAI_API_KEY", "k"),
            ("OPENAI_API_KEY_X", "no"),
            ("OPENAI_API_KEY_", "no"),
            ("XOPENAI_API_KEY_1", "no"),
        ]);
        let mut chain = KeyChain::new("openai", &environment);
        assert_eq!(
            labels(&chain.keys(&usual())),
            [
                "OPENAI_API_KEY",
                "OPENAI_API_KEY_0",
                "OPENAI_API_KEY_2",
                "OPENAI_API_KEY_007",
                "OPENAI_API_KEY_10",
            ]
        );
    }

    #[test]
    fn a_value_found_twice_is_one_key_with_the_first_name() {
        let environment = environment(&[
            ("A_API_KEY", "same"),
            ("A_API_KEY_1", "same"),
            ("A_API_KEY_2", " other\n"),
            ("A_API_KEY_3", "  "),
        ]);
        let mut chain = KeyChain::new("a", &environment);
        let keys = chain.keys(&usual());
        assert_eq!(labels(&keys), ["A_API_KEY", "A_API_KEY_2"]);
        assert_eq!(keys[1].secret.expose(), "other");
    }

    #[test]
    fn keys_that_only_routes_name_join_the_ring_behind() {
        let environment = environment(&[("A_API_KEY", "k1"), ("SPECIAL", "k2"), ("ALIAS", "k1")]);
        let mut chain = KeyChain::new("a", &environment);
        chain.keys(&usual());
        let route = chain.keys(&["SPECIAL".to_owned(), "ALIAS".to_owned(), "UNSET".to_owned()]);
        assert_eq!(labels(&route), ["SPECIAL", "A_API_KEY"]);
        assert_eq!(labels(&chain.ring()), ["A_API_KEY", "SPECIAL"]);
        assert_eq!(chain.warnings(), []);
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_ignored_with_a_warning_that_does_not_show_it() {
        let environment = environment(&[("A_API_KEY", "sk-ä")]);
        let mut chain = KeyChain::new("a", &environment);
        assert!(chain.keys(&usual()).is_empty());
        let warning = chain.warnings()[0].to_string();
        assert!(warning.starts_with("A_API_KEY: holds a character"));
        assert!(!warning.contains("sk-"));
    }

    #[test]
    fn a_providers_name_becomes_the_name_of_a_variable() {
        assert_eq!(provider_in_variables("my-llm.v2"), "MY_LLM_V2");
    }

    #[test]
    fn patterns_that_name_no_variable_are_refused() {
        assert_eq!(check("{PROVIDER}_KEY_{INDEX}_X"), Ok(()));
        for pattern in ["", "{INDEX}_{INDEX}", "{MODEL}_KEY", "MY KEY", "${KEY}"] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_found_once_and_in_order(mut numbers in prop::collection::btree_set(0_u64..100_000, 0..20)) {
            let environment: Environment = numbers
                .iter()
                .map(|number| (format!("P_{number}_KEY"), format!("value-{number}")))
                .collect();
            let found = variables("{PROVIDER}_{INDEX}_KEY", "p", &environment);
            let found: Vec<u64> = found
                .iter()
                .map(|(_, value)| value.strip_prefix("value-").unwrap().parse().unwrap())
                .collect();
            let expected: Vec<u64> = std::iter::from_fn(|| numbers.pop_first()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
