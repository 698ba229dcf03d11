//! What tests of the command line share: a server of its own over the simulated engine, and commands run against it.

use assert_cmd::Command;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// A server of its own for each test, ended with it.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    server: Child,
}

/// What one command said.
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

const TEMPLATE: &str = r#"{"appMetaData":{"appName":"hello"},"resourceAttribute":{"instanceSpec":"ens.sn1.tiny"},
    "resourceSelector":[],"workload":[{"name":"web","podSpec":{"containers":[{"name":"web","image":"oci:/none"}]}}]}"#;

impl Site {
    pub(crate) fn start() -> Self {
        Self::of(|_| {})
    }

    /// A server on a data directory that `prepare` has made, or leaves to the server.
    pub(crate) fn of(prepare: impl FnOnce(&Path)) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        prepare(&dir.path().join("data"));
        let mut server = std::process::Command::new(env!("CARGO_BIN_EXE_ensemble"))
            .args(["serve", "--engine", "simulated", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path().join("data"))
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut ready = String::new();
        let stdout = server.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("the server says that it is ready");
        assert!(ready.starts_with("ready http://127.0.0.1:"), "{ready}");
        Self { dir, server }
    }

    pub(crate) fn with_application() -> Self {
        let site = Self::start();
        std::fs::write(site.dir.path().join("template.json"), TEMPLATE).expect("the template is written");
        let template = site.dir.path().join("template.json");
        assert_eq!(site.run(&["app", "create", template.to_str().expect("a text path")]).exit, 0);
        site
    }

    /// A file of this test.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("a text path").to_owned()
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        run(&self.dir.path().join("data"), words)
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let said = self.run(&[words, &["-o", "json"]].concat());
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
    }

    pub(crate) fn instances(&self) -> usize {
        self.json(&["instances", "hello"]).as_array().map_or(0, Vec::len)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The process may have ended by itself, and then there is nothing to end.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub(crate) fn run(data_dir: &Path, words: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_ensemble"))
        .args(words)
        .env_clear()
        .env("HOME", data_dir)
        .env("ENSEMBLE_DATA_DIR", data_dir)
        .output()
        .expect("the command runs");
    Said {
        exit: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}
