//! The files that answers are compared with, `tests/data/golden/NAME.ENDING`. With `UPDATE_GOLDEN=1` they are written
//! instead, and those that no answer belongs to any more are removed; without it such a file is a difference like any other.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Of a difference, lines shown.
const LINES_SHOWN: usize = 12;

pub(crate) struct Kept {
    is_updating: bool,
    compared: BTreeSet<String>,
    differences: Vec<String>,
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/golden")
}

/// All files there are.
pub(crate) fn names() -> BTreeSet<String> {
    let files = fs::read_dir(directory()).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

impl Kept {
    pub(crate) fn open() -> Self {
        let is_updating = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
        Self { is_updating, compared: BTreeSet::new(), differences: Vec::new() }
    }

    pub(crate) fn compare(&mut self, name: &str, ending: &str, answer: &str) {
        let file = format!("{name}.{ending}");
        let path = directory().join(&file);
        if self.is_updating {
            fs::write(&path, answer).unwrap();
        } else {
            match fs::read_to_string(&path) {
                Ok(kept) if kept == answer => {}
                Ok(kept) => self.differences.push(difference(&file, &kept, answer)),
                Err(error) => self.differences.push(format!("{file}: {error}")),
            }
        }
        assert!(self.compared.insert(file), "two answers have the name {name}");
    }

    /// Says all that differs, not only the first.
    pub(crate) fn close(self) {
        let left_over: Vec<String> = names().difference(&self.compared).cloned().collect();
        if self.is_updating {
            left_over.iter().for_each(|file| fs::remove_file(directory().join(file)).unwrap());
            return;
        }
        assert!(left_over.is_empty(), "no answer belongs to {left_over:?}");
        let count = self.differences.len();
        assert!(
            count == 0,
            "{count} answers are not as they are kept (UPDATE_GOLDEN=1 keeps them so):\n{}",
            self.differences.join("\n")
        );
        println!("{} files", self.compared.len());
    }
}

fn difference(file: &str, kept: &str, answer: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let (kept, answer): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), answer.lines().collect());
    for number in 0..kept.len().max(answer.len()) {
        let (before, now) = (kept.get(number), answer.get(number));
        if before != now && lines.len() < LINES_SHOWN {
            lines.push(format!("  {}: {:?}, now {:?}", number + 1, before, now));
        }
    }
    if lines.is_empty() {
        lines.push("  the line ends differ".to_owned());
    }
    format!("{file}:\n{}", lines.join("\n"))
}
