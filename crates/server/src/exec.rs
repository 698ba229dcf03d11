//! A command in a container over a connection that has become its own: frames in, frames out, until one of the two ends.
//! Also how many there are at once. Must not know how a command is started, nor who may.

use crate::gateway::listen::{Phase, reached};
use ensemble_engine::exec::{Descriptor, Ended, Ending, Execution, Window, WindowSize};
use ensemble_wire::payload::exec::{Closing, Exit, Frame};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

/// Frames that wait for the connection; then the command waits.
const FRAMES_AT_MOST: usize = 4;

/// Read at once, of the command and of the client.
const BYTES_AT_ONCE: usize = 32 << 10;

/// Without a word for so long, proxies close a connection, and a client may wonder.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// What a command has written stands in its pipe when it ends. After this long without more, that was all, whoever
/// else holds the pipe.
const QUIET: Duration = Duration::from_millis(50);

/// And no pipe holds more than this.
const BEHIND_THE_END_AT_MOST: usize = 1 << 20;

/// How long a client may take for the last frame of a command that the server ends.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(2);

/// How many commands run.
pub(crate) struct Commands {
    at_most: AtomicUsize,
    running: AtomicUsize,
}

/// Room for one command, until it is dropped.
pub(crate) struct Seat(Arc<Commands>);

impl Commands {
    pub(crate) fn new(at_most: usize) -> Arc<Self> {
        Arc::new(Self { at_most: AtomicUsize::new(at_most), running: AtomicUsize::new(0) })
    }

    /// Fewer than run end nobody.
    pub(crate) fn limit(&self, at_most: usize) {
        self.at_most.store(at_most, Ordering::Relaxed);
    }

