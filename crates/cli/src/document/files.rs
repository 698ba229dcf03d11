//! The files that the program keeps and reads, for the manual and the reference.

use super::Side;

/// A file, and what it is for.
#[derive(Debug)]
pub(crate) struct File {
    /// DIR is the data directory.
    pub(crate) path: &'static str,
    pub(crate) sides: &'static [Side],
    pub(crate) meaning: &'static str,
}

const LOCAL: &[Side] = &[Side::Server, Side::Machine];
const ALL: &[Side] = &[Side::Server, Side::Client, Side::Machine];

pub(crate) const FILES: &[File] = &[
    File {
        path: "~/.local/share/ensemble",
        sides: ALL,
        meaning: "DIR, the data directory, unless --data-dir or ENSEMBLE_DATA_DIR name another. Mode 0700.",
    },
    File {
        path: "DIR/credentials.toml",
        sides: ALL,
        meaning: "The account and its access key. Mode 0600; commands of the same user find it by themselves.",
    },
    File {
        path: "DIR/endpoint",
        sides: ALL,
        meaning: "Where the server of this directory listens, while it runs.",
    },
    File {
        path: "DIR/log.sqlite",
        sides: LOCAL,
        meaning: "The durable log: everything that was accepted and everything that happened.",
    },
    File {
        path: "DIR/high-water",
        sides: LOCAL,
        meaning: "The length of the log, kept apart, so that a log whose end was cut off is noticed at start.",
    },
    File {
        path: "DIR/restored.json",
        sides: LOCAL,
        meaning: "Only where DIR came from a backup: when, and whether that is confirmed.",
    },
    File {
        path: "DIR/restored",
        sides: &[Side::Machine],
        meaning: "Only where DIR came from a backup: the configuration and the fleet file of then, to look at.",
    },
    File {
        path: "DIR/lock",
        sides: LOCAL,
        meaning: "Held by the one server that uses the directory; names its process.",
    },
    File {
        path: "/etc/ensemble/ensemble.toml",
        sides: &[Side::Server],
        meaning: "The configuration, unless --config or ENSEMBLE_CONFIG name another.",
    },
    File {
        path: "~/.aliyun/config.json",
        sides: &[Side::Client],
        meaning: "Profiles of the aliyun command line; one with an `endpoint` and an access key can be used.",
    },
];

/// Those that commands of one side use.
pub(crate) fn of(side: Side) -> impl Iterator<Item = &'static File> {
    FILES.iter().filter(move |file| file.sides.contains(&side))
}
