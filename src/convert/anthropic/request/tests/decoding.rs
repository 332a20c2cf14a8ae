//! What a client of this protocol says, as the hub understands it.

use serde_json::json;

use super::*;
use crate::conversation::{
    Block, CacheMark, Json, Media, OutputFormat, Reasoning, Role, ToolChoice, ToolKind,
};
use crate::error::ErrorKind;

fn ask(members: Value) -> Conversation {
    let mut body = json!({
        "model": "m",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "hi"}],
    });
    for (name, member) in members.as_object().unwrap() {
        body[name] = member.clone();
    }
    read(body.to_string()).unwrap()
}

fn said(content: Value) -> Vec<Block> {
    let conversation = ask(json!({"messages": [{"role": "user", "content": content}]}));
    let mut turns = conversation.turns;
    turns.pop().map(|turn| turn.blocks).unwrap_or_default()
}

fn extras(conversation: &Conversation) -> Vec<(&str, &str)> {
    let extras = conversation.extras.iter();
    extras
        .map(|extra| (extra.name.as_str(), extra.value.as_str()))
        .collect()
}

fn plain(text: &str) -> Block {
    Block::Text {
        text: text.to_owned(),
        cache: None,
        citations: None,
    }
}

#[test]
fn system_blocks_keep_their_order_and_their_cache_marks() {
    let conversation = ask(json!({"system": [
        {"type": "text", "text": "x-anthropic-billing-header: a"},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]}));
    let turn = &conversation.turns[0];
    assert_eq!((turn.role, turn.path.as_str()), (Role::System, "system"));
    assert_eq!(turn.blocks[0], plain("x-anthropic-billing-header: a"));
    let cache = Some(CacheMark(Json::new(r#"{"type":"ephemeral","ttl":"1h"}"#)));
    assert!(matches!(&turn.blocks[1], Block::Text { cache: mark, .. } if *mark == cache));
    assert_eq!(turn.block_path(1), "system[1]");
}

#[test]
fn instructions_in_mid_conversation_keep_their_place() {
    let conversation = ask(json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}]},
    ]}));
    let roles: Vec<_> = conversation.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::System, Role::Assistant]);
    assert_eq!(conversation.turns[1].path, "messages[1]");
}

#[test]
fn empty_texts_and_empty_messages_vanish() {
    let conversation = ask(json!({"system": "", "messages": [
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": null},
        {"role": "assistant", "content": []},
    ]}));
    assert_eq!(conversation.turns.len(), 1);
    assert_eq!(conversation.turns[0].blocks, [plain("a")]);
    assert_eq!(conversation.turns[0].path, "messages[1]");
}

#[test]
fn images_and_documents_come_from_every_source() {
    let blocks = said(json!([
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://a/b"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "t"},
         "title": "T", "context": "c", "citations": {"enabled": true}},
    ]));
    let media: Vec<_> = blocks
        .iter()
        .map(|block| match block {
            Block::Image(image) => image.media.clone(),
            Block::Document(document) => document.media.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        Media::Base64 {
            media_type: "image/png".to_owned(),
            data: "AA==".to_owned(),
        },
        Media::Url("https://a/b".to_owned()),
        Media::File("file_1".to_owned()),
        Media::Text("t".to_owned()),
    ];
    assert_eq!(media, expected);
    let Block::Document(document) = &blocks[3] else {
        panic!("{blocks:?}");
    };
    assert_eq!(document.title.as_deref(), Some("T"));
    assert_eq!(document.extras.len(), 2);
}

#[test]
fn a_source_that_only_this_protocol_knows_keeps_its_block_whole() {
    let block = json!({"type": "document", "source": {"type": "content", "content": "x"}});
    let expected = Block::Other {
        kind: "document".to_owned(),
        value: Json::from(block.clone()),
    };
    assert_eq!(said(json!([block])), [expected]);
}

