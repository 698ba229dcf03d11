//! What is remembered on disk about containers, and how it gets there: written to a temporary name and renamed, so
//! that a crash leaves the old record or the new one; synced before, where it has to outlive a power cut.
//! Types and their reading and writing only; `reconcile` says what follows from them.

use crate::kernel::{Durability, Kernel, ProcessIdentity};
use ensemble_model::id::InstanceId;
use ensemble_model::time::WallTime;
use ensemble_model::wanted::{CellKey, CellTemplate};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// No record of ours is larger; one that is was not written by us.
const RECORD_BYTES_AT_MOST: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` is not a record of ours")]
    Malformed {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

/// `instance.json`: what an instance of ours is to be. Written before anything else of it exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    pub id: InstanceId,
    pub cell: CellKey,
    pub deployment: String,
    /// What its containers are told it is called, where that is not its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<InstanceId>,
    pub template: CellTemplate,
}

/// `attempt.json`: the start the engine is at. Written before the supervisor is started; records of another
/// attempt are history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first start.
    pub number: u32,
    /// How many ends in a row came too soon before this attempt: what the back-off doubles with.
    pub streak: u32,
}

/// `running.json`: written by the supervisor before the program starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub attempt: u32,
    /// The container's first process.
    pub process: ProcessIdentity,
    pub started_at: WallTime,
    pub started_boot_ms: u64,
}

/// `exit.json`: how an attempt ended. Written before anything is cleaned up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub attempt: u32,
    pub end: End,
    pub at: WallTime,
    pub boot_id: String,
    pub at_boot_ms: u64,
    pub up_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Exited {
        code: i32,
    },
    Killed {
        signal: i32,
        cause: KillCause,
    },
    NotStarted {
        reason: String,
        prospect: Prospect,
    },
    /// Its supervisor died, or the machine went down: nobody saw how it ended.
    Lost {
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KillCause {
    Signal,
    OutOfMemory,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prospect {
    Retry,
    /// The same image and template fail the same way every time (`decisions.md` §2.4).
    Hopeless,
}

impl Exit {
    /// The exit code as a shell tells it: 128 + signal, 127 for what could not be started, 255 for lost.
    pub fn code(&self) -> i32 {
        match &self.end {
            End::Exited { code } => *code,
            End::Killed { signal, .. } => 128 + signal,
            End::NotStarted { .. } => 127,
            End::Lost { .. } => 255,
        }
    }

    /// For people: `exited 1`, `killed by signal 9 (out of memory)`.
    pub fn sentence(&self) -> String {
        match &self.end {
            End::Exited { code } => format!("exited {code}"),
            End::Killed { signal, cause: KillCause::Signal } => format!("killed by signal {signal}"),
            End::Killed { signal, cause: KillCause::OutOfMemory } => {
                format!("killed by signal {signal} (out of memory)")
            }
            End::NotStarted { reason, .. } => format!("not started: {reason}"),
            End::Lost { reason } => format!("lost: {reason}"),
        }
    }
}

/// Writes `record` to `path` so that also after a power cut either the old or the new one is there, whole.
pub fn write<K: Kernel, T: Serialize>(kernel: &K, path: &Path, record: &T) -> Result<(), Error> {
    replace(kernel, path, record, Durability::Synced)
}

/// Writes a record of a process: whole after any crash but a power cut, which the process does not survive either.
/// What is left of the record then is read as none. A sync would be waited for by every start and every end.
pub fn write_of_process<K: Kernel, T: Serialize>(kernel: &K, path: &Path, record: &T) -> Result<(), Error> {
    replace(kernel, path, record, Durability::Unsynced)
}

fn replace<T: Serialize>(
    kernel: &impl Kernel,
    path: &Path,
    record: &T,
    durability: Durability,
) -> Result<(), Error> {
    let bytes =
        serde_json::to_vec(record).map_err(|source| Error::Malformed { path: path.to_owned(), source })?;
    let written = replace_bytes(kernel, path, &bytes, durability);
    written.map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn replace_bytes(kernel: &impl Kernel, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("a record has a directory"))?;
    let mut name = path.file_name().ok_or_else(|| io::Error::other("a record has a name"))?.to_owned();
    name.push(".new");
    let temporary = directory.join(name);
    kernel.write(&temporary, bytes, durability)?;
    kernel.rename(&temporary, path)?;
    match durability {
        Durability::Synced => kernel.sync_directory(directory),
        Durability::Unsynced => Ok(()),
    }
}

/// Reads a record; `None` when there is none.
pub fn read<T: DeserializeOwned>(kernel: &impl Kernel, path: &Path) -> Result<Option<T>, Error> {
    let bytes = match kernel.read(path, RECORD_BYTES_AT_MOST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| Error::Malformed { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::scratch::Scratch;

    fn exit(end: End) -> Exit {
        Exit { attempt: 1, end, at: WallTime(5), boot_id: "b".to_owned(), at_boot_ms: 7, up_ms: 2 }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let kernel = Scratch::default();
        let path = Path::new("/c/exit.json");
        let record = exit(End::Killed { signal: 9, cause: KillCause::OutOfMemory });

        for write in [write::<Scratch, Exit>, write_of_process::<Scratch, Exit>] {
            write(&kernel, path, &record).unwrap();
            assert_eq!(read::<Exit>(&kernel, path).unwrap().as_ref(), Some(&record));
        }

        assert_eq!(read::<Exit>(&kernel, Path::new("/c/none")).unwrap(), None);
        assert_eq!(kernel.list(Path::new("/c")).unwrap().len(), 1, "no temporary file stays");
    }

    #[test]
    fn half_a_record_is_told_apart_from_none() {
        let kernel = Scratch::default();
        let path = Path::new("/c/exit.json");
        kernel.write(path, b"{\"attempt\":1", Durability::Unsynced).unwrap();

        assert!(matches!(read::<Exit>(&kernel, path), Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_durable_record_is_synced_under_its_temporary_name_and_then_its_directory_is() {
        let kernel = Scratch::default();

        write(&kernel, Path::new("/c/instance.json"), &1).unwrap();
        write_of_process(&kernel, Path::new("/c/exit.json"), &1).unwrap();

        assert_eq!(
            kernel.deeds(),
            [
                "write and sync /c/instance.json.new",
                "rename /c/instance.json.new to /c/instance.json",
                "sync /c",
                "write /c/exit.json.new",
                "rename /c/exit.json.new to /c/exit.json",
            ]
        );
    }

    #[test]
    fn ends_are_told_as_codes_and_sentences() {
        let check = |end: End, code: i32, sentence: &str| {
            let exit = exit(end);
            assert_eq!((exit.code(), exit.sentence().as_str()), (code, sentence));
        };
        check(End::Exited { code: 3 }, 3, "exited 3");
        check(End::Killed { signal: 15, cause: KillCause::Signal }, 143, "killed by signal 15");
        check(
            End::Killed { signal: 9, cause: KillCause::OutOfMemory },
            137,
            "killed by signal 9 (out of memory)",
        );
        let reason = "no such program".to_owned();
        check(End::NotStarted { reason, prospect: Prospect::Hopeless }, 127, "not started: no such program");
        check(End::Lost { reason: "supervisor died".to_owned() }, 255, "lost: supervisor died");
    }
}
