//! Image strings of templates: what is accepted is written as it was read, and names one thing only.

use ensemble_engine::embedded::image::ImageReference;

/// The string.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    match text.parse::<ImageReference>() {
        Ok(ImageReference::Oci(reference)) => {
            assert!(reference.path().is_absolute(), "{text:?} is no place");
            assert!(!text.contains(char::is_control), "{text:?} ends a line of somebody's log");
            assert_eq!(reference.to_string(), text);
        }
        Ok(ImageReference::Registry(reference)) => {
            assert_eq!(reference.to_string(), text);
            assert!(!reference.registry().is_empty() && !reference.repository().is_empty(), "{text:?}");
            // Both become parts of a URL.
            let inside = |letter: char| letter.is_ascii_alphanumeric() || "._-/".contains(letter);
            assert!(reference.repository().chars().all(inside), "{text:?}");
            assert!(
                !reference.repository().split('/').any(|part| part.is_empty() || part == ".."),
                "{text:?}"
            );
            assert!(!reference.registry().contains(['/', '@', '?', '#']), "{text:?}");
        }
        Err(error) => {
            assert!(error.is_hopeless(), "asking again would not help {text:?}");
            assert!(error.to_string().len() <= 4_096, "{} bytes", error.to_string().len());
        }
    }
}
