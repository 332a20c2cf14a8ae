//! What must hold whatever the bytes are. The fuzz targets run these over what they invent, and the suite over the
//! seeds, so that they cannot rot where there is no nightly compiler.
#![allow(
    dead_code,
    reason = "each target is a binary of its own and runs one of them"
)]

use bytes::{Bytes, BytesMut};
use model_proxy::convert::pair::{self, StreamConverter};
use model_proxy::convert::{ReplyContext, Target};
use model_proxy::protocol::raw::RawObject;
use model_proxy::protocol::sse::{Decoder, Event, LINE_LIMIT, TooLong};
use model_proxy::protocol::{Protocol, Rewrite, StreamReader, Verdict};

#[path = "../src/convert/answer_tests/clients.rs"]
mod clients;

const PROTOCOLS: [Protocol; 2] = [Protocol::OpenAi, Protocol::Anthropic];

/// However a stream is cut into chunks, the same events come out, and nothing is lost or added.
///
/// The input: the limit of an event (0 is the real one), how many cuts, the length of each chunk, the stream.
pub(crate) fn sse(data: &[u8]) {
    let Some((&[limit, cuts], rest)) = data.split_first_chunk() else {
        return;
    };
    let (cuts, stream) = rest.split_at(usize::from(cuts).min(rest.len()));
    let limit = if limit == 0 {
        LINE_LIMIT
    } else {
        usize::from(limit)
    };
    let whole = events([stream], limit);
    let mut left = stream;
    let mut chunks = Vec::new();
    for cut in cuts {
        let (chunk, later) = left.split_at(usize::from(*cut).min(left.len()));
        chunks.push(chunk);
        left = later;
    }
    chunks.push(left);
    assert_eq!(events(chunks, limit), whole, "cut elsewhere");
    assert_eq!(events(stream.chunks(1), limit), whole, "cut everywhere");

    let (found, fault) = whole;
    for event in &found {
        assert_eq!(Event::parse(event.raw.clone()), *event, "read again");
    }
    let words = |bytes: &[u8]| -> Vec<u8> {
        let kept = bytes.iter().filter(|byte| !matches!(byte, b'\r' | b'\n'));
        kept.copied().collect()
    };
    let raw: Vec<u8> = found.iter().flat_map(|event| words(&event.raw)).collect();
    let stream = words(stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream));
    assert!(stream.starts_with(&raw), "something was lost or added");
    let rest = stream.get(raw.len()..).unwrap_or_default();
    if fault.is_none() && !rest.is_empty() {
        // What has no blank line at the end counts only if it holds data. Half a byte order mark is no event yet.
        assert!(rest.len() <= limit || b"\xef\xbb\xbf".starts_with(rest));
    }
}

fn events<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> (Vec<Event>, Option<TooLong>) {
    let mut decoder = Decoder::new(limit);
    let mut found = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        loop {
            match decoder.next() {
                Ok(Some(event)) => found.push(event),
                Ok(None) => break,
                Err(fault) => return (found, Some(fault)),
            }
        }
    }
    found.extend(decoder.finish());
    (found, None)
}

/// See [`request`].
pub(crate) fn openai_request(data: &[u8]) {
    request(Protocol::OpenAi, data);
}

/// See [`request`].
pub(crate) fn anthropic_request(data: &[u8]) {
    request(Protocol::Anthropic, data);
}

