//! What an image says about how to run it: the config blob, checked. Pure.
//! The user is looked up later, in the mounted root file system (`user.rs`).

use serde::Deserialize;

use super::manifest::{Reason, json};
use super::platform::Platform;

/// How the image wants to be run; the template's own words come before these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// Name and value, in the image's order.
    pub env: Vec<(String, String)>,
    /// Absolute, without `.` and `..`, never under `/proc`.
    pub working_dir: String,
    /// As the image says it: "", `user`, `uid`, `user:group`, …
    pub user: String,
    /// Number of the signal that asks it to stop; SIGTERM unless the image says otherwise.
    pub stop_signal: i32,
}

/// A config blob: how to run the image, and what it must be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigDocument {
    pub(super) platform: Platform,
    /// Digests of the uncompressed layers as written, base first.
    pub(super) diff_ids: Vec<String>,
    pub(super) run: ImageConfig,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
    config: Option<RawRun>,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    diff_ids: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRun {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<ConfigDocument, Reason> {
    let raw: Raw = json(bytes)?;
    let run = raw.config.unwrap_or_default();
    let texts = [&run.entrypoint, &run.cmd, &run.env].into_iter().flatten().flatten();
    if texts.chain(&run.working_dir).chain(&run.user).any(|text| text.contains('\0')) {
        return Err("its config has a NUL character");
    }
    let signal = run.stop_signal.filter(|name| !name.is_empty());
    Ok(ConfigDocument {
        platform: Platform { os: raw.os, architecture: raw.architecture, variant: raw.variant },
        diff_ids: raw.rootfs.diff_ids,
        run: ImageConfig {
            entrypoint: run.entrypoint.unwrap_or_default(),
            cmd: run.cmd.unwrap_or_default(),
            env: run.env.unwrap_or_default().iter().filter_map(|pair| environment(pair)).collect(),
            working_dir: working_dir(run.working_dir.as_deref().unwrap_or_default())?,
            user: run.user.unwrap_or_default(),
            stop_signal: signal.map_or(Ok(libc::SIGTERM), |name| stop_signal(&name))?,
        },
    })
}

/// Makes a working directory absolute and plain, for images and templates alike.
///
/// # Errors
/// One under `/proc`, where a directory can be an open descriptor of the runtime (CVE-2024-21626).
pub fn working_dir(text: &str) -> Result<String, &'static str> {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.first() == Some(&"proc") {
        return Err("its working directory is under `/proc`");
    }
    Ok(format!("/{}", parts.join("/")))
}

fn environment(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=')?;
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

/// `15`, `TERM`, `SIGTERM`, `SIGRTMIN+3`.
fn stop_signal(text: &str) -> Result<i32, Reason> {
    const UNKNOWN: Reason = "its stop signal is not known";
    let name = text.strip_prefix("SIG").unwrap_or(text);
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number).ok_or(UNKNOWN);
    }
    if let Some(offset) = name.strip_prefix("RTMIN+") {
        let offset: i32 = offset.parse().map_err(|_| UNKNOWN)?;
        let number = offset.checked_add(libc::SIGRTMIN()).ok_or(UNKNOWN)?;
        return (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number).then_some(number).ok_or(UNKNOWN);
    }
    let names = [
        ("HUP", libc::SIGHUP),
        ("INT", libc::SIGINT),
        ("QUIT", libc::SIGQUIT),
        ("ABRT", libc::SIGABRT),
        ("KILL", libc::SIGKILL),
        ("USR1", libc::SIGUSR1),
        ("USR2", libc::SIGUSR2),
        ("ALRM", libc::SIGALRM),
        ("TERM", libc::SIGTERM),
        ("CONT", libc::SIGCONT),
        ("TSTP", libc::SIGTSTP),
        ("WINCH", libc::SIGWINCH),
        ("IO", libc::SIGIO),
        ("PWR", libc::SIGPWR),
        ("RTMIN", libc::SIGRTMIN()),
        ("RTMAX", libc::SIGRTMAX()),
    ];
    names.iter().find(|(known, _)| *known == name).map(|(_, number)| *number).ok_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_becomes_absolute_and_plain() {
        for (text, expected) in [
            ("", Ok("/")),
            ("/", Ok("/")),
            ("app", Ok("/app")),
            ("/srv//app/./x/", Ok("/srv/app/x")),
            ("/srv/../../etc", Ok("/etc")),
            ("/processes", Ok("/processes")),
            ("/proc/self/fd/7", Err("its working directory is under `/proc`")),
            ("/x/../proc/self/fd/7", Err("its working directory is under `/proc`")),
        ] {
            assert_eq!(working_dir(text), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_stop_signal_is_a_name_or_a_number() {
        for (text, expected) in [
            ("SIGTERM", Some(15)),
            ("TERM", Some(15)),
            ("9", Some(9)),
            ("SIGQUIT", Some(3)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGWINCH", Some(28)),
            ("0", None),
            ("65", None),
            ("SIGRTMIN+31", None),
            ("SIGRTMIN+2147483647", None),
            ("SIGNONE", None),
        ] {
            assert_eq!(stop_signal(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_config_without_anything_to_run_still_has_its_defaults() {
        let document = parse(br#"{"rootfs":{"diff_ids":[]},"config":null}"#).unwrap();

        assert_eq!(document.run.working_dir, "/");
        assert_eq!(document.run.stop_signal, 15);
        assert!(document.run.entrypoint.is_empty());
    }

    #[test]
    fn a_config_with_a_nul_in_an_argument_is_refused() {
        assert!(parse(br#"{"rootfs":{"diff_ids":[]},"config":{"Cmd":["a\u0000b"]}}"#).is_err());
    }
}
