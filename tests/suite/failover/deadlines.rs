//! Deadlines, each kept apart from the others, set at the provider, the model or the route; and the one over all of them.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use serde_json::{Value, json};

use super::{
    BOTH, at_once, broken, model, openai_routes, pairs, path, question, routes, rows, story,
    stream, streamed, to_model,
};
use crate::support::client::Response;
use crate::support::gateway::{Gateway, provider_json};
use crate::support::upstream::bodies::openai_answer;
use crate::support::upstream::{Answer, Upstream, silence};

const SHORT: f64 = 0.2;
const LONG: f64 = 30.0;

/// Provider, model and route, and whether an answer that takes half a second is in time.
type Level = (Option<f64>, Option<f64>, Option<f64>, bool);

const LEVELS: [Level; 8] = [
    (Some(SHORT), None, None, false),
    (None, Some(SHORT), None, false),
    (None, None, Some(SHORT), false),
    (Some(LONG), Some(SHORT), None, false),
    (Some(LONG), Some(LONG), Some(SHORT), false),
    (Some(SHORT), Some(LONG), None, true),
    (Some(SHORT), None, Some(LONG), true),
    (Some(SHORT), Some(SHORT), Some(LONG), true),
];

/// For each of [`LEVELS`] a model `m-N` whose deadline is written there by `write`.
fn leveled(upstream: &Upstream, write: fn(&mut Value, f64)) -> Gateway {
    let mut builder = Gateway::builder()
        .setting("max_retries", 0)
        .setting("key_cooldown_seconds", 0);
    for (number, (provider, logical, route, _)) in LEVELS.into_iter().enumerate() {
        let name = format!("p{number}");
        let mut file = provider_json(&name, &upstream.url(), Protocol::OpenAi);
        file["request_config"] = json!({});
        let logical_name = format!("m-{number}");
        let mut routed = model(&logical_name, &[&name]);
        for (place, value) in [
            (&mut file["request_config"], provider),
            (&mut routed, logical),
        ] {
            if let Some(value) = value {
                write(place, value);
            }
        }
        if let Some(value) = route {
            write(&mut routed["model_routings"][0], value);
        }
        let key = format!("key-of-{name}");
        builder = builder
            .provider_file(&name, &file)
            .keys(&name, [key.as_str()])
            .model_file(&logical_name, &routed);
    }
    builder.start()
}

#[track_caller]
fn assert_levels(
    slow: Answer,
    body: &Value,
    write: fn(&mut Value, f64),
    look: fn(&Response) -> bool,
) {
    let upstream = Upstream::start();
    upstream.always(slow);
    let gateway = leveled(&upstream, write);
    at_once(LEVELS.iter().enumerate(), |(number, level)| {
        let response = gateway.chat(&to_model(body.clone(), &format!("m-{number}")));
        assert_eq!(look(&response), level.3, "{level:?}: {}", response.text());
    });
}

fn is_answered(response: &Response) -> bool {
    assert!([200, 504].contains(&response.status), "{}", response.text());
    response.status == 200
}

fn is_complete(response: &Response) -> bool {
    assert_eq!(response.status, 200);
    response.text().contains("[DONE]")
}

#[test]
fn the_nearest_time_to_the_first_token_holds() {
    let slow = stream(Protocol::OpenAi, &["a"]).delay(500);
    assert_levels(
        slow,
        &streamed(),
        |place, value| {
            place["timeouts"] = json!({"first_token_seconds": value});
        },
        is_answered,
    );
}

#[test]
fn the_nearest_idle_time_holds() {
    let slow = stream(Protocol::OpenAi, &["a"]).pause(500);
    assert_levels(
        slow,
        &streamed(),
        |place, value| {
            place["timeouts"] = json!({"idle_seconds": value});
        },
        is_complete,
    );
}

#[test]
fn the_nearest_total_holds() {
    let slow = openai_answer("a").delay(500);
    assert_levels(
        slow,
        &question(),
        |place, value| {
            place["timeouts"] = json!({"total_seconds": value});
        },
        is_answered,
    );
}

#[test]
fn the_nearest_single_number_bounds_a_whole_answer_and_a_first_token() {
    let write = |place: &mut Value, value: f64| place["timeout_seconds"] = json!(value);
    assert_levels(
        openai_answer("a").delay(500),
        &question(),
        write,
        is_answered,
    );
    let slow = stream(Protocol::OpenAi, &["a"]).delay(500);
    assert_levels(slow, &streamed(), write, is_answered);
}

/// An address where connections are never made: nobody accepts, and the queue is full.
struct Unreachable {
    address: SocketAddr,
    _listener: socket2::Socket,
    _queue: Vec<TcpStream>,
}

fn unreachable() -> Unreachable {
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("a free port");
    listener.listen(0).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let address = address.as_socket().expect("an address");
    let mut queue = Vec::new();
    while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queue.push(socket);
        assert!(queue.len() < 64, "a queue that is never full");
    }
    Unreachable {
        address,
        _listener: listener,
        _queue: queue,
    }
}

