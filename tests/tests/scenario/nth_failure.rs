//! The n-th call of a start and a stop on each file of a data directory fails, of a broken disk or a full one, for every n:
//! `strace` answers it in the kernel's place. The server says which file it was, or serves; it never hangs, and afterwards
//! everything is there that was answered before.

use crate::{SETTLED_AT_MOST, add};
use ensemble_tests::server::{self, Engine};
use ensemble_tests::site::Site;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What touches files, under the names of any architecture.
const CALLS: [&str; 14] = [
    "openat",
    "read",
    "pread64",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "flock",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
];

/// Of those, what a full disk refuses.
const NEEDS_ROOM: [&str; 3] = ["write", "pwrite64", "ftruncate"];

/// A traced server that is neither ready nor ended by then hangs.
const AT_MOST: Duration = Duration::from_secs(40);

const POLL_PACE: Duration = Duration::from_millis(10);

/// Servers at a time: each waits for its tracer most of the time.
const AT_ONCE: usize = 4;

/// One call that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    /// In the data directory; nothing for the directory itself.
    file: String,
    name: String,
    /// Counted in each thread: it may fail in more than one.
    nth: usize,
    /// What it answers.
    error: &'static str,
}

impl Call {
    /// What a message says of the file: SQLite does not say which of its three it was.
    fn subject(&self) -> &str {
        match self.file.as_str() {
            "" => "endpoint",
            file if file.starts_with("log.sqlite") => "log",
            file => file.strip_suffix(".new").unwrap_or(file),
        }
    }

    /// Whether a server may become ready although this call failed before.
    fn may_be_survived(&self) -> bool {
        // SQLite leaves a failed sync of the directory to the file system's own journal. The index beside the
        // log is only memory: the log is read without it where it cannot be had, and made anew at every start.
        self.file.is_empty() || self.file == "log.sqlite-shm"
    }
}

/// A server under `strace`, and all it says and does.
struct Traced {
    tracer: Child,
    scratch: PathBuf,
}

/// How a traced server fared.
struct Course {
    status: ExitStatus,
    was_ready: bool,
    /// The call failed before the server was ready.
    failed_before: bool,
    failed: bool,
    stderr: String,
    trace: String,
}

impl Traced {
    fn start(data_dir: &Path, failing: Option<&Call>) -> std::io::Result<Self> {
        let scratch = data_dir.with_extension("traced");
        fs::create_dir_all(&scratch)?;
        let serve = server::command(data_dir, Engine::Simulated);
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "--seccomp-bpf", "--signal=none", "-o"]).arg(scratch.join("trace"));
        match failing {
            Some(Call { file, name, nth, error }) => {
                let path = if file.is_empty() { data_dir.to_owned() } else { data_dir.join(file) };
                command.arg("-P").arg(path).arg(format!("--trace={name}"));
                command.arg(format!("--inject={name}:error={error}:when={nth}"));
            }
            None => {
                let calls: Vec<String> = CALLS.iter().map(|name| format!("?{name}")).collect();
                command.arg(format!("--trace={}", calls.join(",")));
            }
        }
        command.arg(serve.get_program()).args(serve.get_args());
        server::without_key(&mut command);
        let tracer = command
            .stdout(File::create(scratch.join("stdout"))?)
            .stderr(File::create(scratch.join("stderr"))?)
            .spawn()?;
        Ok(Self { tracer, scratch })
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.scratch.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn has_failed(&self) -> bool {
        self.read("trace").contains("(INJECTED)")
    }

    /// The server itself, below its tracer.
    fn server_pid(&self) -> Option<String> {
        let tracer = self.tracer.id();
        let children = fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    fn signal(&self, name: &str) {
        if let Some(pid) = self.server_pid() {
            // It may have ended this moment.
            let _ = Command::new("kill").arg(format!("-{name}")).arg(pid).status();
        }
    }

    /// Waits until it is ready, lets it stop, and waits until it has ended.
    fn run(mut self) -> Course {
        let began = Instant::now();
        let (mut was_ready, mut failed_before) = (false, false);
        let status = loop {
            if let Some(status) = self.tracer.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < AT_MOST, "it hangs:\n{}\n{}", self.read("trace"), self.read("stderr"));
            if !was_ready && self.read("stdout").starts_with("ready ") {
                was_ready = true;
                failed_before = self.has_failed();
                self.signal("TERM");
            }
            std::thread::sleep(POLL_PACE);
        };
        let (stderr, trace) = (self.read("stderr"), self.read("trace"));
        let failed = self.has_failed();
        Course {
            status,
            was_ready,
            failed_before: failed_before || !was_ready && failed,
            failed,
            stderr,
            trace,
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // Ended already is as good; a tracer that goes first would leave its server running.
        self.signal("KILL");
        let _ = self.tracer.kill();
        let _ = self.tracer.wait();
    }
}

