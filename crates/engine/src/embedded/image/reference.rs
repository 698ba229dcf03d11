//! Image strings of templates: `oci:PATH[:TAG]`, or a registry reference. Parses only; opens nothing.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Error;

/// Longest image string that is looked at.
const LENGTH_LIMIT: usize = 4096;
/// Longest tag, by the distribution specification.
const TAG_LIMIT: usize = 128;

/// What an image string names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageReference {
    /// A layout or archive on this machine.
    Oci(OciReference),
    /// An image of a registry, as written.
    Registry(String),
}

/// `oci:PATH[:TAG]`: an OCI layout, as a directory or as one tar archive (`decisions.md` §6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciReference {
    path: PathBuf,
    tag: Option<String>,
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
        Ok(Self::Registry(text.to_owned()))
    }
}

impl ImageReference {
    /// The reference if it is one that can be used today.
    ///
    /// # Errors
    /// [`Error::Registry`] for a registry reference: pulls are not built yet.
    pub fn into_oci(self) -> Result<OciReference, Error> {
        match self {
            Self::Oci(reference) => Ok(reference),
            Self::Registry(text) => Err(Error::Registry { text }),
        }
    }
}

impl FromStr for OciReference {
    type Err = Error;

    /// # Errors
    /// [`Error::Reference`] for a string that is no image, [`Error::Registry`] for one of a registry.
    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse::<ImageReference>()?.into_oci()
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
    fn a_registry_reference_is_known_but_refused_by_name() {
        for text in ["nginx", "nginx:1.27", "registry.example:5000/edge/web@sha256:abc", "[::1]:5000/web"] {
            let error = text.parse::<OciReference>().unwrap_err();

            assert_eq!(
                error.to_string(),
                format!(
                    "image `{text}` is a registry reference, and pulls are not built yet; use `oci:PATH[:TAG]`"
                )
            );
        }
    }
}
