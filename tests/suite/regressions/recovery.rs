//! Calls and streams that another route or key took over, or should have.

use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::json;

use super::{one_route, question, streamed, two_routes, until};
use crate::support::gateway::provider_json;
use crate::support::upstream::bodies::{
    anthropic_error, anthropic_stream, openai_answer, openai_error, openai_stream,
};
use crate::support::upstream::{Gate, Upstream};

#[test]
fn a_fault_of_the_client_stays_one_where_the_provider_file_repairs_tool_calls() {
    let upstream = Upstream::start();
    upstream.always(openai_error(
        422,
        "invalid_request_error",
        None,
        "temperature must not be 9",
    ));
    let mut file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    file["error_handling"] = json!({"422": {"action": "auto_fix_tool_responses"}});
    let gateway = one_route(&upstream, Protocol::OpenAi)
        .provider_file("alpha", &file)
        .start();
    let answer = gateway.chat(&question());
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("temperature"), "{}", answer.text());
}
