//! What holds for every answer: streams are legal, say what the whole answer says, and do not depend on how they were
//! cut.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::clients;
use super::upstreams::{self, Habits, UsageHabit};
use crate::conversation::{Block, BlockStart, Delta, Event, Json, Reply, StopReason, Usage};
use crate::convert::memo::Memo;
use crate::convert::{ReplyContext, anthropic, openai};
use crate::protocol::sse;

pub(super) fn context() -> ReplyContext {
    ReplyContext {
        now: 1_700_000_000,
        fallback_id: "fallback".to_owned(),
        memo: Memo::default(),
        keeps_id: false,
    }
}

fn words() -> impl Strategy<Value = String> {
    "[a-z \\n\"\\\\é😀\u{2028}]{1,12}"
}

fn object() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        words().prop_map(|text| json!({"path": text, "list": [1, {"a": "}"}]}).to_string()),
        words().prop_map(|text| format!("{{ \"a\" : {} }}", json!(text))),
    ]
}

fn call(arguments: impl Strategy<Value = String>) -> impl Strategy<Value = Block> {
    ("[a-zA-Z0-9_.:-]{3,9}", "[a-z_]{1,8}", arguments).prop_map(|(id, name, arguments)| {
        Block::ToolCall {
            id,
            name,
            arguments,
            cache: None,
        }
    })
}

fn text() -> impl Strategy<Value = Block> {
    words().prop_map(|text| Block::Text {
        text,
        cache: None,
        citations: None,
    })
}

fn usage() -> impl Strategy<Value = Usage> {
    (0..1000u64, 0..1000u64, 0..1000u64, 1..1000u64, 0..9u64).prop_map(
        |(fresh, read, write, output, reasoning)| Usage {
            input: fresh + read + write,
            cache_read: read,
            cache_write: write,
            output,
            reasoning,
        },
    )
}

fn reply(id: &'static str, blocks: Vec<Block>, stop: StopReason, usage: Option<Usage>) -> Reply {
    let calls = blocks
        .iter()
        .any(|block| matches!(block, Block::ToolCall { .. }));
    Reply {
        id: id.to_owned(),
        model: "model-1".to_owned(),
        created: Some(1_600_000_000),
        blocks,
        stop: stop.with_calls(calls),
        usage,
    }
}

/// Call ids are told apart by their place, as an upstream's are.
fn with_unique_ids(mut blocks: Vec<Block>) -> Vec<Block> {
    for (position, block) in blocks.iter_mut().enumerate() {
        if let Block::ToolCall { id, .. } = block {
            id.push_str(&format!("-{position}"));
        }
    }
    blocks
}

/// What OpenAI upstreams can say.
fn openai_reply() -> impl Strategy<Value = Reply> {
    let thinking = words().prop_map(|text| Block::Thinking {
        text,
        signature: None,
    });
    let arguments = prop_oneof![
        8 => object(),
        1 => Just(String::new()),
        1 => Just("null".to_owned()),
        1 => Just("[1, 2]".to_owned()),
        1 => Just("say \"hi\"".to_owned()),
        1 => Just("{\"cut\": \"he".to_owned()),
    ];
    let stop = select(vec![
        StopReason::EndTurn,
        StopReason::MaxTokens,
        StopReason::ContentFilter,
    ]);
    (
        proptest::option::of(thinking),
        proptest::option::of(text()),
        proptest::collection::vec(call(arguments), 0..4),
        stop,
        proptest::option::of(usage()),
    )
        .prop_map(|(thinking, text, calls, stop, usage)| {
            let blocks = thinking.into_iter().chain(text).chain(calls).collect();
            reply("chatcmpl-1", with_unique_ids(blocks), stop, usage)
        })
}

/// What Anthropic upstreams can say.
fn anthropic_reply() -> impl Strategy<Value = Reply> {
    let thinking = (words(), "[a-z]{0,4}").prop_map(|(text, signature)| Block::Thinking {
        text,
        signature: Some(signature).filter(|signature| !signature.is_empty()),
    });
    let redacted = words().prop_map(Block::RedactedThinking);
    let block = prop_oneof![text(), thinking, redacted, call(object())];
    let stop = select(vec![
        StopReason::EndTurn,
        StopReason::MaxTokens,
        StopReason::StopSequence(Some("END".to_owned())),
        StopReason::PauseTurn,
        StopReason::Refusal,
        StopReason::ContextWindow,
    ]);
    (proptest::collection::vec(block, 0..6), stop, usage()).prop_map(|(blocks, stop, usage)| {
        reply("msg_1", with_unique_ids(blocks), stop, Some(usage))
    })
}

