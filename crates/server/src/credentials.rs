//! The account and its access key: made at the first start, kept 0600 in `DIR/credentials.toml`
//! (`decisions.md` §7.1). Must not let the secret into a log or an error: [`Secret`] has no `Debug`.

use crate::data_dir;
use crate::file_error::FileError;
use crate::random;
use ensemble_model::id::AccountId;
use ensemble_model::permit::Principal;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// As in ids and secrets of the real service (gateway.md §5.1).
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What signs requests. Deliberately neither `Debug` nor `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The bytes to sign with; nothing else may be done with them.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The account that owns this server, and its key.
#[derive(Clone)]
pub struct Credentials {
    pub account: AccountId,
    pub key_id: String,
    pub secret: Secret,
    /// RAM actions the key is good for.
    pub grants: Vec<String>,
}

/// A key from `ENSEMBLE_ACCESS_KEY_ID` and `ENSEMBLE_ACCESS_KEY_SECRET`.
#[derive(Clone)]
pub struct GivenKey {
    pub key_id: String,
    pub secret: Secret,
}

/// Whether the key was made by this start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    Kept,
    TakenFromEnvironment,
    Generated,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("`{path}` is not readable as credentials: {reason}")]
    Malformed { path: PathBuf, reason: String },
    #[error("`{path}` can be read by others (mode {mode:04o}); `chmod 600 {path}` mends it")]
    TooOpen { path: PathBuf, mode: u32 },
    #[error(
        "ENSEMBLE_ACCESS_KEY_ID and ENSEMBLE_ACCESS_KEY_SECRET differ from the key in `{path}` (`{kept}`); \
         unset them, or start on another data directory"
    )]
    DifferentKey { path: PathBuf, kept: String },
    #[error(
        "`{path}` is missing beside a log: its account would be another one, and what belongs to the old one out of \
         reach; put the file back"
    )]
    Lost { path: PathBuf },
    #[error("{set} is set and {unset} is not; a key needs both")]
    HalfAKey { set: &'static str, unset: &'static str },
    #[error("{variable} may hold letters, digits and `.-_` only, at most 128 of them")]
    UnusableKey { variable: &'static str },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    access_key_id: String,
    access_key_secret: String,
    account_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grants: Option<Vec<String>>,
}

impl GivenKey {
    /// The key that the environment gives, if it gives one. An empty variable counts as absent.
    ///
    /// # Errors
    /// [`Error::HalfAKey`] when only one of the two is set, [`Error::UnusableKey`] when one could not be sent in
    /// a header.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        const ID: &str = "ENSEMBLE_ACCESS_KEY_ID";
        const SECRET: &str = "ENSEMBLE_ACCESS_KEY_SECRET";
        let read = |name| variable(name).filter(|text| !text.is_empty());
        match (read(ID), read(SECRET)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(Error::HalfAKey { set: ID, unset: SECRET }),
            (None, Some(_)) => Err(Error::HalfAKey { set: SECRET, unset: ID }),
            (Some(key_id), Some(_)) if !is_usable(&key_id) => Err(Error::UnusableKey { variable: ID }),
            (Some(_), Some(secret)) if !is_usable(&secret) => Err(Error::UnusableKey { variable: SECRET }),
            (Some(key_id), Some(secret)) => Ok(Some(Self { key_id, secret: Secret(secret) })),
        }
    }
}

impl Credentials {
    /// Reads `path`, or makes the account at the first start.
    ///
    /// # Errors
    /// When the file is there and is malformed, open to others or of another key than `given`; when it is missing
    /// beside a log, whose applications belong to the account that it named.
    pub fn load_or_create(path: &Path, given: Option<&GivenKey>) -> Result<(Self, KeyOrigin), Error> {
        match Self::load(path, given)? {
            Some(kept) => Ok((kept, KeyOrigin::Kept)),
            None => Self::create(path, given),
        }
    }

    /// Reads `path`, if it is there.
    ///
    /// # Errors
    /// As for [`Self::load_or_create`].
    pub(crate) fn load(path: &Path, given: Option<&GivenKey>) -> Result<Option<Self>, Error> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let kept = Self::from_file(path, &text)?;
                let same = |given: &&GivenKey| given.key_id == kept.key_id && given.secret.0 == kept.secret.0;
                match given {
                    Some(given) if !same(&given) => {
                        Err(Error::DifferentKey { path: path.to_owned(), kept: kept.key_id })
                    }
                    Some(_) | None => Ok(Some(kept)),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.with_file_name(data_dir::LOG_FILE).exists() {
                    return Err(Error::Lost { path: path.to_owned() });
                }
                Ok(None)
            }
            Err(error) => Err(FileError::on("read", path)(error).into()),
        }
    }

    /// The owner of this server, as far as the key's grants reach.
    pub fn principal(&self) -> Principal {
        Principal { grants: self.grants.clone(), ..Principal::owner(self.account.clone(), &self.key_id) }
    }

    fn create(path: &Path, given: Option<&GivenKey>) -> Result<(Self, KeyOrigin), Error> {
        let (key, origin) = match given {
            Some(given) => (given.clone(), KeyOrigin::TakenFromEnvironment),
            None => (generate_key(), KeyOrigin::Generated),
        };
        let account_id = format!("1{}", random::text(b"0123456789", 15));
        let file = File {
            access_key_id: key.key_id.clone(),
            access_key_secret: key.secret.0.clone(),
            account_id: account_id.clone(),
            grants: None,
        };
        let text = toml::to_string(&file).expect("strings are always TOML");
        data_dir::replace(path, text.as_bytes()).map_err(FileError::on("write", path))?;
        let account = AccountId::new(account_id);
        Ok((Self { account, key_id: key.key_id, secret: key.secret, grants: everything() }, origin))
    }

    fn from_file(path: &Path, text: &str) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(FileError::on("read", path))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::TooOpen { path: path.to_owned(), mode });
        }
        let malformed = |reason: String| Error::Malformed { path: path.to_owned(), reason };
        // Only the message: toml's Display quotes the line, and the line may hold the secret.
        let file: File = toml::from_str(text).map_err(|error| malformed(error.message().to_owned()))?;
        if file.account_id.len() != 16 || !file.account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed("`account_id` is not 16 digits".into()));
        }
        if !is_usable(&file.access_key_id) {
            return Err(malformed("`access_key_id` is empty or not plain text".into()));
        }
        if !is_usable(&file.access_key_secret) {
            return Err(malformed("`access_key_secret` is empty or not plain text".into()));
        }
        Ok(Self {
            account: AccountId::new(file.account_id),
            key_id: file.access_key_id,
            secret: Secret(file.access_key_secret),
            grants: file.grants.unwrap_or_else(everything),
        })
    }
}

/// Without `grants` in the file the key is its account's own.
fn everything() -> Vec<String> {
    vec!["*".into()]
}

fn generate_key() -> GivenKey {
    GivenKey {
        key_id: format!("LTAI{}", random::text(ALPHANUMERIC, 20)),
        secret: Secret(random::text(ALPHANUMERIC, 30)),
    }
}

fn is_usable(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_new_dir() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials.toml");
        (dir, path)
    }

    fn given(key_id: &str, secret: &str) -> GivenKey {
        GivenKey { key_id: key_id.into(), secret: Secret::new(secret) }
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn the_first_start_makes_a_key_that_the_second_finds() {
        let (_dir, path) = in_new_dir();

        let (made, origin) = Credentials::load_or_create(&path, None).unwrap();
        let (kept, kept_origin) = Credentials::load_or_create(&path, None).unwrap();

        assert_eq!((origin, kept_origin), (KeyOrigin::Generated, KeyOrigin::Kept));
        assert_eq!((made.key_id.len(), made.secret.0.len(), made.account.as_str().len()), (24, 30, 16));
        assert!(made.key_id.starts_with("LTAI"));
        assert_eq!((made.key_id, made.secret.0, made.account), (kept.key_id, kept.secret.0, kept.account));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_environment_gives_the_first_key_and_may_not_change_it() {
        let (_dir, path) = in_new_dir();
        let (first, origin) = Credentials::load_or_create(&path, Some(&given("LTAIone", "s1"))).unwrap();

        let same = Credentials::load_or_create(&path, Some(&given("LTAIone", "s1")));
        assert_eq!((first.key_id.as_str(), origin), ("LTAIone", KeyOrigin::TakenFromEnvironment));
        assert!(same.is_ok());
        for other in [given("LTAItwo", "s1"), given("LTAIone", "s2")] {
            let Err(error) = Credentials::load_or_create(&path, Some(&other)) else { panic!("accepted") };
            assert!(matches!(error, Error::DifferentKey { .. }), "{error}");
            assert!(!error.to_string().contains("s1") && !error.to_string().contains("s2"), "{error}");
        }
    }

    #[test]
    fn no_second_account_is_made_beside_a_log() {
        let (dir, path) = in_new_dir();
        fs::write(dir.path().join(data_dir::LOG_FILE), "").unwrap();

        for given in [None, Some(given("LTAIone", "s1"))] {
            let Err(error) = Credentials::load_or_create(&path, given.as_ref()) else { panic!("accepted") };

            assert!(matches!(error, Error::Lost { .. }), "{error}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn half_a_key_or_an_unusable_one_is_refused() {
        let check = |id: &'static str, secret: &'static str| {
            GivenKey::from_environment(move |name| {
                Some(if name.ends_with("SECRET") { secret } else { id }.to_owned())
            })
        };
        assert!(matches!(check("", ""), Ok(None)));
        assert!(matches!(check("LTAI", "s"), Ok(Some(_))));
        assert!(matches!(
            check("LTAI", ""),
            Err(Error::HalfAKey { unset: "ENSEMBLE_ACCESS_KEY_SECRET", .. })
        ));
        assert!(matches!(check("", "s"), Err(Error::HalfAKey { unset: "ENSEMBLE_ACCESS_KEY_ID", .. })));
        assert!(matches!(check("a,b", "s"), Err(Error::UnusableKey { variable: "ENSEMBLE_ACCESS_KEY_ID" })));
        assert!(matches!(
            check("a", "s\n"),
            Err(Error::UnusableKey { variable: "ENSEMBLE_ACCESS_KEY_SECRET" })
        ));
    }

    #[test]
    fn grants_in_the_file_restrict_the_key() {
        let (_dir, path) = in_new_dir();
        write(
            &path,
            "access_key_id = 'k'\naccess_key_secret = 's'\naccount_id = '1234567890123456'\ngrants = ['ens:Describe*']\n",
        );

        let (credentials, _) = Credentials::load_or_create(&path, None).unwrap();

        assert_eq!(credentials.principal().grants, ["ens:Describe*"]);
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let (_dir, path) = in_new_dir();
        Credentials::load_or_create(&path, None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();

        let Err(error) = Credentials::load_or_create(&path, None) else { panic!("accepted") };

        assert!(error.to_string().contains("0640") && error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_malformed_file_is_refused_without_quoting_it() {
        for text in [
            "access_key_id = 'k'\naccess_key_secret = 'sesame\naccount_id = '1234567890123456'\n",
            "access_key_id = 'k'\naccess_key_secret = 'sesame'\naccount_id = '12'\n",
            "access_key_id = 'k'\naccess_key_secret = 'sesame'\naccount_id = '1234567890123456'\nmore = 'sesame'\n",
            "access_key_secret = 'sesame'\n",
            "access_key_id = ''\naccess_key_secret = 'sesame'\naccount_id = '1234567890123456'\n",
        ] {
            let (_dir, path) = in_new_dir();
            write(&path, text);

            let Err(error) = Credentials::load_or_create(&path, None) else { panic!("accepted: {text}") };

            assert!(matches!(error, Error::Malformed { .. }), "{error}");
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
    }
}
