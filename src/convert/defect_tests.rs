//! What once went wrong between the protocols, in the gateway before this one and in its peers, one test each. Where a
//! defect is kept away elsewhere, the index names the test there; `index` checks that all of them exist.
//!
//! The gateway before this one, requests of Anthropic clients:
//! - 4.1 system blocks joined: `system_blocks_were_joined_into_one_text`
//! - 4.1 text blocks joined: `text_blocks_of_the_user_were_joined_into_one_text`
//! - 4.1 images, documents: `an_image_was_dumped_as_json_into_the_prompt`
//! - 4.1 tool results: `an_image_in_a_tool_result_was_dumped_as_json`
//! - 4.1 is_error: `the_failure_of_a_tool_was_lost_without_a_word`
//! - 4.1 order of text and calls: `text_after_a_call_lost_its_place_without_a_word`
//! - 4.1 thinking: `thinking_in_the_history_was_dumped_as_json`
//! - 4.1 strict, cache_control, server tools: `members_of_tools_were_lost_without_a_word`
//! - 4.1 tool_choice: `a_choice_of_any_tool_was_passed_on_as_an_object_that_openai_refuses`
//! - 4.1 disable_parallel_tool_use: `the_wish_for_one_tool_at_a_time_was_lost`
//! - 4.1 max_tokens: `a_limit_of_16000_tokens_was_injected`
//! - 4.1 user_id, thinking, top_k: `user_and_thinking_were_dropped`
//!
//! Requests of OpenAI clients:
//! - 4.2 system messages: `instructions_in_mid_conversation_moved_to_the_front`
//! - 4.2 developer: `the_developer_role_was_refused`
//! - 4.2 content parts: `text_parts_were_joined_without_a_gap`
//! - 4.2 image_url, audio, file: `an_image_url_was_dumped_as_json_into_the_prompt`
//! - 4.2 arguments: `arguments_that_are_no_json_went_lost`
//! - 4.2 tool results, demand 5: `results_of_one_turn_came_in_several_user_messages`
//! - 4.2 is_error as null: `is_error_was_sent_as_null`
//! - 4.2 tool messages in parts: `parts_of_a_tool_message_were_printed_like_python`
//! - 4.2 function role: `the_answer_of_a_function_became_the_users_words`
//! - 4.2 same-role turns: `turns_of_one_role_stood_side_by_side`
//! - 4.2 empty content, demand 4: `empty_contents_became_empty_blocks`
//! - 4.2 max_tokens: `an_answer_was_cut_at_1024_tokens`, `max_completion_tokens_was_ignored`
//! - 4.2 temperature: `a_temperature_above_1_was_passed_on`, `temperature_and_top_p_were_injected_together`
//! - 4.2 stop, demand 10: `stop_texts_were_dropped`
//! - 4.2 tools: `a_tool_without_parameters_had_no_schema`
//! - 4.2 tool_choice: `a_tool_choice_was_sent_as_a_bare_word_or_not_at_all`
//! - 4.2 the rest: `settings_were_dropped_without_a_word`
//!
//! Answers and streams:
//! - 4.3 text with calls: `text_beside_tool_calls_was_discarded`
//! - 4.3 thinking: `thinking_in_answers_was_dropped`
//! - 4.3 stop reasons: `refusal_pause_and_full_context_were_all_an_ordinary_stop`
//! - 4.3 cache tokens, 40: `cached_tokens_were_left_out_of_the_prompt`
//! - 4.4 no choice: `an_answer_without_choices_was_an_error_of_the_index`
//! - 4.4 id: `the_answers_id_had_the_style_of_the_wrong_protocol`
//! - 4.4 refusal, reasoning: `refusals_and_reasoning_were_dropped`
//! - 4.4 content_filter: `a_filtered_answer_was_called_an_ordinary_end`
//! - 4.4 cached tokens, 40: `cached_tokens_were_counted_as_fresh_input`
//! - 4.5, 28: `an_openai_client_got_the_events_of_anthropic`
//! - 4.5, 27: `a_stream_began_twice`; in passthrough `streams_come_back_byte_for_byte`
//! - 4.5, 29, demand 2: `a_stream_told_no_stop_reason_and_no_output_tokens`, `a_messages_stream_ended_with_done`
//! - 4.5, 29, demand 3: `every_fragment_of_arguments_opened_another_tool`, `tools_were_left_open_when_text_went_on`,
//!   `arguments_were_taken_for_cumulative`
//! - 4.5 reasoning: `reasoning_in_streams_was_dropped`
//! - 4.5 content_filter in streams: `a_filtered_stream_had_a_stop_reason_that_does_not_exist`
//! - 30 passthrough: `a_message_goes_up_byte_for_byte_but_for_its_model`
//! - 31: `the_beta_query_changes_nothing_here_and_goes_up_to_anthropic`
//! - 32: `settings_were_dropped_without_a_word`, `temperature_and_top_p_were_injected_together`
//! - 37: `an_error_of_null_ended_the_stream`, `the_word_error_in_a_comment_ended_the_stream`
//! - 41: `tool_messages_became_the_users_and_tools_vanished`
//! - 46: `members_that_nobody_knows_made_an_answer_an_error`
//!
//! Its peers (demands):
//! - 1: `an_agent_stopped_because_a_call_ended_like_a_talk`
//! - 4 in streams: `an_empty_block_came_before_the_call`
//! - 6: `a_signature_changed_on_its_way`
//! - 7: `reasoning_content_was_not_sent_back`, `a_session_was_stuck_with_thinking_that_nobody_had_signed`
//! - 8: `cache_marks_were_stripped_or_moved`
//! - 9: `message_start_told_no_input_tokens`
//! - 10: `strict_and_const_were_mangled`, `the_developer_role_was_refused`, `the_wish_for_one_tool_at_a_time_was_lost`
//! - 11: `an_error_had_the_shape_of_the_other_protocol`
//! - 12: `a_route_of_another_protocol_is_estimated_without_a_call`
//! - 13: `betas_that_a_provider_refuses_do_not_reach_it`
//! - 14 is about the Responses API, which is not spoken yet.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use crate::config::catalog::ReasoningStyle;
use crate::convert::memo::Memo;
use crate::convert::pair::{StreamConverter, convert_reply, decode_request, encode_request};
use crate::convert::{ReplyContext, Target};
use crate::error::FaultKind;
use crate::protocol::Protocol;
use crate::protocol::raw::RawObject;
use crate::protocol::sse::{Decoder, LINE_LIMIT};

