//! Exercises: a file names edge nodes that are cut off, around engines that really run containers. The file is read again
//! whenever it changes; one that cannot be read, or has a mistake, leaves the faults as they are. Without `serve --faults`
//! nothing of this exists.

use crate::causes::chain;
use ensemble_engine::any::AnyEngine;
use ensemble_engine::exec::{ExecOrder, Execution};
use ensemble_engine::faults::{FaultSwitch, Faults, Faulty};
use ensemble_engine::{Engine, Error, LogLine, LogQuery};
use ensemble_model::id::EdgeNodeId;
use ensemble_model::wanted::Wanted;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time;

/// Between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longest file that is read.
const BYTES_AT_MOST: u64 = 64 << 10;

/// What carries wishes to an engine and asks it for logs.
#[derive(Clone)]
pub(crate) enum Driver {
    Plain(Arc<AnyEngine>),
    Faulty(Arc<Faulty<Arc<AnyEngine>>>),
}

impl Driver {
    pub(crate) async fn converge(&self, wanted: Wanted) -> Result<(), Error> {
        match self {
            Self::Plain(engine) => engine.converge(wanted).await,
            Self::Faulty(engine) => engine.converge(wanted).await,
        }
    }

    pub(crate) async fn logs(&self, query: LogQuery) -> Result<Vec<LogLine>, Error> {
        match self {
            Self::Plain(engine) => engine.logs(query).await,
            Self::Faulty(engine) => engine.logs(query).await,
        }
    }

    pub(crate) async fn exec(&self, order: ExecOrder) -> Result<Execution, Error> {
        match self {
            Self::Plain(engine) => engine.exec(order).await,
            Self::Faulty(engine) => engine.exec(order).await,
        }
    }

    pub(crate) async fn shut_down(&self) {
        match self {
            Self::Plain(engine) => engine.shut_down().await,
            Self::Faulty(engine) => engine.shut_down().await,
        }
    }
}

/// `unreachable = ["cn-shanghai-cmcc"]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    unreachable: BTreeSet<String>,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("could not read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is longer than {BYTES_AT_MOST} bytes", path.display())]
    TooLong { path: PathBuf },
    #[error("`{}` is no list of faults", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: toml::de::Error,
    },
}

/// Keeps the faults of all engines as the file has them, for as long as it is polled.
pub(crate) async fn follow(path: PathBuf, switches: Vec<FaultSwitch>) {
    let mut known = None;
    loop {
        match read(&path).await {
            Ok(faults) if known.as_ref() != Some(&faults) => {
                tracing::warn!(unreachable = ?faults.unreachable, "faults are in force as `{}` has them", path.display());
                switches.iter().for_each(|switch| switch.set(faults.clone()));
                known = Some(faults);
            }
            Ok(_) => {}
            Err(fault) => tracing::error!("the faults stay as they are: {}", chain(&fault)),
        }
        time::sleep(LOOK_EVERY).await;
    }
}

/// A file that is not there holds no faults.
async fn read(path: &PathBuf) -> Result<Faults, Fault> {
    let fault = |source| Fault::Read { path: path.clone(), source };
    let length = match tokio::fs::metadata(path).await {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Faults::default()),
        Err(error) => return Err(fault(error)),
    };
    if length > BYTES_AT_MOST {
        return Err(Fault::TooLong { path: path.clone() });
    }
    let text = tokio::fs::read_to_string(path).await.map_err(fault)?;
    let document: Document =
        toml::from_str(&text).map_err(|source| Fault::Malformed { path: path.clone(), source })?;
    let unreachable = document.unreachable.into_iter().map(EdgeNodeId::new).collect();
    Ok(Faults { unreachable, ..Faults::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_not_there_holds_no_faults_and_a_wrong_one_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("faults.toml");

        assert_eq!(read(&path).await.unwrap(), Faults::default());
        for (text, is_right) in [
            ("unreachable = [\"cn-a\", \"cn-b\"]", true),
            ("", true),
            ("unreachable = \"cn-a\"", false),
            ("unreachabel = []", false),
        ] {
            std::fs::write(&path, text).unwrap();

            assert_eq!(read(&path).await.is_ok(), is_right, "{text}");
        }
        std::fs::write(&path, "unreachable = [\"cn-a\"]").unwrap();
        assert_eq!(read(&path).await.unwrap().unreachable, BTreeSet::from([EdgeNodeId::new("cn-a")]));
    }
}
