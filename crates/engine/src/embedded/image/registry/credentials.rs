//! Files with the credentials of one registry: TOML with `username` and `password`, readable by their owner alone. Read
//! whenever they are needed, so that a change needs no restart. What they hold is never shown or logged.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Error;

/// No such file is longer.
const FILE_BYTES_AT_MOST: u64 = 64 << 10;

#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    username: String,
    password: String,
}

impl Credentials {
    /// The value of an `Authorization` header.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

/// # Errors
/// [`Error::Credentials`] for a file that is not there, that others may read, or that has something else in it.
pub(super) fn read(registry: &str, path: &Path) -> Result<Credentials, Error> {
    let refuse =
        |reason: String| Error::Credentials { registry: registry.to_owned(), path: path.to_owned(), reason };
    let mut options = File::options();
    // Without waiting, or a fifo of that name would hold us for ever.
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path).map_err(|error| refuse(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| refuse(error.to_string()))?;
    if !metadata.is_file() {
        return Err(refuse("it is no regular file".to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(refuse(format!("others may read it (mode {mode:04o}); `chmod 600 {}`", path.display())));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_AT_MOST).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    // The parser's own message quotes the file.
    toml::from_str(&text)
        .map_err(|_| refuse("it is not `username = \"…\"` and `password = \"…\"`".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_file_of_mode_0600_gives_a_header_and_no_debug_shows_it() {
        let file = file("username = \"edge\"\npassword = \"s3cret\"\n", 0o600);

        let credentials = read("registry.example", file.path()).unwrap();

        assert_eq!(credentials.basic(), "Basic ZWRnZTpzM2NyZXQ=");
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }

    #[test]
    fn what_others_may_read_or_what_is_no_credentials_is_refused_without_a_word_of_it() {
        let sound = "username = \"edge\"\npassword = \"s3cret\"\n";
        for (text, mode, expected) in [
            (sound, 0o640, "others may read it (mode 0640)"),
            (sound, 0o604, "others may read it (mode 0604)"),
            ("username = \"edge\"\npasswort = \"s3cret\"\n", 0o600, "it is not `username"),
            ("s3cret", 0o600, "it is not `username"),
            ("", 0o600, "it is not `username"),
        ] {
            let file = file(text, mode);

            let error = read("registry.example", file.path()).unwrap_err().to_string();

            assert!(error.contains(expected), "{error}");
            assert!(error.contains("[registries.\"registry.example\"]"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let missing = read("registry.example", Path::new("/nonexistent/registry.toml")).unwrap_err();
        assert!(missing.to_string().contains("No such file"), "{missing}");
    }
}