fn habits() -> impl Strategy<Value = Habits> {
    let usage = select(vec![
        UsageHabit::Never,
        UsageHabit::Every,
        UsageHabit::WithFinish,
        UsageHabit::Last,
    ]);
    let reasoning = select(vec!["reasoning_content", "reasoning"]);
    (
        proptest::collection::vec(1..5usize, 1..4),
        usage,
        reasoning,
        any::<[bool; 9]>(),
    )
        .prop_map(
            |(pieces, usage, reasoning, [a, b, c, d, e, f, g, h, i])| Habits {
                pieces,
                usage,
                reasoning,
                marks_end: a,
                pings: b,
                empty_deltas: c,
                mixes_calls: d,
                no_index: e,
                repeats: f,
                late_name: g,
                late_id: h,
                sloppy_finish: i,
            },
        )
}

/// The events of a stream that arrives in chunks.
fn cut(stream: &str, cuts: &[Index]) -> Vec<sse::Event> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    places.sort_unstable();
    places.push(stream.len());
    let mut decoder = sse::Decoder::new(sse::LINE_LIMIT);
    let mut events = Vec::new();
    let mut start = 0;
    for place in places {
        decoder.push(Bytes::copy_from_slice(&stream.as_bytes()[start..place]));
        while let Some(event) = decoder.next().unwrap() {
            events.push(event);
        }
        start = place;
    }
    events.extend(decoder.finish());
    events
}

pub(super) fn from_openai(stream: &str, cuts: &[Index]) -> Vec<Event> {
    let mut decoder = openai::stream::Decoder::new();
    let mut events = Vec::new();
    for event in cut(stream, cuts) {
        decoder.decode(&event, &mut events);
    }
    decoder.finish(&mut events);
    events
}

pub(super) fn from_anthropic(stream: &str, cuts: &[Index]) -> Vec<Event> {
    let mut decoder = anthropic::stream::Decoder::new();
    let mut events = Vec::new();
    for event in cut(stream, cuts) {
        decoder.decode(&event, &mut events);
    }
    decoder.finish(&mut events);
    events
}

pub(super) fn to_openai(events: &[Event], include_usage: bool) -> BytesMut {
    let mut encoder = openai::stream::Encoder::new(context(), include_usage);
    let mut out = BytesMut::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    out
}

pub(super) fn to_anthropic(events: &[Event]) -> BytesMut {
    let mut encoder = anthropic::stream::Encoder::new(context(), true);
    let mut out = BytesMut::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    out
}

/// A whole answer as it is compared with a stream: what a stream cannot tell apart is the same.
fn openai_whole(reply: &Reply) -> Value {
    let mut whole: Value =
        serde_json::from_slice(&openai::reply::encode(reply, &context()).body).unwrap();
    let content = &mut whole["choices"][0]["message"]["content"];
    if content == "" {
        *content = Value::Null;
    }
    whole
}

fn anthropic_whole(reply: &Reply) -> Value {
    serde_json::from_slice(&anthropic::reply::encode(reply, &context()).body).unwrap()
}

