//! Settings under `/proc/sys/net`, of the network namespace of the calling thread.
//! Only writes what differs, so that a read-only `/proc/sys` with the right values is good enough.

use std::fs;
use std::io;
use std::path::Path;

use ensemble_supervision::network::Error;

/// Sets `net/<name>`, for example `ipv4/ip_forward`. A setting the kernel does not know is passed over: what it would
/// have switched off is not there either.
pub(super) fn set(name: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys/net").join(name);
    let written = match fs::read_to_string(&path) {
        Ok(current) if current.trim() == value => Ok(()),
        Ok(_) => fs::write(&path, value),
        Err(error) => Err(error),
    };
    match written {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::file("write", &path)),
    }
}
