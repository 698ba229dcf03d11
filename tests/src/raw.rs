//! HTTP/1.1 on a bare socket, as somebody would speak it who means no good: sends the bytes it is given, however
//! wrong, and reads what is answered. Must not mend or hide anything; `forge` makes the bytes.

use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than the longest wait of the server: it reads a slow body for 30 s.
const ANSWER_AT_MOST: Duration = Duration::from_secs(45);
/// No answer of these tests is larger.
const ANSWER_BYTES_AT_MOST: usize = 16 << 20;

/// One answer, as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// After transfer decoding.
    pub body: Vec<u8>,
}

/// Whether an answer has a body: one to HEAD says a length and sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Follows,
    None,
}

pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Answer {
    /// The value of a header; the first where it repeats.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Connection {
    /// # Errors
    /// When nobody listens at `host:port`.
    pub fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("`{address}`"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_AT_MOST))?;
        stream.set_write_timeout(Some(ANSWER_AT_MOST))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// # Errors
    /// When the server has closed the connection; it may have answered before.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends as much as the server takes before it stops taking for so long.
    pub fn send_within(&mut self, bytes: &[u8], patience: Duration) {
        let _ = self.stream.set_write_timeout(Some(patience));
        // What was not taken is what this is about.
        let _ = self.stream.write_all(bytes);
    }

    /// The same connection a second time, to send while the first waits for an answer.
    pub fn another(&self) -> Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, unread: Vec::new() })
    }

    /// Whether an answer of status 200 begins; its body is left to come.
    pub fn is_answering(&mut self) -> Result<bool> {
        Ok(self.head()?.is_some_and(|answer| answer.status == 200))
    }

    /// Whether the server has closed the connection by now.
    pub fn has_ended(&mut self) -> Result<bool> {
        self.stream.set_nonblocking(true)?;
        let ended = loop {
            match self.stream.read(&mut [0; 4 << 10]) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false)?;
        Ok(ended)
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) -> std::io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    /// The next answer; `None` when the server closes the connection instead. Answers of status 100 are left out.
    ///
    /// # Errors
    /// When an answer is cut off or is not HTTP, or none comes in 45 s.
    pub fn answer(&mut self, body: Body) -> Result<Option<Answer>> {
        loop {
            let Some(answer) = self.head()? else { return Ok(None) };
            if answer.status == 100 {
                continue;
            }
            let body = match body {
                Body::None => Vec::new(),
                Body::Follows => self.body_of(&answer)?,
            };
            return Ok(Some(Answer { body, ..answer }));
        }
    }

    /// An answer whose body is still to be read.
    fn head(&mut self) -> Result<Option<Answer>> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at;
            }
            if !self.more()? {
                if self.unread.is_empty() {
                    return Ok(None);
                }
                bail!("an answer was cut off in its head: {:?}", String::from_utf8_lossy(&self.unread));
            }
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = String::from_utf8(head)?;
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.with_context(|| format!("`{first}` is no status line"))?.parse()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Ok(Some(Answer { status, headers: headers.collect(), body: Vec::new() }))
    }

    fn body_of(&mut self, answer: &Answer) -> Result<Vec<u8>> {
        let Some(length) = answer.header("content-length") else {
            bail!("an answer without a length: {answer:?}");
        };
        let length: usize = length.parse()?;
        while self.unread.len() < length {
            if !self.more()? {
                bail!("an answer was cut off after {} of {length} bytes", self.unread.len());
            }
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Reads on; false at the end of the connection, and a reset is an end.
    fn more(&mut self) -> Result<bool> {
        let mut piece = [0; 64 << 10];
        anyhow::ensure!(self.unread.len() < ANSWER_BYTES_AT_MOST, "an answer without end");
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.unread.extend_from_slice(&piece[..length]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                Ok(false)
            }
            Err(error) => Err(error).context("no answer"),
        }
    }
}

/// One request on a connection of its own. What could not be sent is no error: the server may have answered early.
///
/// # Errors
/// As [`Connection::answer`].
pub fn exchange(address: &str, request: &[u8]) -> Result<Option<Answer>> {
    let mut connection = Connection::open(address)?;
    let _ = connection.send(request);
    connection.answer(Body::Follows)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