/// A reply as events: texts in pieces of `length` characters; a call stays open while `linger` says so, and its pieces
/// come between those of later blocks.
fn events_of(reply: &Reply, length: usize, linger: &[bool]) -> Vec<Event> {
    let pieces = |text: &str| -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        characters
            .chunks(length)
            .map(|piece| piece.iter().collect())
            .collect()
    };
    let mut events = vec![Event::Start {
        id: reply.id.clone(),
        model: reply.model.clone(),
        created: reply.created,
        usage: None,
    }];
    let mut later: Vec<(usize, Vec<Delta>)> = Vec::new();
    for (index, block) in reply.blocks.iter().enumerate() {
        let (start, mut deltas) = match block {
            Block::Text { text, .. } => (
                BlockStart::Text,
                pieces(text).into_iter().map(Delta::Text).collect(),
            ),
            Block::Refusal(text) => (
                BlockStart::Refusal,
                pieces(text).into_iter().map(Delta::Text).collect(),
            ),
            Block::Thinking { text, signature } => {
                let mut deltas: Vec<Delta> =
                    pieces(text).into_iter().map(Delta::Thinking).collect();
                deltas.extend(signature.clone().map(Delta::Signature));
                (BlockStart::Thinking, deltas)
            }
            Block::RedactedThinking(data) => {
                (BlockStart::RedactedThinking(data.clone()), Vec::new())
            }
            Block::ToolCall {
                id,
                name,
                arguments,
                ..
            } => {
                let (id, name) = (id.clone(), name.clone());
                let deltas = pieces(arguments)
                    .into_iter()
                    .map(Delta::Arguments)
                    .collect();
                (BlockStart::ToolCall { id, name }, deltas)
            }
            other => panic!("no {other:?} in answers"),
        };
        let is_call = matches!(start, BlockStart::ToolCall { .. });
        events.push(Event::BlockStart {
            index,
            block: start,
        });
        if is_call && linger.get(index).is_some_and(|linger| *linger) {
            later.push((index, deltas));
            continue;
        }
        for delta in deltas.drain(..) {
            events.push(Event::Delta { index, delta });
            for (index, deltas) in &mut later {
                if !deltas.is_empty() {
                    let (index, delta) = (*index, deltas.remove(0));
                    events.push(Event::Delta { index, delta });
                }
            }
        }
        events.push(Event::BlockStop { index });
    }
    for (index, deltas) in later {
        events.extend(
            deltas
                .into_iter()
                .map(|delta| Event::Delta { index, delta }),
        );
        events.push(Event::BlockStop { index });
    }
    events.push(Event::Stop(reply.stop.clone()));
    events.extend(reply.usage.map(Event::Usage));
    events.push(Event::End);
    events
}