#[test]
fn a_connection_that_is_not_made_in_time_moves_the_request_on() {
    let nowhere = unreachable();
    let second = Upstream::start();
    second.always(openai_answer("saved"));
    let mut file = provider_json(
        "alpha",
        &format!("http://{}", nowhere.address),
        Protocol::OpenAi,
    );
    file["request_config"] = json!({"max_retries": 2, "timeouts": {"connect_seconds": 0.25}});
    let gateway = openai_routes([&second, &second])
        .provider_file("alpha", &file)
        .keys("alpha", ["key-a", "key-b"])
        .start();
    let begun = Instant::now();
    let answer = gateway.chat(&question());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(begun.elapsed() >= Duration::from_millis(250));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        story(&gateway.only_row()),
        ["alpha - timeout", "beta 200 ok"]
    );
}

#[test]
fn when_no_route_answers_in_time_the_client_reads_504_in_its_own_shape() {
    at_once(pairs(&BOTH, &[false, true]), |(protocol, streaming)| {
        let (first, second) = (Upstream::start(), Upstream::start());
        first.always(silence());
        second.always(silence());
        let file = super::model_with::<2>(json!({"timeout_seconds": 0.2}));
        let gateway = routes([(&first, protocol), (&second, protocol)])
            .model_file("m", &file)
            .start();
        let body = if streaming { streamed() } else { question() };
        let refused = gateway.post(path(protocol)).json(&body).send();
        assert_eq!(refused.status, 504, "{}", refused.text());
        assert_eq!(refused.header("x-model-proxy-attempts"), Some("2"));
        let error = refused.json()["error"].clone();
        assert!(error["message"].to_string().contains("`m`"), "{error}");
        if protocol == Protocol::Anthropic {
            assert_eq!(error["type"], "timeout_error");
        }
        let row = gateway.only_row();
        assert_eq!(row.text("error_type"), "upstream_timeout");
        assert_eq!(story(&row), ["alpha - timeout", "beta - timeout"]);
    });
}

#[test]
fn one_total_covers_every_attempt_and_every_wait() {
    let total = Duration::from_millis(1000);
    let upstream = Upstream::start();
    upstream.always(broken());
    let gateway = openai_routes([&upstream])
        .setting("max_retries", 50)
        .setting("total_seconds", total.as_secs_f64())
        .start();
    let begun = Instant::now();
    let refused = gateway.chat(&question());
    assert!(
        begun.elapsed() < total + Duration::from_millis(2000),
        "{:?}",
        begun.elapsed()
    );
    assert!([503, 504].contains(&refused.status), "{}", refused.text());
    let requests = upstream.requests();
    assert!(requests.len() >= 2);
    // the total began before the first call; the last one may have been under way for a moment
    let latest = requests[requests.len() - 1].at - requests[0].at;
    assert!(latest < total + Duration::from_millis(200), "{latest:?}");
}

#[test]
fn one_total_covers_silent_routes_too() {
    let total = Duration::from_millis(700);
    let upstreams = [(); 4].map(|()| Upstream::start());
    for upstream in &upstreams {
        upstream.always(silence());
    }
    let gateway = openai_routes(upstreams.each_ref())
        .setting("first_token_seconds", 0.3)
        .setting("total_seconds", total.as_secs_f64())
        .start();
    let begun = Instant::now();
    assert_eq!(gateway.chat(&streamed()).status, 504);
    let elapsed = begun.elapsed();
    assert!(
        elapsed >= total && elapsed < total + Duration::from_millis(2000),
        "{elapsed:?}"
    );
    assert_eq!(upstreams[3].requests().len(), 0);
}

#[test]
fn a_key_that_the_total_cut_off_is_not_blamed() {
    let (first, second) = (Upstream::start(), Upstream::start());
    first.always(silence());
    second.always(openai_answer("saved"));
    let gateway = openai_routes([&first, &second])
        .setting("total_seconds", 0.3)
        .start();
    for calls in [1, 2] {
        assert_eq!(gateway.chat(&question()).status, 504);
        assert_eq!(first.requests().len(), calls);
    }
    assert_eq!(second.requests().len(), 0, "no attempt after the deadline");
    assert_eq!(story(&rows(&gateway, 2)[0]), ["alpha - timeout"]);
}

#[test]
fn a_total_ends_the_wait_for_a_key() {
    let upstream = Upstream::start();
    upstream.always(
        super::error(Protocol::OpenAi, 429, "requests", "slow down").header("retry-after-ms", 3000),
    );
    let gateway = openai_routes([&upstream])
        .setting("max_retries", 2)
        .setting("total_seconds", 0.6)
        .start();
    let begun = Instant::now();
    let refused = gateway.chat(&question());
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(upstream.requests().len(), 1);
}
