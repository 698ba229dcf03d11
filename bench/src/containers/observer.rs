//! The one outside observer for all systems compared: it asks none of them. It finds the processes of containers in
//! `/proc` by a mark in their environment, reads their address out of their own network namespace, and counts those
//! that answer over HTTP. Gone means gone from `/proc`.

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PORT: u16 = 8080;
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
const ALL_WITHIN: Duration = Duration::from_secs(180);

/// It rests four times as long as it looked, so that it takes at most a fifth of one core from whoever it observes.
const REST: u32 = 4;
const REST_AT_LEAST: Duration = Duration::from_millis(1);

/// After so long every process is looked at again: a process id may have come round.
const TRUST: Duration = Duration::from_secs(5);

/// The containers of one system.
pub(crate) struct Observer {
    /// `NAME=value`, as it stands in the environment of each.
    mark: String,
    /// Whose network namespace the addresses are reached from; `None` = ours.
    network_of: Option<u32>,
    /// Processes that are no container of the system.
    others: BTreeSet<u32>,
    forget_at: Instant,
    found: BTreeMap<u32, Option<Ipv4Addr>>,
    answering: BTreeSet<Ipv4Addr>,
}

impl Observer {
    pub(crate) fn new(mark: &str, network_of: Option<u32>) -> Self {
        let mut observer = Self {
            mark: mark.to_owned(),
            network_of,
            others: BTreeSet::new(),
            forget_at: Instant::now() + TRUST,
            found: BTreeMap::new(),
            answering: BTreeSet::new(),
        };
        // What runs before anything was asked for need not be looked at again.
        observer.others = processes().collect();
        observer
    }

    /// Waits until `count` distinct addresses have answered, and says how long after `began` that was.
    ///
    /// # Errors
    /// They do not within three minutes.
    pub(crate) fn all_answer(&mut self, count: usize, began: Instant) -> Result<Duration> {
        let Some(pid) = self.network_of else { return self.watch_answers(count, began) };
        let path = format!("/proc/{pid}/ns/net");
        let namespace = fs::File::open(&path).with_context(|| path.clone())?;
        // The thread ends in the namespace that it entered.
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                setns(&namespace, CloneFlags::CLONE_NEWNET)?;
                self.watch_answers(count, began)
            });
            watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn watch_answers(&mut self, count: usize, began: Instant) -> Result<Duration> {
        loop {
            let looked_at = Instant::now();
            self.look();
            for address in self.found.values().flatten() {
                if !self.answering.contains(address) && answers(*address) {
                    self.answering.insert(*address);
                }
            }
            if self.answering.len() >= count {
                return Ok(began.elapsed());
            }
            if began.elapsed() > ALL_WITHIN {
                bail!("{} of {count} containers answer", self.answering.len());
            }
            rest(looked_at);
        }
    }

    /// Waits until no container is left in `/proc`, and says how long after `began` that was.
    ///
    /// # Errors
    /// Some are still there after three minutes.
    pub(crate) fn all_gone(&mut self, began: Instant) -> Result<Duration> {
        loop {
            let looked_at = Instant::now();
            self.found.retain(|pid, _| fs::exists(format!("/proc/{pid}")).unwrap_or(true));
            if self.found.is_empty() {
                let took = began.elapsed();
                // One may have been started again: then it is not over.
                self.others.clear();
                self.look();
                if self.found.is_empty() {
                    return Ok(took);
                }
            }
            if began.elapsed() > ALL_WITHIN {
                bail!("{} containers do not go", self.found.len());
            }
            rest(looked_at);
        }
    }

    /// Processes of containers as last seen.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.found.keys().copied()
    }

    fn look(&mut self) {
        if Instant::now() > self.forget_at {
            self.others.clear();
            self.forget_at = Instant::now() + TRUST;
        }
        for pid in processes() {
            if self.others.contains(&pid) || self.found.get(&pid).is_some_and(Option::is_some) {
                continue;
            }
            // A runtime becomes the program by executing it, so what is something else now is looked at again.
            if fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"hello-edge\n") {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                if environment.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes()) {
                    self.found.insert(pid, address_of(pid));
                } else if !environment.is_empty() {
                    self.others.insert(pid);
                }
            }
        }
    }
}

fn rest(looked_at: Instant) {
    std::thread::sleep((looked_at.elapsed() * REST).max(REST_AT_LEAST));
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The address of a process in its own network namespace, other than loopback.
fn address_of(pid: u32) -> Option<Ipv4Addr> {
    local_address(&fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).ok()?)
}

/// `|-- 10.0.0.2` and on the next line `/32 host LOCAL`.
fn local_address(trie: &str) -> Option<Ipv4Addr> {
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.ends_with("host LOCAL") && last.is_some_and(|address: Ipv4Addr| !address.is_loopback())
        {
            return last;
        }
    }
    None
}

fn answers(address: Ipv4Addr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, PORT)), ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: observer\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::local_address;

    #[test]
    fn the_address_of_a_namespace_is_the_local_one_that_is_not_loopback() {
        let trie = "Main:\n  +-- 0.0.0.0/0 2 0 2\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    Local:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.9.0.1\n        /32 link UNICAST\n\
                    |-- 10.9.0.7\n        /32 host LOCAL\n";

        assert_eq!(local_address(trie), Some([10, 9, 0, 7].into()));
        assert_eq!(local_address("Local:\n |-- 127.0.0.1\n /32 host LOCAL\n"), None);
    }
}