fn any_event() -> impl Strategy<Value = Event> {
    let index = 0..4usize;
    let block = prop_oneof![
        Just(BlockStart::Text),
        Just(BlockStart::Refusal),
        Just(BlockStart::Thinking),
        Just(BlockStart::RedactedThinking("x".to_owned())),
        Just(BlockStart::Other("server_tool_use".to_owned())),
        "[a-c]?".prop_map(|id| BlockStart::ToolCall {
            id,
            name: "f".to_owned()
        }),
    ];
    let delta = prop_oneof![
        "[a-c]{1,3}".prop_map(Delta::Text),
        "[a-c]{1,3}".prop_map(Delta::Thinking),
        "[a-c]{1,3}".prop_map(Delta::Signature),
        "[{}\" a]{1,5}".prop_map(Delta::Arguments),
        Just(Delta::Citations(Json::new("[]"))),
    ];
    prop_oneof![
        1 => Just(Event::Start { id: "x".to_owned(), model: "m".to_owned(), created: None, usage: None }),
        6 => (index.clone(), block).prop_map(|(index, block)| Event::BlockStart { index, block }),
        8 => (index.clone(), delta).prop_map(|(index, delta)| Event::Delta { index, delta }),
        4 => index.prop_map(|index| Event::BlockStop { index }),
        1 => Just(Event::Ping),
        1 => usage().prop_map(Event::Usage),
        1 => Just(Event::Stop(StopReason::EndTurn)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_streamed_answer_says_what_the_whole_one_says(
        reply in prop_oneof![openai_reply(), anthropic_reply()],
        length in 1..6usize,
        linger: [bool; 8],
        include_usage: bool,
    ) {
        let events = events_of(&reply, length, &linger);
        let told = clients::anthropic(&to_anthropic(&events)).unwrap();
        prop_assert_eq!(told, anthropic_whole(&reply));
        let told = clients::openai(&to_openai(&events, include_usage), include_usage).unwrap();
        let mut whole = openai_whole(&reply);
        if !include_usage {
            whole.as_object_mut().unwrap().shift_remove("usage");
        }
        prop_assert_eq!(told, whole);
    }

    #[test]
    fn any_order_of_events_makes_a_legal_stream(mut events in proptest::collection::vec(any_event(), 0..30), include_usage: bool) {
        events.insert(0, Event::Start { id: "a".to_owned(), model: "m".to_owned(), created: Some(1), usage: None });
        events.push(Event::End);
        events.push(Event::Ping);
        clients::anthropic(&to_anthropic(&events)).unwrap();
        clients::openai(&to_openai(&events, include_usage), include_usage).unwrap();
    }

    #[test]
    fn a_completion_reaches_a_messages_client_however_it_is_streamed(
        mut reply in openai_reply(),
        mut habits in habits(),
        no_ids: bool,
        cuts: Vec<Index>,
    ) {
        if no_ids {
            // With neither id nor index nobody could tell two calls apart.
            habits.no_index = false;
            for block in &mut reply.blocks {
                if let Block::ToolCall { id, .. } = block {
                    id.clear();
                }
            }
        }
        let stream = upstreams::openai_stream(&reply, &habits);
        let events = from_openai(&stream, &cuts);
        let out = to_anthropic(&events);
        prop_assert_eq!(&out, &to_anthropic(&from_openai(&stream, &[])));
        if habits.usage == UsageHabit::Never {
            reply.usage = None;
        }
        let body = upstreams::openai_body(&reply, habits.reasoning).to_string();
        let decoded = openai::reply::decode(body.as_bytes()).unwrap();
        prop_assert_eq!(&decoded, &reply);
        let told = clients::anthropic(&out).unwrap();
        prop_assert_eq!(told, anthropic_whole(&decoded));
    }

    #[test]
    fn a_message_reaches_a_completions_client_however_it_is_streamed(
        reply in anthropic_reply(),
        habits in habits(),
        cuts: Vec<Index>,
    ) {
        let stream = upstreams::anthropic_stream(&reply, &habits);
        let events = from_anthropic(&stream, &cuts);
        let out = to_openai(&events, true);
        prop_assert_eq!(&out, &to_openai(&from_anthropic(&stream, &[]), true));
        let body = upstreams::anthropic_body(&reply).to_string();
        let mut decoded = anthropic::reply::decode(body.as_bytes()).unwrap();
        let mut told = clients::openai(&out, true).unwrap();
        decoded.created = Some(1_700_000_000);
        let mut whole = openai_whole(&decoded);
        for completion in [&mut told, &mut whole] {
            compact_arguments(completion);
        }
        prop_assert_eq!(told, whole);
    }

    #[test]
    fn nothing_that_an_upstream_sends_makes_an_illegal_stream(chunks in proptest::collection::vec(any_json(), 0..12)) {
        let mut stream = String::new();
        for chunk in chunks {
            stream.push_str(&format!("data: {chunk}\n\n"));
        }
        let start = json!({"choices": [{"delta": {}}]});
        let events = from_openai(&format!("data: {start}\n\n{stream}"), &[]);
        clients::anthropic(&to_anthropic(&events)).unwrap();
        clients::openai(&to_openai(&events, true), true).unwrap();
        let start = json!({"type": "message_start"});
        let events = from_anthropic(&format!("data: {start}\n\n{stream}"), &[]);
        clients::anthropic(&to_anthropic(&events)).unwrap();
        clients::openai(&to_openai(&events, true), true).unwrap();
        let _ = openai::reply::decode(stream.as_bytes());
        let _ = anthropic::reply::decode(stream.as_bytes());
    }
}

/// White space in arguments depends on whether they came as text or as an object.
fn compact_arguments(completion: &mut Value) {
    let calls = completion.pointer_mut("/choices/0/message/tool_calls");
    for call in calls.and_then(Value::as_array_mut).into_iter().flatten() {
        let arguments = &mut call["function"]["arguments"];
        let object: Value = serde_json::from_str(arguments.as_str().unwrap()).unwrap();
        *arguments = json!(object.to_string());
    }
}

/// JSON of the names that decoders look for, with values of any type.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..4i64).prop_map(Value::from),
        select(vec![
            "",
            "a",
            "{\"a\":1}",
            "{",
            "stop",
            "tool_calls",
            "text",
            "tool_use",
            "thinking",
            "redacted_thinking",
            "server_tool_use",
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
            "ping",
            "end_turn",
            "input_json_delta",
            "text_delta",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        let name = select(vec![
            "choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "id", "index",
            "finish_reason", "usage", "prompt_tokens", "reasoning", "reasoning_content", "refusal", "annotations",
            "type", "content_block", "text", "thinking", "signature", "partial_json", "input", "data", "stop_reason",
            "stop_sequence", "citation", "images", "audio", "function_call", "model", "created",
        ]);
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            4 => proptest::collection::vec((name, inner), 0..6)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}
