//! The members of a provider file that say how it is reached: `api_keys`, `endpoints`, `proxy_support`, `authentication`.

use super::{Authentication, Endpoints};
use crate::config::address;
use crate::config::document::{Members, Node};
use crate::config::keys;
use crate::config::nearest::hint;
use crate::config::report::Report;
use crate::protocol::Protocol;

/// Headers that belong to the connection or to the body, hence to us.
const OUR_HEADERS: [&str; 7] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
];

/// Members of `endpoints` that are easily put beside it.
pub(super) const ENDPOINT_MEMBERS: [&str; 4] =
    ["base_url", "compatible_format", "completions", "streaming"];

/// `api_keys.env_var_patterns`, else the README's `api_key_env_patterns`, else the singular leftover, else the usual two.
pub(super) fn key_patterns(members: &mut Members<'_>, report: &mut Report) -> Vec<String> {
    let mut patterns = None;
    if let Some(mut api_keys) = members.object("api_keys", report) {
        let singular = api_keys.take("env_var_pattern");
        patterns = api_keys.take("env_var_patterns").or(singular);
    }
    let readme = members.take("api_key_env_patterns");
    let mut found = Vec::new();
    if let Some(node) = patterns.or(readme) {
        found = node.strings(report).unwrap_or_default();
        for pattern in &found {
            if let Err(wrong) = keys::check(pattern) {
                node.fault(&format!("holds `{pattern}`, which {wrong}"), report);
            }
        }
    }
    if found.is_empty() {
        found.extend(keys::USUAL_PATTERNS.map(str::to_owned));
    }
    found
}

/// `endpoints` and `proxy_support`.
pub(super) fn endpoints(members: &mut Members<'_>, report: &mut Report) -> Option<Endpoints> {
    let base_url_override = proxy_override(members, report);
    let mut endpoints = members.require("endpoints", report)?.members(report)?;
    let protocol = compatible_format(&mut endpoints, report);
    let completions = endpoints.text("completions", report);
    let streaming = endpoints.text("streaming", report);
    let base_url = endpoints.require("base_url", report)?;
    Some(Endpoints {
        base_url: base_address(&base_url, report)?,
        base_url_override,
        completions,
        streaming,
        protocol,
    })
}

fn proxy_override(members: &mut Members<'_>, report: &mut Report) -> Option<String> {
    let mut proxy = members.object("proxy_support", report)?;
    let enabled = proxy.boolean("enabled", report).unwrap_or(false);
    let address = base_address(&proxy.take("base_url_override")?, report);
    address.filter(|_| enabled)
}

/// An address in front of paths; an empty one is absent. One with `${VAR}` can only be judged when the variable is known.
pub(crate) fn base_address(node: &Node<'_>, report: &mut Report) -> Option<String> {
    let address = node.text(report)?;
    if !address.contains("${")
        && let Err(wrong) = address::check_base(&address)
    {
        node.fault(wrong, report);
    }
    Some(address)
}

fn compatible_format(endpoints: &mut Members<'_>, report: &mut Report) -> Protocol {
    let Some(node) = endpoints.take("compatible_format") else {
        return Protocol::OpenAi;
    };
    let format = node.text(report).unwrap_or_default().to_ascii_lowercase();
    match format.as_str() {
        "anthropic" => Protocol::Anthropic,
        "" | "openai" | "azure" | "native" => Protocol::OpenAi,
        other => {
            let hint = hint(other, ["openai", "anthropic"]);
            node.warning(&format!("is not known and taken as `openai`{hint}"), report);
            Protocol::OpenAi
        }
    }
}

/// `authentication`; what is missing is as the protocol's own API has it.
pub(super) fn authentication(
    members: &mut Members<'_>,
    protocol: Protocol,
    report: &mut Report,
) -> Authentication {
    let (usual_header, usual_format) = match protocol {
        Protocol::OpenAi => ("authorization", "Bearer {api_key}"),
        Protocol::Anthropic => ("x-api-key", "{api_key}"),
    };
    let mut authentication = Authentication {
        header: usual_header.to_owned(),
        format: usual_format.to_owned(),
        headers: Vec::new(),
    };
    let Some(mut section) = members.object("authentication", report) else {
        return authentication;
    };
    if let Some(name) = header_name(&mut section, report) {
        authentication.header = name;
        // The original's default: a file that names its header and no format means the bare key.
        "{api_key}".clone_into(&mut authentication.format);
    }
    if let Some(format) = header_format(&mut section, report) {
        authentication.format = format;
    }
    if let Some(headers) = section.object("additional_headers", report) {
        authentication.headers = additional_headers(headers, &authentication.header, report);
    }
    authentication
}

fn header_name(section: &mut Members<'_>, report: &mut Report) -> Option<String> {
    let node = section.take("header_name")?;
    let name = node.text(report)?;
    if !is_header_name(&name) {
        node.fault("is not the name of a header", report);
    }
    Some(name.to_ascii_lowercase())
}

fn header_format(section: &mut Members<'_>, report: &mut Report) -> Option<String> {
    let node = section.take("header_format")?;
    let format = node.text(report)?;
    if !is_header_value(&format) {
        node.fault("holds a character that no header can carry", report);
    }
    if !format.contains("{api_key}") {
        node.warning("does not hold `{api_key}`, so no key is ever sent", report);
    }
    Some(format)
}

fn additional_headers(
    headers: Members<'_>,
    key_header: &str,
    report: &mut Report,
) -> Vec<(String, String)> {
    let mut read = Vec::new();
    for (name, node) in headers.all() {
        let Some(value) = node.string(report) else {
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        if !is_header_name(&name) {
            node.fault("has a name that no header can have", report);
        } else if !value.contains("${") && !is_header_value(&value) {
            node.fault("holds a character that no header can carry", report);
        } else if name == key_header {
            node.warning("is ignored: this header carries the key", report);
        } else if !OUR_HEADERS.contains(&name.as_str()) {
            read.push((name, value));
        }
    }
    read
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Visible ASCII and spaces: what every server takes.
pub(crate) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
