//! `model-proxy demo` as a newcomer meets it: the three printed commands work as they stand.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::binary::model_proxy;
use crate::support::client::{Request, get, post};
use crate::support::events::text_of;

/// What curl would send for a printed command.
fn from_curl(address: SocketAddr, command: &str) -> Request {
    let url = command
        .split_whitespace()
        .find(|word| word.starts_with("http://"));
    let path = url.and_then(|url| url.strip_prefix(&format!("http://{address}")));
    let mut request = post(address, path.expect("a URL of this gateway"));
    for quoted in command.split('\'').skip(1).step_by(2) {
        if let Some((name, value)) = quoted.split_once(": ").filter(|_| !quoted.starts_with('{')) {
            request = request.header(name, value);
        } else {
            request = request.bytes(quoted);
        }
    }
    request
}

#[test]
fn the_three_printed_commands_answer() {
    let demo = model_proxy(["demo", "--port", "0"]).start();
    let address = demo.address();
    let printed = demo.wait_until_printed(|text| text.contains("Ctrl-C").then(|| text.to_owned()));
    let commands: Vec<_> = printed
        .lines()
        .filter(|line| line.starts_with("curl "))
        .collect();
    let [whole, streamed, anthropic] = commands[..] else {
        panic!("not three commands: {printed}");
    };
    let answer = from_curl(address, whole).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let content = answer.json()["choices"][0]["message"]["content"].clone();
    let content = content.as_str().expect("text");
    assert!(
        content.starts_with("You said: \"Hello, who are you?\""),
        "{content}"
    );
    for command in [streamed, anthropic] {
        let finished = from_curl(address, command).send_streaming().read_to_end();
        assert!(finished.properly());
        assert_eq!(text_of(&finished.events), content);
    }
    demo.signal("TERM");
    let ended = demo.wait();
    assert_eq!(ended.code(), 0, "{}", ended.printed);
}

#[test]
fn the_demo_leaves_no_files_behind() {
    let demo = model_proxy(["demo", "--port", "0"])
        .temporary_files_inside()
        .start();
    demo.address();
    let directory = demo.directory().to_owned();
    let files = || directory.read_dir().expect("a folder").count();
    assert!(files() > 0);
    demo.signal("INT");
    let (ended, left) = demo.wait_and(files);
    assert_eq!((ended.code(), left), (0, 0), "{}", ended.printed);
}

#[test]
fn the_upstream_can_be_served_alone() {
    let upstream = model_proxy(["demo", "--upstream-only", "--port", "0"]).start();
    let address = upstream.address();
    assert_eq!(get(address, "/health").send().status, 200);
    assert_eq!(get(address, "/v1/models").send().status, 401);
    assert_eq!(
        get(address, "/v1/models").key("demo-key-1").send().status,
        200
    );
    let health = model_proxy(["health", "--url", &format!("http://{address}")]).run();
    assert_eq!(health.code(), 0, "{}", health.printed);
    upstream.signal("TERM");
    assert_eq!(upstream.wait_for(Duration::from_secs(10)).code(), 0);
}
