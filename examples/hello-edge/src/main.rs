//! The program in the example image. Without arguments it answers HTTP on port 8080 and says where it runs; with a
//! mode it misbehaves in one chosen way, which the engine's tests need (see [`USAGE`]).
//! Must stay one small static file: nothing but the standard library and `libc`.

mod kernel;
mod serve;

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: hello-edge [MODE]
  serve [PORT]          answer every GET with JSON (port 8080); the mode without arguments
  datagrams PORT        answer every UDP datagram with that JSON
  env                   print that JSON once
  print N [BYTES]       print N lines on stdout, each of at least BYTES bytes
  print-error N         print N lines on stderr
  exit CODE [AFTER_MS]  end with CODE, after a while
  allocate MIB          take and touch so much memory, then wait for TERM
  threads N             start N threads and join them
  blocked-call          try a system call that a container must not make: 0 if it was refused, 1 if not
  raw-socket            try to open a raw socket: 0 if it was refused, 1 if not
  ignore-term           wait, and ignore TERM
  sleep SECONDS         wait, end early at TERM
  read PATH             print a file
  write PATH            write a file: 0 if it could be written
  connect HOST:PORT     0 if a connection is made within 2 seconds
  fetch HOST:PORT       print what a GET of / answers";

fn main() -> ExitCode {
    kernel::end_at_term();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode, String> {
    match words {
        [] | ["serve"] => serve::forever(8080),
        ["serve", port] | [port] if port.parse::<u16>().is_ok() => serve::forever(number(port)? as u16),
        ["datagrams", port] => serve::datagrams(number(port)? as u16),
        ["env"] => print(&serve::document()),
        ["print", lines] => print_lines(number(lines)?, 0, &mut std::io::stdout().lock()),
        ["print", lines, bytes] => print_lines(number(lines)?, number(bytes)?, &mut std::io::stdout().lock()),
        ["print-error", lines] => print_lines(number(lines)?, 0, &mut std::io::stderr().lock()),
        ["exit", code] => exit(number(code)?, 0),
        ["exit", code, after_ms] => exit(number(code)?, number(after_ms)?),
        ["allocate", mebibytes] => allocate(number(mebibytes)?),
        ["threads", count] => threads(number(count)?),
        ["blocked-call"] => Ok(refused("keyctl", kernel::try_keyctl())),
        ["raw-socket"] => Ok(refused("a raw socket", kernel::try_raw_socket())),
        ["ignore-term"] => {
            kernel::ignore_term();
            println!("ignoring TERM");
            wait_forever()
        }
        ["sleep", seconds] => exit(0, number(seconds)? * 1000),
        ["read", path] => {
            print(&std::fs::read_to_string(path).map_err(|error| format!("`{path}`: {error}"))?)
        }
        ["write", path] => match std::fs::write(path, "written by hello-edge\n") {
            Ok(()) => print("written\n"),
            Err(error) => Err(format!("`{path}`: {error}")),
        },
        ["connect", target] => connect(target).map(|_| ExitCode::SUCCESS),
        ["fetch", target] => fetch(target),
        _ => Err(format!("unknown mode\n{USAGE}")),
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is not a whole number"))
}

fn print(text: &str) -> Result<ExitCode, String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn print_lines(lines: u64, bytes: u64, out: &mut impl Write) -> Result<ExitCode, String> {
    for line in 1..=lines {
        let text = format!("line {line} ");
        let filler = ".".repeat((bytes as usize).saturating_sub(text.len() + 1));
        writeln!(out, "{text}{filler}").map_err(|error| error.to_string())?;
    }
    out.flush().map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn exit(code: u64, after_ms: u64) -> Result<ExitCode, String> {
    std::thread::sleep(Duration::from_millis(after_ms));
    Ok(ExitCode::from(u8::try_from(code).map_err(|_| format!("{code} is no exit code"))?))
}

fn allocate(mebibytes: u64) -> Result<ExitCode, String> {
    // Any value but zero: the kernel hands out zeroed pages without taking memory for them.
    let memory = vec![0x5a_u8; (mebibytes as usize) << 20];
    println!("allocated {} MiB", std::hint::black_box(&memory).len() >> 20);
    wait_forever()
}

fn threads(count: u64) -> Result<ExitCode, String> {
    let mut running = Vec::new();
    for index in 0..count {
        let thread = std::thread::Builder::new().spawn(move || index);
        running.push(thread.map_err(|error| format!("thread {index}: {error}"))?);
    }
    for thread in running {
        thread.join().map_err(|_| "a thread panicked".to_owned())?;
    }
    print(&format!("{count} threads\n"))
}

fn refused(what: &str, answer: std::io::Result<()>) -> ExitCode {
    match answer {
        Ok(()) => {
            println!("{what} was allowed");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{what} was refused: {error}");
            ExitCode::SUCCESS
        }
    }
}

fn connect(target: &str) -> Result<TcpStream, String> {
    let in_words = |error: std::io::Error| format!("`{target}`: {error}");
    let mut addresses = target.to_socket_addrs().map_err(in_words)?;
    let address = addresses.next().ok_or_else(|| format!("`{target}` has no address"))?;
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).map_err(in_words)
}

fn fetch(target: &str) -> Result<ExitCode, String> {
    let mut stream = connect(target)?;
    let mut answer = String::new();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .and_then(|()| write!(stream, "GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n"))
        .and_then(|()| stream.take(1 << 20).read_to_string(&mut answer))
        .map_err(|error| format!("`{target}`: {error}"))?;
    print(&answer)
}

fn wait_forever() -> ! {
    loop {
        std::thread::park();
    }
}
