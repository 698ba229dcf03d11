//! A closed loop of requests over many connections from one thread: each connection sends its next request when the
//! last is answered. One thread and epoll, since the generator shares the cores with what it measures.
//! Knows nothing of what it sends; `Traffic` does.

use crate::http::{self, Answer};
use anyhow::{Context, Result, bail};
use rustix::event::epoll;
use rustix::time::Timespec;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// More than any answer here has.
const ANSWER_BYTES_AT_MOST: usize = 4 << 20;

/// Nothing is answered for so long only when the server is gone.
const SILENCE_AT_MOST: Duration = Duration::from_secs(30);

/// What is sent, and what is thought of the answers.
pub(crate) trait Traffic {
    /// Appends the connection's next request, or says that there is none.
    fn next(&mut self, connection: usize, request: &mut Vec<u8>) -> Next;

    fn answered(&mut self, connection: usize, answer: Answer<'_>) -> Verdict;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Send,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    AsWanted,
    NotAsWanted,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    /// Not counted.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What came of the measured time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) elapsed: Duration,
    /// Of answers as wanted, in microseconds.
    pub(crate) latencies_us: Vec<u32>,
    pub(crate) not_as_wanted: u64,
}

impl Outcome {
    /// Answers as wanted in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies_us.len() as f64 / self.elapsed.as_secs_f64()
    }
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    sent_at: Instant,
}

/// Runs until the plan's time is over, or the traffic has nothing more to send.
///
/// # Errors
/// The server cannot be reached, or falls silent.
pub(crate) fn run(address: &str, plan: Plan, traffic: &mut impl Traffic) -> Result<Outcome> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = Vec::new();
    let mut request = Vec::with_capacity(4096);
    let mut open = 0;
    for index in 0..plan.connections {
        connections.push(connect(&poll, address, index)?);
    }
    for (index, connection) in connections.iter_mut().enumerate() {
        open += usize::from(send(connection, index, traffic, &mut request)? == Next::Send);
    }
    let began = Instant::now();
    let (counted_from, until) = (began + plan.warm_up, began + plan.warm_up + plan.measured);
    let mut outcome = Outcome::default();
    let mut events = Vec::with_capacity(plan.connections);
    while open > 0 && Instant::now() < until {
        events.clear();
        let patience = Timespec { tv_sec: SILENCE_AT_MOST.as_secs() as i64, tv_nsec: 0 };
        if epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&patience))? == 0 {
            bail!("no answer for {SILENCE_AT_MOST:?}");
        }
        for event in &events {
            let index = event.data.u64() as usize;
            let connection = &mut connections[index];
            if !receive(connection)? {
                // The server closes after some refusals: that is its answer.
                outcome.not_as_wanted += u64::from(connection.sent_at >= counted_from);
                *connection = connect(&poll, address, index)?;
            } else {
                let Some(answer) = http::parse(&connection.received) else { continue };
                let (now, length) = (Instant::now(), answer.length);
                let verdict = traffic.answered(index, answer);
                if now >= counted_from {
                    match verdict {
                        Verdict::AsWanted => {
                            let took = now.duration_since(connection.sent_at).as_micros();
                            outcome.latencies_us.push(u32::try_from(took).unwrap_or(u32::MAX));
                        }
                        Verdict::NotAsWanted => outcome.not_as_wanted += 1,
                    }
                }
                connection.received.drain(..length);
            }
            open -= usize::from(send(connection, index, traffic, &mut request)? == Next::Nothing);
        }
    }
    outcome.elapsed = Instant::now().saturating_duration_since(counted_from);
    Ok(outcome)
}

fn connect(poll: &impl rustix::fd::AsFd, address: &str, index: usize) -> Result<Connection> {
    let stream = TcpStream::connect(address).with_context(|| format!("`{address}`"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let data = epoll::EventData::new_u64(index as u64);
    epoll::add(poll, &stream, data, epoll::EventFlags::IN)?;
    Ok(Connection { stream, received: Vec::new(), sent_at: Instant::now() })
}

fn send(
    connection: &mut Connection,
    index: usize,
    traffic: &mut impl Traffic,
    request: &mut Vec<u8>,
) -> Result<Next> {
    request.clear();
    let next = traffic.next(index, request);
    connection.sent_at = Instant::now();
    let mut rest = request.as_slice();
    while !rest.is_empty() {
        match connection.stream.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            // The server has closed on what came before: the next look at the connection says so.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(next)
}

/// Takes what is there; false when the server has closed.
fn receive(connection: &mut Connection) -> Result<bool> {
    let mut buffer = [0; 16 << 10];
    match connection.stream.read(&mut buffer) {
        Ok(0) => return Ok(false),
        Ok(count) => connection.received.extend_from_slice(&buffer[..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    if connection.received.len() > ANSWER_BYTES_AT_MOST {
        bail!("an answer without end");
    }
    Ok(true)
}
