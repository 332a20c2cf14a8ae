//! One plain request over TCP to a running gateway, so that a container needs no other program. It knows no command.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::outcome::Failure;
use super::start;

const LIMIT: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What a gateway answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Host and port of the gateway: those of `--url`, else the port of the settings on this machine.
pub(super) fn gateway(url: Option<&str>) -> Result<String, Failure> {
    let url = match url {
        Some(url) => url.to_owned(),
        None => format!("http://127.0.0.1:{}", start::read()?.settings.port),
    };
    authority(&url).map_err(Failure::usage)
}

/// Host and port of an address such as `http://127.0.0.1:9876`.
fn authority(url: &str) -> Result<String, String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("--url `{url}` does not begin with http://"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err(format!("--url `{url}` names no host"));
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    })
}

/// Sends one request, with a key and a JSON body if there are any, and reads the whole answer.
pub(super) fn call(
    authority: &str,
    request_line: &str,
    key: Option<&str>,
    body: Option<&str>,
) -> io::Result<Reply> {
    let address = authority
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut request =
        format!("{request_line} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
    if let Some(key) = key {
        request.push_str(&format!("authorization: Bearer {key}\r\n"));
    }
    let body = body.unwrap_or_default();
    if !body.is_empty() {
        request.push_str("content-type: application/json\r\n");
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    reply(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1.1"))
}

fn reply(answer: &str) -> Option<Reply> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Reply {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_or_refused_with_words() {
        assert_eq!(
            authority("http://127.0.0.1:9876/health").unwrap(),
            "127.0.0.1:9876"
        );
        assert_eq!(authority("http://gateway").unwrap(), "gateway:80");
        assert_eq!(authority("http://[::1]:1").unwrap(), "[::1]:1");
        assert!(authority("https://gateway").is_err());
        assert!(authority("http://").is_err());
        assert!(authority("http://user@host:1").is_err());
    }

    #[test]
    fn an_answer_is_read_or_refused() {
        let read = reply("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        assert_eq!((read.status, read.body.as_str()), (200, "{}"));
        for text in [
            "",
            "HTTP/1.1 200 OK",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 x\r\n\r\n",
        ] {
            assert!(reply(text).is_none(), "{text}");
        }
    }
}