#[test]
fn server_tool_blocks_keep_whole() {
    for kind in [
        "server_tool_use",
        "web_search_tool_result",
        "mcp_tool_use",
        "search_result",
    ] {
        let block = json!({"type": kind, "id": "srvtoolu_1", "input": {"a": 1.50}});
        let expected = Block::Other {
            kind: kind.to_owned(),
            value: Json::from(block.clone()),
        };
        assert_eq!(said(json!([block])), [expected]);
    }
}

#[test]
fn arguments_stay_the_text_they_were() {
    let body = r#"{"model":"m","messages":[{"role":"assistant","content":[
        {"type":"tool_use","id":"t","name":"f","input":{"b": 1.50, "a":[ ]}}]}]}"#;
    let conversation = read(body).unwrap();
    let Block::ToolCall { arguments, .. } = &conversation.turns[0].blocks[0] else {
        panic!("{conversation:?}");
    };
    assert_eq!(arguments, r#"{"b": 1.50, "a":[ ]}"#);
}

#[test]
fn a_tool_result_is_a_string_or_blocks_and_may_be_an_error() {
    let blocks = said(json!([
        {"type": "tool_result", "tool_use_id": "a", "content": "ok", "is_error": false,
         "cache_control": {"type": "ephemeral"}},
        {"type": "tool_result", "tool_use_id": "b", "is_error": true, "content": [
            {"type": "text", "text": "no"},
            {"type": "image", "source": {"type": "url", "url": "u"}},
            {"type": "tool_reference", "tool_name": "f"},
        ]},
        {"type": "tool_result", "tool_use_id": "c"},
    ]));
    let results: Vec<_> = blocks
        .iter()
        .map(|block| match block {
            Block::ToolResult(result) => result,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results[0].content, [plain("ok")]);
    assert!(!results[0].is_error && results[0].cache.is_some());
    assert!(results[1].is_error);
    assert_eq!(results[1].content.len(), 3);
    assert!(
        matches!(&results[1].content[2], Block::Other { kind, .. } if kind == "tool_reference")
    );
    assert!(results[2].content.is_empty());
}

#[test]
fn signatures_survive_byte_for_byte_and_an_empty_one_is_none() {
    let signature = "EqQB+/=\u{e9}\\\"";
    let blocks = said(json!([
        {"type": "thinking", "thinking": "", "signature": signature},
        {"type": "thinking", "thinking": "x", "signature": ""},
        {"type": "redacted_thinking", "data": "d=="},
    ]));
    let thinking = |text: &str, signature: Option<&str>| Block::Thinking {
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
    };
    let expected = [
        thinking("", Some(signature)),
        thinking("x", None),
        Block::RedactedThinking("d==".to_owned()),
    ];
    assert_eq!(blocks, expected);
}

#[test]
fn tools_of_the_client_are_functions_and_all_others_the_providers() {
    let conversation = ask(json!({"tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true,
         "cache_control": {"type": "ephemeral"}, "defer_loading": true, "input_examples": [{}]},
        {"type": "custom", "name": "g", "input_schema": {"type": "object"}},
        {"type": "web_search_20260318", "name": "web_search", "max_uses": 2},
    ]}));
    let ToolKind::Function {
        name,
        strict,
        cache,
        extras,
        ..
    } = &conversation.tools[0].kind
    else {
        panic!("{:?}", conversation.tools);
    };
    assert_eq!(
        (name.as_str(), *strict, cache.is_some()),
        ("f", Some(true), true)
    );
    let extras: Vec<_> = extras.iter().map(|extra| extra.name.as_str()).collect();
    assert_eq!(extras, ["defer_loading", "input_examples"]);
    let custom = &conversation.tools[1].kind;
    assert!(matches!(custom, ToolKind::Function { extras, .. } if extras.is_empty()));
    let server = &conversation.tools[2];
    assert!(matches!(&server.kind, ToolKind::Server { kind, .. } if kind == "web_search_20260318"));
    assert_eq!(server.path, "tools[2]");
}

