//! The JSON of an image: one document is never an index and a manifest at once (CVE-2021-41190), and whatever a config
//! asks for is something that a container may be given.

use ensemble_engine::embedded::image::{ImageConfig, inspect, working_dir};

const LAYERS_AT_MOST: usize = 500;
const ENTRIES_AT_MOST: usize = 1_000;

/// The same bytes as all three documents.
pub fn check(input: &[u8]) {
    let index = inspect::index(input);
    let manifest = inspect::manifest(input);
    assert!(index.is_err() || manifest.is_err(), "an index and a manifest at once");
    if let Ok(entries) = index {
        assert!(entries.len() <= ENTRIES_AT_MOST, "{} entries", entries.len());
        entries.iter().for_each(|digest| is_a_digest(digest.as_str()));
    }
    if let Ok(blobs) = manifest {
        assert!(blobs.layers.len() <= LAYERS_AT_MOST, "{} layers", blobs.layers.len());
        is_a_digest(blobs.config.as_str());
        blobs.layers.iter().for_each(|(digest, _)| is_a_digest(digest.as_str()));
    }
    if let Ok(config) = inspect::config(input) {
        can_be_run(&config);
    }
}

/// It becomes the name of a file.
fn is_a_digest(text: &str) {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    let is_plain = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(hex.len() == 64 && is_plain, "{text:?} is no digest");
}

fn can_be_run(config: &ImageConfig) {
    let directory = &config.working_dir;
    assert!(directory.starts_with('/'), "{directory:?}");
    assert!(!directory.split('/').any(|part| matches!(part, "." | "..")), "{directory:?}");
    assert!(directory != "/proc" && !directory.starts_with("/proc/"), "{directory:?}");
    assert_eq!(working_dir(directory).as_ref(), Ok(directory), "plain once, plain again");
    assert!((1..=64).contains(&config.stop_signal), "signal {}", config.stop_signal);
    let env = config.env.iter().flat_map(|(name, value)| [name, value]);
    let texts = config.entrypoint.iter().chain(&config.cmd).chain(env).chain([&config.user]);
    for text in texts {
        assert!(!text.contains('\0'), "{text:?} can be no argument");
    }
    assert!(config.env.iter().all(|(name, _)| !name.is_empty() && !name.contains('=')));
}
