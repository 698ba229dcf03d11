//! Answers HTTP/1.1: every GET gets one JSON document that says where the container runs. Reads nothing but the
//! request line and closes after each answer; four threads, so four connections at a time and no queue of ours.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

const THREADS: usize = 4;
const REQUEST_BYTES_MAX: u64 = 16 * 1024;
const SOCKET_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until the process is ended.
pub(crate) fn forever(port: u16) -> Result<ExitCode, String> {
    let listener =
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(|error| format!("port {port}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on {address}");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| accept(&listener));
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// Answers datagrams until the process is ended.
pub(crate) fn datagrams(port: u16) -> Result<ExitCode, String> {
    let in_words = |error: std::io::Error| format!("port {port}: {error}");
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(in_words)?;
    println!("listening on {}/udp", socket.local_addr().map_err(in_words)?);
    let document = document();
    loop {
        let (_, caller) = socket.recv_from(&mut [0; 64]).map_err(in_words)?;
        // One that cannot be answered is not to end the others.
        let _ = socket.send_to(document.as_bytes(), caller);
    }
}

/// The document: the variables `ENS_*` as Ensemble gave them to this container, the host's name and the process id.
pub(crate) fn document() -> String {
    let mut members: Vec<(String, String)> =
        std::env::vars().filter(|(name, _)| name.starts_with("ENS_")).collect();
    members.sort();
    members.push(("hostname".to_owned(), hostname()));
    let fields: String =
        members.iter().map(|(name, value)| format!("{}:{},", quote(name), quote(value))).collect();
    format!("{{{fields}\"pid\":{}}}\n", std::process::id())
}

fn accept(listener: &TcpListener) {
    loop {
        match listener.accept() {
            // A client that went away is not this server's trouble.
            Ok((stream, _)) => drop(answer(&stream)),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
    stream.set_write_timeout(Some(SOCKET_TIMEOUT))?;
    let mut reader = BufReader::new(stream.take(REQUEST_BYTES_MAX));
    let mut request_line = String::new();
    reader.read_line(&mut request_line)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let (status, body) = match request_line.split(' ').next() {
        Some("GET") => ("200 OK", document()),
        Some("HEAD") => ("200 OK", String::new()),
        _ => ("405 Method Not Allowed", "{\"error\":\"only GET is answered\"}\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

/// A JSON string.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character < ' ' => quoted.push_str(&format!("\\u{:04x}", character as u32)),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_quoted_text_is_valid_json_whatever_it_holds() {
        let cases = [
            ("plain", r#""plain""#),
            ("a \"quoted\" word", r#""a \"quoted\" word""#),
            ("back\\slash", r#""back\\slash""#),
            ("line\nbreak", r#""line\u000abreak""#),
            ("上海移动", "\"上海移动\""),
        ];
        for (text, expected) in cases {
            assert_eq!(quote(text), expected);
        }
    }
}
