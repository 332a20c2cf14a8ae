//! Which session of its client a request belongs to, from the headers and members in which clients tell it. What they tell
//! is kept as a digest only.

use std::borrow::Cow;

use actix_web::http::header::HeaderMap;

use crate::config::catalog::Client;
use crate::protocol::json;
use crate::protocol::raw::RawObject;
use crate::routing::affinity::Session;

/// Where a request may tell its session.
enum Place {
    Header(&'static str),
    Member(&'static str),
    /// A member of `metadata`.
    Metadata(&'static str),
}

/// The first of these that is there counts: those that mean a conversation before those that mean a user.
const PLACES: [Place; 12] = [
    // Claude Code; its `metadata.user_id` holds the same id.
    Place::Header("x-claude-code-session-id"),
    Place::Metadata("user_id"),
    // Codex.
    Place::Header("session-id"),
    Place::Header("session_id"),
    Place::Header("x-session-id"),
    // opencode.
    Place::Header("x-session-affinity"),
    Place::Member("session_id"),
    Place::Member("prompt_cache_key"),
    Place::Member("conversation"),
    Place::Member("conversation_id"),
    Place::Member("user"),
    // Last, since to some clients it means the single request.
    Place::Header("x-client-request-id"),
];

/// The session that a request tells, if it tells one.
pub(super) fn of(client: &Client, headers: &HeaderMap, body: &RawObject) -> Option<Session> {
    let name = PLACES.iter().find_map(|place| match place {
        Place::Header(name) => {
            let value = headers.get(*name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        }
        Place::Member(name) => text(body.get(name)?),
        Place::Metadata(name) => text(&member(body.get("metadata")?, name)?),
    })?;
    Some(Session::new(&client.digest, &name))
}

/// A string's text; of everything else that says something, what stands there.
fn text(value: &str) -> Option<String> {
    if json::is_empty(value) || matches!(value, "true" | "0") {
        return None;
    }
    Some(json::lossy_string(value).map_or_else(|| value.to_owned(), Cow::into_owned))
}

/// The value of a member of an object, as it stands there.
fn member(object: &str, name: &str) -> Option<String> {
    let mut found = None;
    let visit = |key: Cow<'_, str>, value: &str| {
        if key == name {
            found = Some(value.to_owned());
        }
    };
    json::members(object, visit).ok()?;
    found
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use bytes::Bytes;

    use super::*;
    use crate::config::catalog::Limits;

    fn told(headers: &[(&'static str, &str)], body: &'static str) -> Option<Session> {
        let client = Client {
            name: "client-1".to_owned(),
            digest: [1; 32],
            limits: Limits::default(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            map.insert(HeaderName::from_static(name), value);
        }
        let body = RawObject::parse(Bytes::from_static(body.as_bytes())).unwrap();
        of(&client, &map, &body)
    }

    fn named(name: &str) -> Option<Session> {
        Some(Session::new(&[1; 32], name))
    }

    #[test]
    fn each_place_tells_the_session() {
        for header in [
            "x-claude-code-session-id",
            "session-id",
            "session_id",
            "x-session-id",
            "x-session-affinity",
            "x-client-request-id",
        ] {
            assert_eq!(told(&[(header, " s-1 ")], "{}"), named("s-1"), "{header}");
        }
        for body in [
            r#"{"session_id": "s-1"}"#,
            r#"{"prompt_cache_key": "s-1"}"#,
            r#"{"conversation": "s-1"}"#,
            r#"{"conversation_id": "s\u002d1"}"#,
            r#"{"user": "s-1"}"#,
            r#"{"metadata": {"a": 1, "user_id": "s-1"}}"#,
        ] {
            assert_eq!(told(&[], body), named("s-1"), "{body}");
        }
        let conversation = r#"{"conversation": {"id": "s-1"}}"#;
        assert_eq!(told(&[], conversation), named(r#"{"id": "s-1"}"#));
    }

    #[test]
    fn a_conversation_is_preferred_to_a_user_and_both_to_a_single_request() {
        let body = r#"{"user": "u", "prompt_cache_key": "cache"}"#;
        assert_eq!(told(&[("x-client-request-id", "r")], body), named("cache"));
        assert_eq!(told(&[("x-session-id", "s")], body), named("s"));
        let body = r#"{"user": "u"}"#;
        assert_eq!(told(&[("x-client-request-id", "r")], body), named("u"));
    }

    #[test]
    fn what_says_nothing_is_passed_over() {
        assert_eq!(told(&[], r#"{"messages": []}"#), None);
        let body = r#"{"metadata": null, "session_id": "", "user": null, "prompt_cache_key": "c"}"#;
        assert_eq!(told(&[("x-session-id", "  ")], body), named("c"));
        assert_eq!(told(&[], r#"{"metadata": "text", "user": {}}"#), None);
    }
}
