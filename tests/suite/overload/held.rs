//! Answers that the gateway has to hold count in `body_budget_bytes`: beyond it they are passed on, or refused, and never
//! waited for.

use std::time::Duration;

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{BOTH, SOON, assert_shed, events, opening, path, question, streamed, wait_until};
use crate::support::client::{Connection, Response};
use crate::support::gateway::{Builder, Gateway};
use crate::support::upstream::bodies::openai_answer;
use crate::support::upstream::{Gate, Upstream, sse};

const BLOCK: usize = 64 * 1024;

fn with_budget(bytes: usize, upstream: &Upstream, protocol: Protocol) -> Builder {
    let mut held: Value = json!({"logical_name": "held", "stream_recovery": "hold"});
    held["model_routings"] = json!([{"provider": "alpha", "model": "up-held"}]);
    Gateway::builder()
        .setting("body_limit_bytes", bytes)
        .setting("body_budget_bytes", bytes)
        .setting("max_retries", 0)
        .provider("alpha", upstream, protocol)
        .model("m", [("alpha", "up-m")])
        .model_file("held", &held)
}

fn ask(gateway: &Gateway, client: Protocol) -> Response {
    gateway.post(path(client)).json(&question("m")).send()
}

#[test]
fn a_whole_answer_for_which_there_is_no_room_is_refused_and_rests_no_key() {
    for client in BOTH {
        let upstream = Upstream::start();
        let gate = Gate::new();
        let text = "x".repeat(900_000);
        let large = || openai_answer(&text).split_at(850_000);
        upstream.answer(large().wait_after(1, &gate));
        upstream.answer(large().wait_after(1, &gate));
        let gateway = with_budget(1_000_000, &upstream, Protocol::OpenAi).start();
        // one of the two finds no room beside the other, and neither can end before the gate opens
        let (sender, answers) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (sender, gateway) = (sender.clone(), &gateway);
                scope.spawn(move || sender.send(ask(gateway, client)));
            }
            let refused = answers.recv_timeout(SOON).expect("an answer");
            assert_shed(client, &refused);
            assert_eq!(refused.header("x-model-proxy-attempts"), Some("1"));
            upstream.answer(openai_answer("hi"));
            assert_eq!(ask(&gateway, client).status, 200, "a key rests");
            gate.open();
            let answered = answers.recv_timeout(SOON).expect("an answer");
            assert_eq!(answered.status, 200, "{}", answered.text());
            assert!(answered.text().contains(&text));
        });
        upstream.answer(large());
        assert_eq!(ask(&gateway, client).status, 200, "no room was given back");
        let rows = gateway.stop();
        let refused = rows
            .iter()
            .find(|row| row.number("response_status") == 503)
            .expect("a row of the refused");
        assert_eq!(refused.text("error_type"), "overloaded");
        assert_eq!(refused.json("attempts")[0]["outcome"], "overloaded");
    }
}

#[test]
fn an_answer_that_its_client_does_not_take_keeps_its_place() {
    let upstream = Upstream::start();
    let text = "x".repeat(8_000_000);
    let gateway = with_budget(8_500_000, &upstream, Protocol::OpenAi).start();
    upstream.always(openai_answer(&text));
    let request = gateway.post(path(Protocol::OpenAi)).json(&question("m"));
    let connection = Connection::open(gateway.address()).buffering_little();
    let unread = connection.send_streaming(&request);
    assert_eq!(unread.status, 200);
    assert_shed(Protocol::OpenAi, &ask(&gateway, Protocol::OpenAi));
    let finished = unread.read_to_end();
    assert!(finished.properly());
    assert!(finished.text().contains(&text));
    wait_until("its place is given back", || {
        ask(&gateway, Protocol::OpenAi).status == 200
    });
}

#[test]
fn an_answer_that_can_be_held_back_no_longer_goes_out_as_it_comes() {
    for (client, from) in [
        (Protocol::OpenAi, Protocol::OpenAi),
        (Protocol::Anthropic, Protocol::OpenAi),
        (Protocol::Anthropic, Protocol::Anthropic),
    ] {
        let upstream = Upstream::start();
        let gate = Gate::new();
        let block = "x".repeat(BLOCK);
        let words = vec![block.as_str(); 30];
        let answer = sse(events(from, &words));
        upstream.always(answer.wait_after(opening(from) + 25, &gate));
        let ask = |gateway: &Gateway| {
            gateway
                .post(path(client))
                .json(&streamed("held"))
                .send_streaming()
        };
        let gateway = with_budget(1_000_000, &upstream, from).start();
        let mut stream = ask(&gateway);
        while stream.expect_event().text().is_none() {}
        gate.open();
        let finished = stream.read_to_end();
        assert!(finished.properly());
        assert_eq!(finished.text().matches(&block).count(), 30);
        // what was held back is given back: the next one has as much
        assert!(ask(&gateway).read_to_end().properly());
        let rows = gateway.stop();
        assert!(rows.iter().all(|row| row.is_null("error_type")), "{rows:?}");
    }
}

#[test]
fn a_stream_that_says_much_before_its_content_is_refused_when_there_is_no_room() {
    let upstream = Upstream::start();
    let padding = format!("data: {{\"padding\":\"{}\"}}\n\n", "x".repeat(BLOCK));
    let mut prelude = vec![padding; 30];
    prelude.extend(events(Protocol::OpenAi, &["hi"]));
    upstream.answer(sse(prelude.clone()));
    upstream.answer(sse(["data: ".to_owned() + &"x".repeat(30 * BLOCK)]).stall());
    let gateway = with_budget(1_000_000, &upstream, Protocol::OpenAi).start();
    for _ in 0..2 {
        let refused = gateway.chat(&streamed("m"));
        assert_shed(Protocol::OpenAi, &refused);
    }
    assert!(upstream.wait_for_hangups(1, SOON));
    upstream.answer(sse(events(Protocol::OpenAi, &["hi"])));
    let finished = gateway
        .chat_streaming(&streamed("m"))
        .read_for(Duration::from_secs(5));
    assert!(finished.properly(), "{}", finished.text());
}

#[test]
fn an_answer_that_is_still_being_taken_survives_a_stop() {
    let upstream = Upstream::start();
    let block = "x".repeat(BLOCK);
    let words = block.clone();
    upstream.judge_by(
        move |request| match request.json()["stream"] == json!(true) {
            true => sse(events(Protocol::OpenAi, &[words.as_str(); 60])),
            false => openai_answer(&"x".repeat(8_000_000)),
        },
    );
    for body in [question("m"), streamed("held")] {
        let gateway = with_budget(20_000_000, &upstream, Protocol::OpenAi).start();
        let request = gateway.post(path(Protocol::OpenAi)).json(&body);
        let connection = Connection::open(gateway.address()).buffering_little();
        let unread = connection.send_streaming(&request);
        gateway.begin_stop();
        wait_until("nobody new is let in", || {
            std::net::TcpStream::connect(gateway.address()).is_err()
        });
        let finished = unread.read_to_end();
        assert!(finished.properly(), "{:?}", finished.ended);
        assert!(finished.text().matches(&block).count() >= 60);
        let rows = gateway.stop();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].is_null("error_type"), "{rows:?}");
    }
}