    pub(crate) fn take(self: &Arc<Self>) -> Option<Seat> {
        let at_most = self.at_most.load(Ordering::Relaxed);
        let room = |running| (running < at_most).then_some(running + 1);
        let taken = self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        taken.is_ok().then(|| Seat(Arc::clone(self)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A command that runs and waits for its connection.
pub(crate) struct Session {
    request_id: String,
    instance: String,
    execution: Execution,
    started: Instant,
    _seat: Seat,
}

/// How a session ended.
enum Outcome {
    Ended(Ended),
    /// The server ends it.
    Cut(&'static str),
    /// The client went, or is not understood.
    Gone(String),
}

impl Session {
    pub(crate) fn new(request_id: String, instance: String, execution: Execution, seat: Seat) -> Self {
        Self { request_id, instance, execution, started: Instant::now(), _seat: seat }
    }

    /// Carries the command's bytes until it ends, the client goes, nothing moves for too long, or the server stops.
    pub(crate) async fn run(
        self,
        connection: impl AsyncRead + AsyncWrite + Unpin + Send,
        idle_within: Duration,
        phase: watch::Receiver<Phase>,
    ) {
        let Self { request_id, instance, execution, started, _seat } = self;
        let (mut reading, mut writing) = tokio::io::split(connection);
        let (frames, mut queue) = mpsc::channel::<Frame>(FRAMES_AT_MOST);
        let sending = async {
            while let Some(frame) = queue.recv().await {
                writing.write_all(&frame.encode()).await?;
                writing.flush().await?;
            }
            writing.shutdown().await
        };
        let mut sending = std::pin::pin!(sending);
        let outcome = tokio::select! {
            outcome = converse(execution, &mut reading, frames, idle_within, phase) => outcome,
            // It does not end before the conversation but by an error.
            _ = &mut sending => Outcome::Gone("it takes nothing any more".to_owned()),
        };
        let within = match &outcome {
            Outcome::Ended(_) => idle_within,
            Outcome::Cut(_) | Outcome::Gone(_) => LAST_WORD_WITHIN,
        };
        // Who does not take it is not waited for any longer.
        let _ = timeout(within, sending).await;
        let told = match outcome {
            Outcome::Ended(Ended { code, cause }) => {
                format!(
                    "ended with code {code}{}",
                    cause.map_or_else(String::new, |cause| format!(", {cause}"))
                )
            }
            Outcome::Cut(reason) => format!("was ended: {reason}"),
            Outcome::Gone(reason) => format!("was ended with its client: {reason}"),
        };
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(request_id, instance, took_ms, "the command in {instance} {told}");
    }
}

/// When a byte moved last.
struct Movement(Mutex<Instant>);

impl Movement {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns once nothing has moved for so long.
    async fn ceased(&self, within: Duration) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + within;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// Everything but writing to the connection; the last frame is on its way when it returns. What is dropped with it ends
/// the command.
async fn converse(
    execution: Execution,
    reading: &mut (impl AsyncRead + Unpin),
    frames: mpsc::Sender<Frame>,
    idle_within: Duration,
    mut phase: watch::Receiver<Phase>,
) -> Outcome {
    let Execution { stdin, stdout, stderr, window, ending } = execution;
    let movement = Movement(Mutex::new(Instant::now()));
    let outcome = tokio::select! {
        ended = carry_out(stdout, stderr, &ending, &frames, &movement) => Outcome::Ended(ended),
        gone = carry_in(reading, stdin, window, &movement) => Outcome::Gone(gone),
        () = keep_alive(&frames) => Outcome::Gone("it takes nothing any more".to_owned()),
        () = movement.ceased(idle_within) => Outcome::Cut("nothing was sent to it or by it for too long"),
        () = reached(&mut phase, Phase::Draining) => Outcome::Cut("the server is stopping"),
    };
    let (last, within) = match &outcome {
        Outcome::Ended(Ended { code, cause }) => {
            (Frame::Exit(Exit { code: *code, cause: cause.clone() }), idle_within)
        }
        Outcome::Cut(reason) => (Frame::Closing(Closing { reason: (*reason).to_owned() }), LAST_WORD_WITHIN),
        Outcome::Gone(reason) => (Frame::Closing(Closing { reason: reason.clone() }), LAST_WORD_WITHIN),
    };
    drop(ending);
    // Who does not take it is gone.
    let _ = timeout(within, frames.send(last)).await;
    outcome
}

/// The command's output until its end, and how it ended.
async fn carry_out(
    stdout: Descriptor,
    stderr: Option<Descriptor>,
    ending: &Ending,
    frames: &mpsc::Sender<Frame>,
    movement: &Movement,
) -> Ended {
    let (is_over, over) = watch::channel(false);
    let wait = async {
        let ended = ending.ended().await;
        is_over.send_replace(true);
        ended
    };
    let stderr = async {
        if let Some(stderr) = stderr {
            pump(stderr, Frame::Stderr, frames, over.clone(), movement).await;
        }
    };
    let stdout = pump(stdout, Frame::Stdout, frames, over.clone(), movement);
    let (ended, (), ()) = tokio::join!(wait, stdout, stderr);
    ended
}

/// One stream of the command, to its end; but when the command has ended, only what it has written itself.
async fn pump(
    mut output: Descriptor,
    frame: fn(Vec<u8>) -> Frame,
    frames: &mpsc::Sender<Frame>,
    mut over: watch::Receiver<bool>,
    movement: &Movement,
) {
    let mut buffer = vec![0; BYTES_AT_ONCE];
    let mut left = BEHIND_THE_END_AT_MOST;
    loop {
        let quiet = async {
            // An error means that nobody waits for the end any more.
            let _ = over.wait_for(|is_over| *is_over).await;
            sleep(QUIET).await;
        };
        let length = tokio::select! {
            biased;
            read = output.read(&mut buffer) => read.unwrap_or(0),
            () = quiet => 0,
        };
        if *over.borrow() {
            left = left.saturating_sub(length);
        }
        if length == 0 || left == 0 || frames.send(frame(buffer[..length].to_vec())).await.is_err() {
            return;
        }
        movement.note();
    }
}

/// What the client sends, until it goes; then why.
async fn carry_in(
    reading: &mut (impl AsyncRead + Unpin),
    mut stdin: Option<Descriptor>,
    window: Option<Window>,
    movement: &Movement,
) -> String {
    let mut buffer = Vec::new();
    let mut chunk = vec![0; BYTES_AT_ONCE];
    loop {
        loop {
            let (frame, taken) = match Frame::decode(&buffer) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => break,
                Err(malformed) => return malformed.to_string(),
            };
            buffer.drain(..taken);
            match frame {
                Frame::Stdin(bytes) if bytes.is_empty() => stdin = None,
                Frame::Stdin(bytes) => {
                    movement.note();
                    if let Some(open) = &mut stdin
                        && open.write_all(&bytes).await.is_err()
                    {
                        // The command reads no more; what is sent on is for nobody.
                        stdin = None;
                    }
                }
                Frame::Resize { rows, columns } => {
                    if let Some(window) = &window {
                        window.resize(WindowSize { rows, columns });
                    }
                }
                Frame::Alive => {}
                Frame::Stdout(_) | Frame::Stderr(_) | Frame::Exit(_) | Frame::Closing(_) => {
                    return "it sent a frame that only a server sends".to_owned();
                }
            }
        }
        match reading.read(&mut chunk).await {
            Ok(0) => return "it closed the connection".to_owned(),
            Ok(length) => buffer.extend_from_slice(&chunk[..length]),
            Err(error) => return error.to_string(),
        }
    }
}

/// Returns when nobody takes frames any more.
async fn keep_alive(frames: &mpsc::Sender<Frame>) {
    let mut ticks = interval(ALIVE_EVERY);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if frames.send(Frame::Alive).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_commands_run_as_may_and_one_that_ends_makes_room() {
        let commands = Commands::new(2);
        let first = commands.take();
        let second = commands.take();

        assert!(first.is_some() && second.is_some());
        assert!(commands.take().is_none());
        drop(first);
        assert!(commands.take().is_some());
        commands.limit(0);
        assert!(commands.take().is_none());
    }
}