#[test]
fn every_tool_choice_is_understood() {
    let cases = [
        (json!({"type": "auto"}), ToolChoice::Auto, None),
        (
            json!({"type": "any", "disable_parallel_tool_use": true}),
            ToolChoice::Required,
            Some(false),
        ),
        (json!({"type": "none"}), ToolChoice::None, None),
        (
            json!({"type": "tool", "name": "f", "disable_parallel_tool_use": false}),
            ToolChoice::Named("f".to_owned()),
            None,
        ),
    ];
    for (choice, expected, parallel) in cases {
        let conversation = ask(json!({"tool_choice": choice}));
        assert_eq!(conversation.tool_choice, Some(expected));
        assert_eq!(conversation.parallel_tool_calls, parallel);
    }
}

#[test]
fn thinking_and_effort_are_understood_together() {
    let effort = |effort: &str| Some(effort.to_owned());
    let cases = [
        (
            json!({"thinking": {"type": "disabled"}}),
            Some(Reasoning::Off),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 2048}}),
            Some(Reasoning::Budget(2048)),
        ),
        (
            json!({"thinking": {"type": "adaptive"}}),
            Some(Reasoning::Adaptive { effort: None }),
        ),
        (
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
            Some(Reasoning::Adaptive {
                effort: effort("max"),
            }),
        ),
        (
            json!({"output_config": {"effort": "low"}}),
            Some(Reasoning::Effort("low".to_owned())),
        ),
        (json!({"thinking": null, "output_config": null}), None),
    ];
    for (members, expected) in cases {
        let conversation = ask(members);
        assert_eq!(conversation.reasoning, expected);
        assert!(conversation.extras.is_empty(), "{conversation:?}");
    }
}