mod answers;
mod index;
mod streams;
mod to_anthropic;
mod to_openai;

const PNG: &str = "iVBORw0KGgo=";

/// What goes up of a request, and what is lost.
fn sent(from: Protocol, to: Protocol, body: &Value) -> (Value, String) {
    let body = RawObject::parse(Bytes::from(body.to_string())).unwrap();
    let conversation = decode_request(from, &body).unwrap();
    let target = Target {
        model: "up",
        stream: conversation.stream,
        ask_usage: false,
        defaults: &[],
        default_max_tokens: 8192,
        wants_max_completion_tokens: false,
        reasoning: ReasoningStyle::Usual,
    };
    let encoded = encode_request(to, &conversation, &target);
    let body = serde_json::from_slice(&encoded.body).unwrap();
    (body, encoded.loss.to_string())
}

fn context() -> ReplyContext {
    ReplyContext {
        now: 1_700_000_000,
        fallback_id: "ours".to_owned(),
        memo: Memo::default(),
        keeps_id: false,
    }
}

/// What comes down of an answer.
fn told(from: Protocol, to: Protocol, body: &Value) -> Result<Value, FaultKind> {
    let encoded = convert_reply(from, to, body.to_string().as_bytes(), &context())?;
    Ok(serde_json::from_slice(&encoded.body).unwrap())
}

/// What comes down of a stream of these events.
fn streamed(from: Protocol, to: Protocol, events: &[String]) -> String {
    let mut converter = StreamConverter::new(from, to, context(), true);
    let mut decoder = Decoder::new(LINE_LIMIT);
    decoder.push(Bytes::from(events.concat()));
    let mut out = BytesMut::new();
    while let Some(event) = decoder.next().unwrap() {
        converter.convert(&event, &mut out);
    }
    converter.finish(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

/// The data of the events of a stream.
fn values(stream: &str) -> Vec<Value> {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}
