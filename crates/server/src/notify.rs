//! The notify protocol of systemd (sd_notify(3)): ready, reloading, stopping, and the watchdog, which is fed only when
//! the control loop turned. Without a service manager all of it is silent.

use crate::control::Control;
use crate::gateway::listen::{Phase, reached};
use crate::health;
use rustix::time::{ClockId, clock_gettime};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

/// What a service manager asked for when it started this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supervision {
    /// Where it listens: a path, or an abstract name behind `@`.
    pub socket: Option<OsString>,
    /// Within which time it wants to hear that all is well, again and again.
    pub watchdog: Option<Duration>,
}

impl Supervision {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say; a watchdog for another process is none.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> Self {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process));
        Self {
            socket: variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()),
            watchdog: number("WATCHDOG_USEC")
                .filter(|microseconds| is_for_us && *microseconds > 0)
                .map(Duration::from_micros),
        }
    }
}

/// Tells the service manager, where there is one.
#[derive(Debug)]
pub(crate) struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// A manager that cannot be reached is one that is not there; the log says so.
    pub(crate) fn new(supervision: &Supervision) -> Self {
        let connected = supervision.socket.as_deref().map(connect);
        Self(connected.and_then(|connected| {
            connected.map_err(|error| tracing::warn!("NOTIFY_SOCKET cannot be reached: {error}")).ok()
        }))
    }

    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}\n"));
    }

    pub(crate) fn reloading(&self) {
        // The time at which it began, by which a manager tells this reload from one before (systemd 253).
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reading the configuration\n"));
    }

    fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=finishing requests; containers stay\n");
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::warn!("the service manager was not told: {error}");
        }
    }

    /// Says that the server stops, once it does.
    pub(crate) async fn tell_stop(&self, mut phase: watch::Receiver<Phase>) {
        reached(&mut phase, Phase::Draining).await;
        self.stopping();
    }

    /// Feeds the watchdog at half its time, whenever the control loop turned. Never ends.
    pub(crate) async fn feed(&self, watchdog: Duration, control: &Control) {
        let mut due = time::interval(watchdog / 2);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            match health::live(control).await {
                Ok(()) => self.send("WATCHDOG=1\n"),
                Err(ailment) => tracing::error!("the watchdog is not fed: {ailment}"),
            }
        }
    }
}

fn connect(socket: &OsStr) -> io::Result<UnixDatagram> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let datagram = UnixDatagram::unbound()?;
    datagram.connect_addr(&address)?;
    // A manager that does not read must not hold up what it watches.
    datagram.set_nonblocking(true)?;
    Ok(datagram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_for_another_process_is_none_of_ours() {
        for (variables, expected) in [
            (vec![], None),
            (vec![("WATCHDOG_USEC", "30000000")], Some(Duration::from_secs(30))),
            (vec![("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "7")], Some(Duration::from_secs(30))),
            (vec![("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "8")], None),
            (vec![("WATCHDOG_USEC", "0")], None),
            (vec![("WATCHDOG_USEC", "soon")], None),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };

            assert_eq!(Supervision::from_environment(variable, 7).watchdog, expected, "{variables:?}");
        }
    }

    #[test]
    fn an_abstract_name_is_reached_as_a_path_is() {
        let name = format!("ensemble-notify-{}", std::process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes()).unwrap()).unwrap();
        let socket = Some(OsString::from(format!("@{name}")));

        Notifier::new(&Supervision { socket, watchdog: None }).ready("serving");

        let mut buffer = [0; 100];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=serving\n");
    }
}
