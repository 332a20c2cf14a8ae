//! Upstream addresses: what a base must look like, and how a path is put behind it.

/// Whether a base address can be called: `http://` or `https://`, a host, perhaps a port and a path.
pub(crate) fn check_base(address: &str) -> Result<(), &'static str> {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .ok_or("must begin with http:// or https://")?;
    if !address.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must not hold spaces or characters outside ASCII");
    }
    if address.contains(['?', '#']) {
        return Err("must not hold `?` or `#`; a query belongs into endpoints.completions");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside the brackets of an IPv6 address.
        Some(_) if authority.ends_with(']') => (authority, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err("names no host");
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err("has a port that is not a number up to 65535");
    }
    Ok(())
}

/// Base and path with exactly one slash between them; `{model}` in the path is the upstream's name of the model.
pub(crate) fn join(base: &str, path: &str, model: &str) -> String {
    let base = base.trim_end_matches('/');
    let path = path.trim_start_matches('/');
    if path.contains("{model}") {
        format!("{base}/{}", path.replace("{model}", &escape(model)))
    } else {
        format!("{base}/{path}")
    }
}

/// Where an upstream counts the tokens of what goes to this address of Anthropic messages, its query kept; `None` if the
/// address does not end as those do.
pub(crate) fn count_tokens(messages: &str) -> Option<String> {
    let (path, query) = match messages.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (messages, None),
    };
    let path = path.trim_end_matches('/');
    path.ends_with("/messages").then(|| match query {
        Some(query) => format!("{path}/count_tokens?{query}"),
        None => format!("{path}/count_tokens"),
    })
}

/// Percent-encodes what may not stand in a path segment.
fn escape(segment: &str) -> String {
    let mut escaped = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_called_pass() {
        for address in [
            "https://api.openai.com/v1",
            "http://127.0.0.1:8080",
            "http://[::1]/v1/",
            "http://[::1]:8080/v1",
            "https://user:word@host/x",
        ] {
            assert_eq!(check_base(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_called_are_refused() {
        for address in [
            "api.openai.com/v1",
            "ftp://host",
            "http://",
            "http:///v1",
            "http://:80",
            "http://user@/v1",
            "http://host:port",
            "http://host:70000",
            "http://ho st",
            "http://hóst",
            "https://host/v1?key=1",
        ] {
            assert!(check_base(address).is_err(), "{address}");
        }
    }

    #[test]
    fn base_and_path_are_joined_by_one_slash() {
        for (base, path) in [
            ("http://h/v1", "/chat"),
            ("http://h/v1/", "chat"),
            ("http://h/v1/", "/chat"),
        ] {
            assert_eq!(join(base, path, "m"), "http://h/v1/chat");
        }
    }

    #[test]
    fn tokens_are_counted_below_the_address_of_messages() {
        for (messages, counting) in [
            (
                "https://h/v1/messages",
                Some("https://h/v1/messages/count_tokens"),
            ),
            (
                "https://h/v1/messages/",
                Some("https://h/v1/messages/count_tokens"),
            ),
            (
                "https://h/a/messages?v=1&w=/",
                Some("https://h/a/messages/count_tokens?v=1&w=/"),
            ),
            ("https://h/models/claude:rawPredict", None),
            ("https://h/chat?to=/messages", None),
        ] {
            assert_eq!(count_tokens(messages).as_deref(), counting, "{messages}");
        }
    }

    #[test]
    fn the_models_name_goes_into_the_path_escaped() {
        assert_eq!(
            join("https://h", "/deployments/{model}/chat?v=1", "a/b c"),
            "https://h/deployments/a%2Fb%20c/chat?v=1"
        );
    }
}
