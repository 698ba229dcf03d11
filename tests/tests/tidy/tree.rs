//! The files of the repository, as the rules look at them. Reads the working tree, so that a new file is checked
//! before it is committed; what git ignores at the top is left out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders that are not the repository's own, by name.
const NOT_OURS: [&str; 6] = ["target", ".git", ".venv", "__pycache__", ".pytest_cache", "node_modules"];

/// One text file, with the path as one says it from the top of the repository.
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) content: String,
}

impl Text {
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

/// Those of `sources` that are built for tests only: what lies in a `tests` folder, and modules that are declared under
/// `#[cfg(test)]`.
pub(crate) fn only_tests(sources: &[Text]) -> BTreeSet<String> {
    let in_folder = sources.iter().map(|source| source.path.clone()).filter(|path| path.contains("tests/"));
    let declared = sources.iter().flat_map(|source| {
        let lines: Vec<&str> = source.content.lines().collect();
        let declarations = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
        let names = declarations.filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'));
        names.map(|name| format!("{}/{name}.rs", folder_of_children(&source.path))).collect::<Vec<_>>()
    });
    in_folder.chain(declared).collect()
}

/// Where the modules lie that a file declares.
fn folder_of_children(path: &str) -> &str {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "mod.rs" | "lib.rs" | "main.rs" => folder,
        _ => path.strip_suffix(".rs").unwrap_or(path),
    }
}