#[test]
fn what_thinking_and_output_config_say_besides_is_kept_by_its_path() {
    let conversation = ask(json!({
        "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        "output_config": {"effort": "low", "task_budget": {"type": "tokens"}},
    }));
    let expected = [
        ("output_config.task_budget", r#"{"type":"tokens"}"#),
        ("thinking.display", "\"omitted\""),
        ("output_config.effort", "\"low\""),
    ];
    assert_eq!(extras(&conversation), expected);
    let newer = ask(json!({"thinking": {"type": "between_tools"}}));
    assert_eq!(newer.reasoning, None);
    assert_eq!(
        extras(&newer),
        [("thinking", r#"{"type":"between_tools"}"#)]
    );
}

#[test]
fn an_output_schema_is_understood_in_its_place_and_in_its_old_one() {
    let format = json!({"type": "json_schema", "schema": {"type": "object", "b": 1, "a": 2}});
    let old = ask(json!({"output_format": format}));
    let new = ask(json!({"output_config": {"format": format}}));
    let Some(OutputFormat::JsonSchema { schema, .. }) = &new.output else {
        panic!("{new:?}");
    };
    assert_eq!(schema.as_str(), r#"{"type":"object","b":1,"a":2}"#);
    assert_eq!(old.output, new.output);
    assert!(old.extras.is_empty() && new.extras.is_empty());
}

#[test]
fn members_without_a_word_in_the_hub_are_kept_as_they_came() {
    let body = r#"{"model":"m","messages":[],"context_management":{"edits": [ ]},"betas":["a"],
        "container":null,"service_tier":"auto","metadata":{"user_id":"u","more":1}}"#;
    let conversation = read(body).unwrap();
    let expected = [
        ("metadata.more", "1"),
        ("context_management", r#"{"edits": [ ]}"#),
        ("betas", r#"["a"]"#),
        ("service_tier", "\"auto\""),
    ];
    assert_eq!(extras(&conversation), expected);
    assert_eq!(conversation.user.as_deref(), Some("u"));
}

#[test]
fn a_caller_other_than_the_model_is_kept_by_the_path_of_its_block() {
    let call = |caller: Value| json!({"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": caller});
    let conversation = ask(json!({"messages": [{"role": "assistant", "content": [
        {"type": "text", "text": ""},
        call(json!({"type": "direct"})),
        call(json!({"type": "code_execution_20260120", "tool_id": "s"})),
    ]}]}));
    let extra = &conversation.turns[0].extras[0];
    assert_eq!(extra.name, "content[1].caller");
    let caller = r#"{"type":"code_execution_20260120","tool_id":"s"}"#;
    assert_eq!(extra.value.as_str(), caller);
    assert_eq!(conversation.turns[0].extras.len(), 1);
}

#[test]
fn a_wrong_type_is_refused_with_the_place_of_the_member() {
    let cases = [
        (r#""messages":{}"#, "messages"),
        (r#""messages":[1]"#, "messages[0]"),
        (
            r#""messages":[{"role":"robot","content":""}]"#,
            "messages[0].role",
        ),
        (r#""messages":[{"content":""}]"#, "messages[0].role"),
        (
            r#""messages":[{"role":"user","content":7}]"#,
            "messages[0].content",
        ),
        (
            r#""messages":[{"role":"user","content":[{}]}]"#,
            "messages[0].content[0].type",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"text","text":[]}]}]"#,
            "messages[0].content[0].text",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"tool_use","id":"a","name":"f","input":"x"}]}]"#,
            "messages[0].content[0].input",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image"}]}]}]"#,
            "messages[0].content[0].content[0].source",
        ),
        (r#""messages":[],"system":4"#, "system"),
        (r#""messages":[],"tools":[{}]"#, "tools[0].name"),
        (
            r#""messages":[],"tools":[{"name":"f","input_schema":[]}]"#,
            "tools[0].input_schema",
        ),
        (r#""messages":[],"tool_choice":"auto""#, "tool_choice"),
        (
            r#""messages":[],"tool_choice":{"type":"maybe"}"#,
            "tool_choice.type",
        ),
        (r#""messages":[],"temperature":"hot""#, "temperature"),
        (r#""messages":[],"top_k":1.5"#, "top_k"),
        (r#""messages":[],"stop_sequences":[1]"#, "stop_sequences[0]"),
        (
            r#""messages":[],"metadata":{"user_id":1}"#,
            "metadata.user_id",
        ),
        (
            r#""messages":[],"thinking":{"type":"enabled"}"#,
            "thinking.budget_tokens",
        ),
        (
            r#""messages":[],"output_config":{"effort":1}"#,
            "output_config.effort",
        ),
        (r#""x":[]"#, "messages"),
    ];
    for (members, param) in cases {
        let error = read(format!(r#"{{"model":"m",{members}}}"#)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert_eq!(error.param.as_deref(), Some(param), "{members}: {error}");
        assert!(error.message.contains(&format!("'{param}'")), "{error}");
    }
}

#[test]
fn half_an_emoji_in_a_cut_tool_result_is_no_reason_to_refuse() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":[
        {"type":"tool_result","tool_use_id":"a","content":"x\ud83d"}]}]}"#;
    assert!(read(body).is_ok());
}

#[test]
fn results_nested_without_end_are_neither_walked_nor_refused() {
    let depth = 4_000;
    let open = r#"{"type":"tool_result","tool_use_id":"a","content":["#.repeat(depth);
    let close = "]}".repeat(depth);
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{open}{close}]}}]}}"#);
    let conversation = read(&body).unwrap();
    let Block::ToolResult(result) = &conversation.turns[0].blocks[0] else {
        panic!("a result was expected");
    };
    assert!(matches!(&result.content[..], [Block::Other { kind, .. }] if kind == "tool_result"));
    let encoded = encode(&conversation, &TARGET);
    assert!(RawObject::parse(encoded.body).is_ok());
}
