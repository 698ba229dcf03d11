//! The history of a run: every request, answer, kill and fault with its time, one JSON object a line, written as it
//! happens, and kept to tell the story of what went wrong. Draws no conclusion; that is `verdict`'s.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How much of the history a story tells.
const STORY_LINES: usize = 50;

pub struct History {
    began: Instant,
    kept: Mutex<Kept>,
}

struct Kept {
    file: File,
    lines: Vec<Line>,
}

struct Line {
    text: String,
    /// Whether it happened to the whole machine, so that it belongs to every story.
    is_common: bool,
}

impl History {
    /// A new history in this file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("`{}`", path.display()))?;
        Ok(Self { began: Instant::now(), kept: Mutex::new(Kept { file, lines: Vec::new() }) })
    }

    /// What concerns those whom `fields` name: a request, an answer, a process that came or went.
    pub fn note(&self, what: &str, fields: Value) {
        self.keep(what, fields, false);
    }

    /// What concerns everybody: a kill of the server, a full disk, a registry that lies.
    pub fn announce(&self, what: &str, fields: Value) {
        self.keep(what, fields, true);
    }

    fn keep(&self, what: &str, fields: Value, is_common: bool) {
        let mut line = json!({"at_ms": self.began.elapsed().as_millis() as u64, "what": what});
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields);
        }
        let text = line.to_string();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // A history that cannot be written any more is still told from memory.
        let _ = writeln!(kept.file, "{text}");
        kept.lines.push(Line { text, is_common });
    }

    pub fn length(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).lines.len()
    }

    /// The last lines that name one of `subjects`, and what happened to everybody between them.
    pub fn story(&self, subjects: &[&str]) -> Vec<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let names = |line: &Line| subjects.iter().any(|subject| line.text.contains(subject));
        let last = kept.lines.iter().rposition(names).map_or(kept.lines.len(), |last| last + 1);
        let mut told: Vec<String> = kept.lines[..last]
            .iter()
            .rev()
            .filter(|line| line.is_common || names(line))
            .take(STORY_LINES)
            .map(|line| line.text.clone())
            .collect();
        told.reverse();
        told
    }
}

#[cfg(test)]
mod tests {
    use super::{History, STORY_LINES};
    use serde_json::json;

    #[test]
    fn a_story_ends_with_the_last_word_on_its_subject_and_leaves_others_out() {
        let directory = tempfile::tempdir().unwrap();
        let history = History::begin(&directory.path().join("history.jsonl")).unwrap();
        for count in 0..100 {
            history.note("asked", json!({"instance": "i-other", "count": count}));
            history.note("asked", json!({"instance": "i-one", "count": count}));
        }
        history.announce("killed", json!({"pid": 7}));
        history.note("gone", json!({"instance": "i-one"}));
        history.note("asked", json!({"instance": "i-other"}));

        let story = history.story(&["i-one"]);

        assert_eq!(story.len(), STORY_LINES);
        assert!(story[STORY_LINES - 1].contains("gone") && story[STORY_LINES - 2].contains("killed"));
        assert!(story.iter().all(|line| !line.contains("i-other")));
        let written = std::fs::read_to_string(directory.path().join("history.jsonl")).unwrap();
        assert_eq!(written.lines().count(), history.length());
    }
}