/// Whether one process may trace another here, and the tool is there; says so where not.
fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-f", "--seccomp-bpf", "-o", "/dev/null", "true"]).output();
    let works = tried.is_ok_and(|output| output.status.success());
    if !works {
        let thread = std::thread::current();
        println!("SKIPPED {}: strace cannot trace here", thread.name().unwrap_or("nth_failure"));
    }
    works
}

/// The calls on files below `data_dir` in a trace, each by its number within its thread.
fn calls_in(trace: &str, data_dir: &Path) -> Vec<Call> {
    let mut counts: BTreeMap<(String, String, &str), usize> = BTreeMap::new();
    let prefix = data_dir.display().to_string();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
        let (arguments, _) = rest.rsplit_once(" = ").unwrap_or((rest, ""));
        let Some(at) = arguments.find(&prefix) else { continue };
        let below = &arguments[at + prefix.len()..];
        let file = below.split(['>', '"']).next().unwrap_or_default().trim_start_matches('/');
        if CALLS.contains(&name) {
            *counts.entry((file.to_owned(), name.to_owned(), thread)).or_default() += 1;
        }
    }
    let mut most: BTreeMap<(String, String), usize> = BTreeMap::new();
    for ((file, name, _), count) in counts {
        let entry = most.entry((file, name)).or_default();
        *entry = count.max(*entry);
    }
    let mut calls = Vec::new();
    for ((file, name), count) in most {
        let errors = if NEEDS_ROOM.contains(&name.as_str()) { &["EIO", "ENOSPC"][..] } else { &["EIO"] };
        for (nth, error) in (1..=count).flat_map(|nth| errors.iter().map(move |error| (nth, *error))) {
            calls.push(Call { file: file.clone(), name: name.clone(), nth, error });
        }
    }
    calls
}

fn copy(from: &Path, to: &Path) {
    DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What the log of a data directory says, line by line.
fn log_of(data_dir: &Path) -> Vec<String> {
    let mut command = Command::new(server::binary());
    server::without_key(&mut command);
    let output = command.arg("--data-dir").arg(data_dir).args(["log", "show", "--output", "ndjson"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// One start and stop in which `call` fails, and a start after it in which nothing does.
fn check(call: &Call, killed: &Path, recorded: &[String], place: &Path) -> Result<(), String> {
    let data_dir = place.join("data");
    copy(killed, &data_dir);
    let course = Traced::start(&data_dir, Some(call)).unwrap().run();
    let told = &course.stderr;
    let fine = match course.status.code() {
        Some(0) => course.was_ready,
        Some(1) => told.contains("error: ") && told.contains(call.subject()),
        Some(_) | None => false,
    };
    let passed_over = course.was_ready && course.failed_before && !call.may_be_survived();
    if !fine || passed_over || told.contains("panicked") {
        let ready = course.was_ready;
        return Err(format!("{call:?}: {}, ready {ready}\n{told}\n{}", course.status, course.trace));
    }
    if !course.failed {
        // Threads share the work in their own way: this one came to less of it.
        return Ok(());
    }
    let sound = Traced::start(&data_dir, Some(&Call { nth: 60_000, ..call.clone() })).unwrap().run();
    if !(sound.was_ready && sound.status.success()) {
        return Err(format!("{call:?}: afterwards {}\n{}", sound.status, sound.stderr));
    }
    let log = log_of(&data_dir);
    if !log.starts_with(recorded) {
        return Err(format!("{call:?}: the log was {recorded:#?} and is {log:#?}"));
    }
    fs::remove_dir_all(place).unwrap();
    Ok(())
}

#[tokio::test]
async fn whichever_file_call_of_a_start_fails_it_is_named_or_made_up_for() {
    if !can_trace() {
        return;
    }
    let mut site = Site::start(Engine::Simulated).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let two = add(&app_id, r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#);
    site.client().unwrap().ask("RescaleApplication", &two).await.unwrap();
    site.client().unwrap().settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    // Killed, so that a start has something to mend.
    site.take_server().kill().unwrap();
    let (killed, recorded) = (site.data_dir(), log_of(&site.data_dir()));
    let sound = site.path("sound");
    copy(&killed, &sound);
    let course = Traced::start(&sound, None).unwrap().run();
    assert!(course.was_ready && course.status.success(), "{}", course.stderr);
    let calls = calls_in(&course.trace, &sound);
    assert!(calls.len() > 50, "a start touches more than this: {calls:?}");

    let (next, failures, cases) = (AtomicUsize::new(0), Mutex::new(Vec::new()), site.path("cases"));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((at, call)) = take(&next, &calls) {
                    let place = cases.join(at.to_string());
                    fs::create_dir_all(&place).unwrap();
                    if let Err(failure) = check(call, &killed, &recorded, &place) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });

    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} calls:\n{}", failures.len(), calls.len(), failures.join("\n\n"));
}

fn take<'a>(next: &AtomicUsize, calls: &'a [Call]) -> Option<(usize, &'a Call)> {
    let at = next.fetch_add(1, Ordering::SeqCst);
    calls.get(at).map(|call| (at, call))
}
