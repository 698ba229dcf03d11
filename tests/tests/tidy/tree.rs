//! The files of the repository, as the rules look at them. Reads the working tree, so that a new file is checked
//! before it is committed; what git ignores at the top is left out.

use std::path::{Path, PathBuf};

/// Folders that are not the repository's own, by name.
const NOT_OURS: [&str; 6] = ["target", ".git", ".venv", "__pycache__", ".pytest_cache", "node_modules"];

/// One text file, with the path as one says it from the top of the repository.
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) content: String,
}

impl Text {
    /// Whether the whole file is for tests.
    pub(crate) fn is_only_tests(&self) -> bool {
        self.path.contains("tests/") || self.path.ends_with("tests.rs")
    }

    /// The part before the first `#[cfg(test)]`: what runs in production.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().take_while(|(_, line)| *line != "#[cfg(test)]")
    }

    /// Lines with their number from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.content.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in a folder of the repository")
        .into()
}

/// Every file that is text, in the order of their paths.
pub(crate) fn texts() -> Vec<Text> {
    let top = top();
    let mut texts = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository is readable") {
            let entry = entry.expect("a folder of the repository is readable");
            let kind = entry.file_type().expect("a file of the repository has a type");
            if NOT_OURS.contains(&entry.file_name().to_string_lossy().as_ref()) {
                continue;
            } else if kind.is_dir() {
                folders.push(entry.path());
            } else if let Ok(content) = std::fs::read_to_string(entry.path()) {
                let path = entry.path();
                let path = path.strip_prefix(&top).expect("the walk began at the top");
                texts.push(Text { path: path.display().to_string(), content });
            }
        }
    }
    texts.sort_by(|one, other| one.path.cmp(&other.path));
    texts
}

/// The Rust files among them.
pub(crate) fn sources() -> Vec<Text> {
    texts().into_iter().filter(|text| text.path.ends_with(".rs")).collect()
}