/// What a client sends is refused, or goes up as it is, or becomes a request of either protocol that can be read.
fn request(from: Protocol, data: &[u8]) {
    let Ok(body) = RawObject::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    if let Ok(head) = from.read_request(&body) {
        let rewrite = Rewrite {
            model: "other",
            stream: Some(true),
            ask_usage: true,
            defaults: &[],
        };
        let sent =
            RawObject::parse(from.rewrite(&body, &head, &rewrite).join()).expect("rewritten");
        let sent = from.read_request(&sent).expect("still a request");
        assert_eq!((sent.model.as_str(), sent.stream), ("other", true));
        assert_eq!(sent.messages, head.messages);
        assert_eq!(sent.answer_limit, head.answer_limit);
    }
    let Ok(conversation) = pair::decode_request(from, &body) else {
        return;
    };
    for to in PROTOCOLS {
        let target = Target {
            model: "other",
            stream: conversation.stream,
            ask_usage: conversation.include_usage,
            defaults: &[],
            default_max_tokens: 4096,
            wants_max_completion_tokens: false,
            reasoning: Default::default(),
        };
        let encoded = pair::encode_request(to, &conversation, &target);
        let read = RawObject::parse(encoded.body.clone()).expect("not JSON");
        if let Err(error) = pair::decode_request(to, &read) {
            panic!("{from:?} to {to:?}: {error}: {}", shown(&encoded.body));
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whatever an upstream streams, the client sees a legal order of events, up to where the stream breaks.
pub(crate) fn streams(data: &[u8]) {
    for from in PROTOCOLS {
        for (to, include_usage) in [
            (Protocol::OpenAi, false),
            (Protocol::OpenAi, true),
            (Protocol::Anthropic, true),
        ] {
            let (out, complete) = converted(data, from, to, include_usage);
            let read = match to {
                Protocol::OpenAi => clients::openai(&out, include_usage),
                Protocol::Anthropic => clients::anthropic(&out),
            };
            if let Err(fault) = read
                && (complete || !ENDS_MISSING.contains(&fault.as_str()))
            {
                panic!("{from:?} to {to:?}: {fault}\n{}", shown(&out));
            }
        }
    }
}

/// What the client's reader finds of a stream that broke, where an error event follows.
const ENDS_MISSING: [&str; 2] = ["no [DONE]", "no message_stop"];

/// What a client gets of a stream, by the rules of the relay, and whether it is complete.
fn converted(data: &[u8], from: Protocol, to: Protocol, include_usage: bool) -> (BytesMut, bool) {
    let context = ReplyContext {
        now: 1_700_000_000,
        fallback_id: "fallback".to_owned(),
        memo: Default::default(),
        keeps_id: false,
    };
    let mut converter = StreamConverter::new(from, to, context, include_usage);
    let mut reader = StreamReader::new(from, 1);
    let mut out = BytesMut::new();
    for event in events([data], LINE_LIMIT).0 {
        match reader.read(&event).verdict {
            Verdict::Drop | Verdict::Comment => {}
            Verdict::Error(_) => return (out, false),
            Verdict::End if !reader.complete() => return (out, false),
            Verdict::End => {
                converter.convert(&event, &mut out);
                converter.finish(&mut out);
                return (out, true);
            }
            Verdict::Pass | Verdict::UsageOnly => converter.convert(&event, &mut out),
        }
    }
    if reader.complete() {
        converter.finish(&mut out);
    }
    (out, reader.complete())
}

/// An edit changes its member and no other byte.
pub(crate) fn raw(data: &[u8]) {
    let Ok(body) = RawObject::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    assert_eq!(body.edit().finish(), body.source(), "nothing was changed");
    for name in ["model", "a", "é\"\n"] {
        let mut edit = body.edit();
        edit.set(name, "[1]");
        edit.set("b", "2");
        edit.set("b", "3");
        let changed = RawObject::parse(edit.finish()).expect("edited");
        assert_eq!(
            (changed.get(name), changed.get("b")),
            (Some("[1]"), Some("3"))
        );
        let last = |found: &str| body.members().filter(|(known, _)| *known == found).count();
        let others = |body: &RawObject| -> Vec<(String, String)> {
            let mut seen = [last(name), last("b")];
            let mut kept = Vec::new();
            for (found, value) in body.members() {
                // Of several members of a name the last is the one that is edited.
                let edited = [name, "b"].iter().position(|edited| *edited == found);
                let is_last = edited
                    .and_then(|edited| seen.get_mut(edited))
                    .is_some_and(|left| {
                        *left = left.saturating_sub(1);
                        *left == 0
                    });
                if !is_last {
                    kept.push((found.to_owned(), value.to_owned()));
                }
            }
            kept
        };
        assert_eq!(
            others(&changed),
            others(&body),
            "another member was changed"
        );
        let mut edit = body.edit();
        edit.set_in(name, "c", "4");
        RawObject::parse(edit.finish()).expect("edited inside");
    }
}
