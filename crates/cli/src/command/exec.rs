//! `ensemble exec`: a command in a container, with this process's own input, output and terminal; ends with the
//! command's code.

mod terminal;

use crate::client::{Client, Parameters, parameter};
use crate::command::{app, instances};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use clap::Args;
use ensemble_wire::payload::exec::{Frame, PROTOCOL};
use reqwest::Upgraded;
use serde_json::Value;
use std::io::{self, Read, Write};
use terminal::{RawTerminal, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Frames that wait for the connection; then input waits.
const FRAMES_AT_MOST: usize = 4;

const BYTES_AT_ONCE: usize = 32 << 10;

/// The server says every 15 s that it is there.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(45);

/// As shells have it for a program that is not there.
const NOT_FOUND: u8 = 127;

/// Run a command in a container
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble exec i-5s9boobrmh5000kv4jmi0oeai -- ls -l /
  ensemble exec -it hello -- sh
  tar c . | ensemble exec -i hello -- tar x -C /srv

The exit code is that of the command; 127 when the container has no such program.
A command ends when its program ends, also when it has left others running. When
this process goes, the command and all it has begun are ended.")]
pub(crate) struct Arguments {
    /// An instance id, or an application that has one instance (id, prefix or name)
    what: String,
    /// Pass this process's input on; without it the command reads nothing
    #[arg(long, short)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(long, short)]
    tty: bool,
    /// The pod, where an instance has several
    #[arg(long)]
    pod: Option<String>,
    /// The container, where a pod has several
    #[arg(long)]
    container: Option<String>,
    /// The program and its arguments, behind `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let size = Size::own();
    if arguments.tty && arguments.interactive && size.is_none() {
        return Err(Failure::usage("-t needs a terminal, and standard input is none")
            .hint("leave -t out to pass data through: `ensemble exec -i`"));
    }
    let client = context.client()?;
    let instance = instance(&client, &arguments.what).await?;
    let parameters = parameters(&arguments, &instance, size);
    let connection = client.upgrade("ExecInstance", &parameters, PROTOCOL).await.map_err(|failure| {
        match failure.reason() {
            Some("CommandNotFound") => Failure { exit: Exit::Of(NOT_FOUND), ..failure },
            _ => failure,
        }
    })?;
    // From here on until it is dropped every key goes to the command, Ctrl-C too.
    let raw = if arguments.tty && arguments.interactive { RawTerminal::enter() } else { None };
    let ended = converse(connection, arguments.interactive, arguments.tty && size.is_some()).await;
    drop(raw);
    let exit = ended?;
    if let Some(cause) = &exit.cause {
        context.say(&format!("note: the command was {cause}"));
    }
    Ok(Exit::Of(exit.code))
}

fn parameters(arguments: &Arguments, instance: &str, size: Option<Size>) -> Parameters {
    let command = Value::from(arguments.command.clone());
    let mut parameters = vec![
        parameter("InstanceId", instance),
        parameter("Command", command),
        parameter("Stdin", arguments.interactive),
        parameter("Tty", arguments.tty),
    ];
    if let Some(Size { rows, columns }) = size.filter(|_| arguments.tty) {
        parameters.extend([parameter("Rows", rows), parameter("Columns", columns)]);
    }
    let named = [("PodName", &arguments.pod), ("ContainerName", &arguments.container)];
    parameters.extend(named.into_iter().filter_map(|(name, value)| Some(parameter(name, value.as_ref()?))));
    parameters
}

/// The instance, or the only one of the application.
async fn instance(client: &Client, what: &str) -> Result<String, Failure> {
    if what.starts_with("i-") {
        return Ok(what.to_owned());
    }
    let found = app::find(client, what).await?;
    let instances = instances::instances(client, &found.id).await?;
    let ids: Vec<&str> = instances.iter().filter_map(|instance| instance["InstanceId"].as_str()).collect();
    match ids.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::usage(format!("{} has no instances", found.name))
            .hint(format!("next: ensemble rescale {} --add cn-shanghai-cmcc=1", found.name))),
        [first, ..] => Err(Failure::usage(format!("{} has {} instances", found.name, ids.len()))
            .hint(format!("name one, such as {first}: `ensemble instances {}` lists them", found.name))),
    }
}

/// Until the command has ended.
async fn converse(
    connection: Upgraded,
    takes_input: bool,
    has_window: bool,
) -> Result<ensemble_wire::payload::exec::Exit, Failure> {
    let (mut reading, mut writing) = tokio::io::split(connection);
    let (frames, mut queue) = mpsc::channel::<Frame>(FRAMES_AT_MOST);
    let sending = async {
        while let Some(frame) = queue.recv().await {
            // What breaks here is told by the other half.
            if writing.write_all(&frame.encode()).await.is_err() || writing.flush().await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    if takes_input {
        let frames = frames.clone();
        // A read of standard input cannot be called off: the thread ends with the process.
        std::thread::spawn(move || send_input(&frames));
    }
    let sizes = async {
        if has_window {
            terminal::follow_size(&frames).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = show_output(&mut reading) => ended,
        () = sending => Err(broken("it takes nothing any more")),
        () = sizes => Err(broken("the terminal is gone")),
    }
}

fn send_input(frames: &mpsc::Sender<Frame>) {
    let mut stdin = io::stdin();
    let mut buffer = vec![0; BYTES_AT_ONCE];
    loop {
        // An input that cannot be read is at its end.
        let length = stdin.read(&mut buffer).unwrap_or(0);
        if frames.blocking_send(Frame::Stdin(buffer[..length].to_vec())).is_err() || length == 0 {
            return;
        }
    }
}

/// Writes what the command writes, and returns how it ended.
async fn show_output(
    reading: &mut ReadHalf<Upgraded>,
) -> Result<ensemble_wire::payload::exec::Exit, Failure> {
    let mut buffer = Vec::new();
    let mut chunk = vec![0; BYTES_AT_ONCE];
    loop {
        while let Some((frame, taken)) = Frame::decode(&buffer).map_err(broken)? {
            buffer.drain(..taken);
            match frame {
                Frame::Stdout(bytes) => write(&mut io::stdout().lock(), &bytes)?,
                Frame::Stderr(bytes) => write(&mut io::stderr().lock(), &bytes)?,
                Frame::Exit(exit) => return Ok(exit),
                Frame::Closing(closing) => {
                    return Err(Failure::new(
                        Exit::Unreachable,
                        format!("the command was ended: {}", closing.reason),
                    ));
                }
                Frame::Alive | Frame::Stdin(_) | Frame::Resize { .. } => {}
            }
        }
        match timeout(SILENCE, reading.read(&mut chunk)).await {
            Ok(Ok(0)) => return Err(broken("it was closed")),
            Ok(Ok(length)) => buffer.extend_from_slice(&chunk[..length]),
            Ok(Err(error)) => return Err(broken(error)),
            Err(_) => return Err(broken("nothing came for 45 s")),
        }
    }
}

/// Nobody who reads on: the command ends with us.
fn write(stream: &mut impl Write, bytes: &[u8]) -> Result<(), Failure> {
    let written = stream.write_all(bytes).and_then(|()| stream.flush());
    written.map_err(|error| Failure::from_error("the command's output cannot be written", &error))
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unreachable, "the connection broke off").cause(why)
}
