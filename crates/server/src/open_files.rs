//! How many files this process may have open, and how many of them connections may be: strangers must not take those
//! that the log, images and supervisors of containers need.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Kept back from connections, where the limit is not so low that this would be most of it.
const KEPT_BACK: u64 = 512;

/// Raises this process's own limit as far as it may, and returns how many of `wanted` connections there is room for.
/// What is started from here has limits of its own (`engine`).
pub(crate) fn room_for_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("could not raise the limit of open files: {error}");
    }
    let room = share(getrlimit(Resource::Nofile).current);
    if room < wanted {
        tracing::warn!(
            room,
            wanted,
            "at most {room} connections, not {wanted}: the limit of open files is low"
        );
    }
    room.min(wanted)
}

/// What connections may take of so many files; no limit is all they want.
fn share(files: Option<u64>) -> usize {
    let room = files.map_or(u64::MAX, |files| files - KEPT_BACK.min(files / 2));
    usize::try_from(room).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn something_is_always_kept_back() {
        for (files, expected) in [(0, 1), (256, 128), (1_024, 512), (20_000, 19_488)] {
            assert_eq!(share(Some(files)), expected, "{files}");
        }
        assert_eq!(share(None), usize::MAX);
    }
}
