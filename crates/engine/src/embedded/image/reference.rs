//! Image strings of templates: `oci:PATH[:TAG]`, or a registry reference. Parses only; opens nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ensemble_model::id::Digest;
use oci_spec::distribution::Reference;

use super::{Error, digest};

/// Longest image string that is looked at.
const LENGTH_LIMIT: usize = 4096;
/// Longest tag, by the distribution specification.
const TAG_LIMIT: usize = 128;

/// What an image string names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageReference {
    /// A layout or archive on this machine.
    Oci(OciReference),
    /// An image of a registry.
    Registry(RegistryReference),
}

/// `oci:PATH[:TAG]`: an OCI layout, as a directory or as one tar archive (`decisions.md` §6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciReference {
    path: PathBuf,
    tag: Option<String>,
}

/// `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]`, read as Docker's users expect: a bare `nginx` is
/// `docker.io/library/nginx:latest`. A digest counts, the tag beside it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryReference {
    text: String,
    parsed: Reference,
    digest: Option<Digest>,
}

impl FromStr for ImageReference {
    type Err = Error;

    /// # Errors
    /// [`Error::Reference`] when the string can be neither.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::Reference { text: shown(text), reason };
        if text.is_empty() || text.len() > LENGTH_LIMIT {
            return Err(refuse("it is empty or too long"));
        }
        if text.chars().any(|character| character.is_control()) {
            return Err(refuse("it has a control character"));
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            return OciReference::from_rest(rest).map(Self::Oci).map_err(refuse);
        }
        let plain = |character: char| character.is_ascii_alphanumeric() || "._-/:@[]".contains(character);
        if !text.chars().all(plain) {
            return Err(refuse("neither `oci:PATH[:TAG]` nor the name of an image in a registry"));
        }
        RegistryReference::from_text(text).map(Self::Registry).map_err(refuse)
    }
}

impl FromStr for OciReference {
    type Err = Error;

    /// # Errors
    /// [`Error::Reference`] for a string that is no image, or one of a registry.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse()? {
            ImageReference::Oci(reference) => Ok(reference),
            ImageReference::Registry(_) => {
                Err(Error::Reference { text: shown(text), reason: "it does not begin with `oci:`" })
            }
        }
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "oci:{}", self.path.display())?;
        match &self.tag {
            Some(tag) => write!(formatter, ":{tag}"),
            None => Ok(()),
        }
    }
}

impl RegistryReference {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        use oci_spec::distribution::ParseError;
        let parsed: Reference = text.parse().map_err(|error| match error {
            ParseError::NameContainsUppercase => "the name of a repository is in lower case",
            ParseError::NameTooLong => "the name of its repository is longer than 255 characters",
            ParseError::DigestInvalidLength
            | ParseError::DigestInvalidFormat
            | ParseError::DigestUnsupported => "its digest is not `sha256:` and 64 lower-case hex digits",
            ParseError::NameEmpty | ParseError::ReferenceInvalidFormat | ParseError::TagInvalidFormat => {
                "neither `oci:PATH[:TAG]` nor `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]`"
            }
        })?;
        let digest = match parsed.digest() {
            None => None,
            Some(text) => {
                Some(digest::parse(text).ok_or("its digest is not `sha256:` and 64 lower-case hex digits")?)
            }
        };
        Ok(Self { text: text.to_owned(), parsed, digest })
    }

    /// The registry as people and configurations name it, with the port where it has one: `docker.io`.
    pub fn registry(&self) -> &str {
        self.parsed.registry()
    }

    /// Where that registry answers.
    pub(super) fn address(&self) -> &str {
        match self.parsed.registry() {
            "docker.io" => "registry-1.docker.io",
            address => address,
        }
    }

    pub fn repository(&self) -> &str {
        self.parsed.repository()
    }

    /// The digest it names, which leads to one image for ever.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a manifest is asked for by.
    pub(super) fn version(&self) -> &str {
        self.digest.as_ref().map(Digest::as_str).or(self.parsed.tag()).unwrap_or("latest")
    }
}

impl fmt::Display for RegistryReference {
    /// As written.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl OciReference {
    /// Absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The last colon starts the tag, unless a slash follows it: then it belongs to the path.
    fn from_rest(rest: &str) -> Result<Self, &'static str> {
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if !path.starts_with('/') {
            return Err("the path after `oci:` must be absolute");
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("the tag must be letters, digits, `_`, `.` and `-`, at most 128 of them");
        }
        Ok(Self { path: PathBuf::from(path), tag: tag.map(str::to_owned) })
    }
}

fn is_tag(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    first && plain && text.len() <= TAG_LIMIT
}

/// What of a refused string is repeated to its author.
fn shown(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oci_reference_is_a_path_and_perhaps_a_tag() {
        for (text, path, tag) in [
            ("oci:/srv/app", "/srv/app", None),
            ("oci:/srv/app:v1", "/srv/app", Some("v1")),
            ("oci:/srv/app.tar:1.0-rc_2", "/srv/app.tar", Some("1.0-rc_2")),
            ("oci:/srv/with:colon/app", "/srv/with:colon/app", None),
            ("oci:/srv/with:colon/app:v1", "/srv/with:colon/app", Some("v1")),
            ("oci:/srv/with space", "/srv/with space", None),
        ] {
            let reference: OciReference = text.parse().unwrap();

            assert_eq!((reference.path(), reference.tag()), (Path::new(path), tag), "{text}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for text in [
            "",
            "oci:",
            "oci:relative/path",
            "oci:/srv/app:",
            "oci:/srv/app:-v1",
            "oci:/srv/app:v 1",
            "oci:/srv/\napp",
            "nginx latest",
            "oci:/srv/app\0",
        ] {
            let error = text.parse::<ImageReference>().unwrap_err();

            assert!(matches!(error, Error::Reference { .. }), "{text:?}: {error}");
            assert!(error.is_hopeless());
        }
    }

    #[test]
    fn a_registry_reference_is_read_as_dockers_users_expect() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let pinned = format!("registry.example:5000/edge/web:v1@{digest}");
        for (text, registry, repository, version) in [
            ("nginx", "docker.io", "library/nginx", "latest"),
            ("nginx:1.27", "docker.io", "library/nginx", "1.27"),
            ("edge/web", "docker.io", "edge/web", "latest"),
            ("localhost/web", "localhost", "web", "latest"),
            ("localhost:5000/a/b/c:v_1", "localhost:5000", "a/b/c", "v_1"),
            ("127.0.0.1:5000/web", "127.0.0.1:5000", "web", "latest"),
            ("registry.example/web", "registry.example", "web", "latest"),
            (&pinned, "registry.example:5000", "edge/web", &digest),
        ] {
            let ImageReference::Registry(reference) = text.parse().unwrap() else { panic!("{text}") };

            let read = (reference.registry(), reference.repository(), reference.version());
            assert_eq!(read, (registry, repository, version), "{text}");
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn what_no_registry_can_have_is_refused() {
        let upper = format!("web@sha256:{}", "AB".repeat(32));
        for text in [
            "Web",
            "web:",
            "web:-v1",
            "web@sha256:abc",
            "web@sha512:abc",
            &upper,
            "/web",
            "web/",
            "a//b",
            "../web",
            "http://registry.example/web",
            "user:secret@registry.example/web",
        ] {
            let error = text.parse::<ImageReference>().unwrap_err();

            assert!(matches!(error, Error::Reference { .. }), "{text:?}: {error}");
        }
    }
}
