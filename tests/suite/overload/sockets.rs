//! Connections that say nothing or too little, and more of them than the process may have files open.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use model_proxy::protocol::Protocol;
use socket2::{Domain, Socket, Type};

use super::{SOON, assert_shed, path, question, wait_until};
use crate::support::binary::{CommandLine, model_proxy};
use crate::support::client::{Connection, get, post};
use crate::support::gateway::{CLIENT_KEY, Gateway, model_json, provider_json};
use crate::support::upstream::Upstream;
use crate::support::upstream::bodies::openai_answer;

#[test]
fn a_connection_whose_head_does_not_come_in_time_is_closed() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    let begun = Instant::now();
    let mut silent = Connection::open(gateway.address());
    let mut slow = TcpStream::connect(gateway.address()).expect("the gateway listens");
    let wait = Duration::from_millis(200);
    slow.set_read_timeout(Some(wait)).expect("a limit");
    let head = format!("POST /v1/messages HTTP/1.1\r\nx-slow: {}", "x".repeat(1000));
    for byte in head.as_bytes() {
        assert!(begun.elapsed() < Duration::from_secs(20), "still open");
        if std::io::Write::write_all(&mut slow, &[*byte]).is_err() {
            break;
        }
        // a byte of an answer, an end or a reset
        let heard = slow.read(&mut [0; 1]);
        if !heard.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
            break;
        }
    }
    assert!(begun.elapsed() > Duration::from_secs(10));
    assert_eq!(silent.read_response(false).status, 408);
    assert!(silent.closes_within(Duration::from_secs(5)));
    assert_eq!(gateway.chat(&question("m")).status, 200);
}

#[test]
fn a_crowd_that_comes_at_once_does_not_wait_for_the_door() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(&upstream, Protocol::OpenAi);
    // a listener whose queue is full is tried again after a second at the earliest
    let begun = Instant::now();
    let crowd: Vec<_> = (0..1000)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("nonblocking");
            // it is under way
            let _ = socket.connect(&gateway.address().into());
            socket
        })
        .collect();
    for socket in &crowd {
        wait_until("it is let in", || socket.peer_addr().is_ok());
    }
    assert!(begun.elapsed() < Duration::from_millis(900));
}

fn serve(upstream: &Upstream) -> CommandLine {
    let file = provider_json("alpha", &upstream.url(), Protocol::OpenAi);
    model_proxy(["serve"])
        .env("PORT", "0")
        .env("WORKERS", "2")
        .env("CLIENT_API_KEY", CLIENT_KEY)
        .env("RATE_LIMIT_REQUESTS_PER_MINUTE", "0")
        .env("ALPHA_API_KEY", "key-of-alpha")
        .file("config/providers/alpha.json", &file.to_string())
        .file(
            "config/models/m.json",
            &model_json("m", [("alpha", "up-m")]).to_string(),
        )
}

#[test]
fn as_many_files_may_be_open_as_the_system_lets() {
    let upstream = Upstream::start();
    let process = serve(&upstream)
        .under("ulimit -Sn 200; ulimit -Hn 600")
        .start();
    process.address();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id()));
    let limits = limits.expect("the process lives");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<_> = line.expect("a limit").split_whitespace().collect();
    assert_eq!(words[3..5], ["600", "600"]);
    let printed = process.wait_until_printed(|text| {
        text.lines()
            .find(|line| line.contains("max_in_flight"))
            .map(str::to_owned)
    });
    assert!(
        printed.contains("600") && printed.contains("20064"),
        "{printed}"
    );
}

#[test]
fn without_a_file_for_another_socket_a_request_is_shed_and_no_key_rests() {
    let upstream = Upstream::start();
    upstream.always(openai_answer("hi"));
    let process = serve(&upstream)
        .env("MAX_IN_FLIGHT", "10")
        .under("ulimit -n 100")
        .start();
    let address = process.address();
    let ask = post(address, path(Protocol::OpenAi))
        .key(CLIENT_KEY)
        .json(&question("m"));
    let mut connection = Connection::open(address);
    assert_eq!(connection.send(&get(address, "/health")).status, 200);
    // what the process does not accept waits in the system's queue
    let crowd: Vec<_> = (0..120).map(|_| Connection::open(address)).collect();
    let files = format!("/proc/{}/fd", process.id());
    wait_until("no file is left", || {
        std::fs::read_dir(&files).is_ok_and(|files| files.count() >= 99)
    });
    assert_shed(Protocol::OpenAi, &connection.send(&ask));
    drop(crowd);
    let begun = Instant::now();
    wait_until("there are files again", || ask.send().status == 200);
    assert!(begun.elapsed() < SOON);
}
