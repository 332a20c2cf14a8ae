//! `${VAR}` in addresses and header values. What a variable puts into a text may be a secret and is remembered as one.

use std::collections::BTreeMap;

use super::environment::Environment;

/// The text with every `${VAR}` replaced, or the name of the first variable that is not set. Each used variable goes into
/// `used` with its value.
pub(crate) fn expand(
    text: &str,
    environment: &Environment,
    used: &mut BTreeMap<String, String>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        // Without its closing brace it is ordinary text.
        let Some((name, behind)) = after.split_once('}') else {
            break;
        };
        let value = environment.get(name).ok_or_else(|| name.to_owned())?;
        used.insert(name.to_owned(), value.to_owned());
        expanded.push_str(before);
        expanded.push_str(value);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment() -> Environment {
        [("ACCOUNT", "a1"), ("NAME", "n${ACCOUNT}")]
            .into_iter()
            .collect()
    }

    #[test]
    fn variables_are_replaced_once_and_remembered() {
        let mut used = BTreeMap::new();
        let expanded = expand("https://${ACCOUNT}/${NAME}/x", &environment(), &mut used);
        assert_eq!(expanded.as_deref(), Ok("https://a1/n${ACCOUNT}/x"));
        assert_eq!(used.len(), 2);
    }

    #[test]
    fn an_unset_variable_is_named() {
        let expanded = expand("${ACCOUNT}${UNSET}", &environment(), &mut BTreeMap::new());
        assert_eq!(expanded, Err("UNSET".to_owned()));
    }

    #[test]
    fn a_dollar_alone_and_an_open_brace_are_text() {
        for text in ["$ACCOUNT", "a$", "${ACCOUNT", "$${"] {
            assert_eq!(
                expand(text, &environment(), &mut BTreeMap::new()).as_deref(),
                Ok(text)
            );
        }
    }

    proptest! {
        #[test]
        fn text_without_variables_stays_as_it_is(text in "[^$]{0,40}") {
            prop_assert_eq!(expand(&text, &environment(), &mut BTreeMap::new()), Ok(text.clone()));
        }
    }
}
