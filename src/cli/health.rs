//! `model-proxy health`: one plain request over TCP, so that a container needs no other program for its health check.

use std::io::{Read as _, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::outcome::Failure;
use super::start;

const LIMIT: Duration = Duration::from_secs(5);

pub(super) fn run(url: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let url = match url {
        Some(url) => url.to_owned(),
        None => format!("http://127.0.0.1:{}", start::read()?.settings.port),
    };
    let authority = authority(&url).map_err(Failure::usage)?;
    let status = ask(&authority)
        .map_err(|error| Failure::failed(format!("no answer from {authority}: {error}")))?;
    if status == 200 {
        return Ok(writeln!(out, "healthy")?);
    }
    Err(Failure::failed(format!(
        "{authority} is unhealthy: status {status}"
    )))
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

fn ask(authority: &str) -> std::io::Result<u16> {
    let address = authority.to_socket_addrs()?.next().ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::NotFound, "the host has no address")
    })?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let request = format!("GET /health HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    std::str::from_utf8(&head)
        .ok()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.parse().ok())
        .ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the answer is not HTTP/1.1",
            )
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
}
