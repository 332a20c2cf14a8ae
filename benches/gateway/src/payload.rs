//! Requests and answers of both protocols, as bytes.

use serde_json::{Value, json};

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    OpenAi,
    Anthropic,
}

/// What the scripted upstream answers, told by the name of the model that it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// A whole answer.
    Plain,
    /// A stream of so many pieces of text, so many milliseconds apart.
    Stream { chunks: usize, pause: u64 },
    /// A stream that stands still after its first piece until all are released.
    Held,
    /// A stream of pieces of 4 KB that ends after so many MiB.
    Flood { mebibytes: usize },
}

/// Found once in each piece of an answer's text, on both sides of any conversion.
pub const MARK: &[u8] = b"lorem ";

const TEXT: &str = "lorem 00";

impl Script {
    pub fn name(self) -> String {
        match self {
            Self::Plain => "plain".to_owned(),
            Self::Stream { chunks, pause } => format!("stream-{chunks}-{pause}"),
            Self::Held => "held".to_owned(),
            Self::Flood { mebibytes } => format!("flood-{mebibytes}"),
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        let mut words = name.split('-');
        let script = match words.next()? {
            "plain" => Self::Plain,
            "stream" => Self::Stream {
                chunks: words.next()?.parse().ok()?,
                pause: words.next()?.parse().ok()?,
            },
            "held" => Self::Held,
            "flood" => Self::Flood {
                mebibytes: words.next()?.parse().ok()?,
            },
            _ => return None,
        };
        Some(script)
    }

    pub fn streams(self) -> bool {
        self != Self::Plain
    }

    /// How often [`MARK`] stands in a whole answer.
    pub fn marks(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Stream { chunks, .. } => chunks,
            Self::Held => 2,
            Self::Flood { mebibytes } => mebibytes * FLOOD_PIECES,
        }
    }
}

/// Pieces in a MiB of a flood.
pub const FLOOD_PIECES: usize = 256;

impl Protocol {
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }

    pub fn of_path(path: &str) -> Self {
        if path.contains("/messages") {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }

    /// What stands at the end of a whole stream, and nowhere else.
    pub fn terminal(self) -> &'static [u8] {
        match self {
            Self::OpenAi => b"data: [DONE]\n\n",
            Self::Anthropic => b"event: message_stop\n",
        }
    }

    /// A request whole with its head: about 1 KB, or with a prompt of so many bytes.
    pub fn request(
        self,
        host: &str,
        key: &str,
        model: &str,
        script: Script,
        prompt: usize,
    ) -> Vec<u8> {
        let sentence =
            "Tell me, in \"plain\" words,\nhow a proxy passes an answer on; do not hurry. ";
        let turn = |bytes: usize| sentence.repeat(bytes.div_ceil(sentence.len()));
        let mut messages = Vec::new();
        let mut left = prompt;
        while left > 0 {
            let size = left.min(2000);
            let role = if messages.len() % 2 == 0 {
                "user"
            } else {
                "assistant"
            };
            messages.push(json!({"role": role, "content": turn(size)}));
            left -= size;
        }
        if messages.len() % 2 == 0 {
            messages.push(json!({"role": "user", "content": sentence}));
        }
        let mut body = json!({
            "model": model,
            "max_tokens": 512,
            "temperature": 0.7,
            "stream": script.streams(),
            "messages": messages,
        });
        if self == Self::OpenAi && script.streams() {
            body["stream_options"] = json!({"include_usage": true});
        }
        let body = body.to_string();
        format!(
            "POST {} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             accept: */*\r\nuser-agent: gateway-bench\r\ncontent-length: {}\r\n\r\n{body}",
            self.path(),
            body.len(),
        )
        .into_bytes()
    }

    /// A whole answer of about 650 bytes with its head.
    pub fn plain(self) -> Vec<u8> {
        let text = format!("{TEXT}{}", "An answer of some length. ".repeat(12));
        let body = match self {
            Self::OpenAi => json!({
                "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_760_000_000, "model": "plain",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null},
                    "logprobs": null, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 200, "completion_tokens": 70, "total_tokens": 270},
                "system_fingerprint": "fp_bench",
            }),
            Self::Anthropic => json!({
                "id": "msg_bench", "type": "message", "role": "assistant", "model": "plain",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {"input_tokens": 200, "output_tokens": 70},
            }),
        };
        let body = body.to_string();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        )
        .into_bytes()
    }

    /// What comes before the first piece of text of a stream.
    pub fn opening(self) -> Vec<u8> {
        match self {
            Self::OpenAi => openai_chunk(&json!({"role": "assistant", "content": ""}), Value::Null),
            Self::Anthropic => [
                anthropic_event(&json!({"type": "message_start", "message": {"id": "msg_bench", "type": "message",
                    "role": "assistant", "model": "stream", "content": [], "stop_reason": null, "stop_sequence": null,
                    "usage": {"input_tokens": 200, "output_tokens": 1}}})),
                anthropic_event(&json!({"type": "content_block_start", "index": 0,
                    "content_block": {"type": "text", "text": ""}})),
            ]
            .concat(),
        }
    }

    /// One piece of text of a stream, of 180 bytes or, for a flood, of 4 KB.
    pub fn piece(self, size: usize) -> Vec<u8> {
        let piece = |text: &str| match self {
            Self::OpenAi => openai_chunk(&json!({"content": text}), Value::Null),
            Self::Anthropic => anthropic_event(&json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": text}})),
        };
        let bare = piece(TEXT).len();
        piece(&format!("{TEXT}{}", "x".repeat(size.saturating_sub(bare))))
    }

    /// What comes after the last piece of text.
    pub fn closing(self) -> Vec<u8> {
        match self {
            Self::OpenAi => {
                let usage = json!({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_760_000_000,
                    "model": "stream", "choices": [],
                    "usage": {"prompt_tokens": 200, "completion_tokens": 70, "total_tokens": 270}});
                let mut bytes = openai_chunk(&json!({}), json!("stop"));
                bytes.extend_from_slice(format!("data: {usage}\n\n").as_bytes());
                bytes.extend_from_slice(self.terminal());
                bytes
            }
            Self::Anthropic => [
                anthropic_event(&json!({"type": "content_block_stop", "index": 0})),
                anthropic_event(&json!({"type": "message_delta",
                    "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 70}})),
                anthropic_event(&json!({"type": "message_stop"})),
            ]
            .concat(),
        }
    }
}

fn openai_chunk(delta: &Value, finish: Value) -> Vec<u8> {
    let chunk = json!({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_760_000_000,
        "model": "stream", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    format!("data: {chunk}\n\n").into_bytes()
}

fn anthropic_event(event: &Value) -> Vec<u8> {
    let name = event["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {event}\n\n").into_bytes()
}
