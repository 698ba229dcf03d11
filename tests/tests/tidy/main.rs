//! The rules of this house that a program can check, as ordinary tests: `cargo test -p ensemble-tests --test tidy`.
//! Each prints every place that breaks a rule, not only the first. The length of functions is clippy's to watch
//! (`clippy.toml`); what only a reader can judge is in `STYLE.md`.

mod dependencies;
mod documents;
mod sources;
mod tree;

/// Fails with the whole list of what was found.
fn expect_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}\n  {}\n", found.join("\n  "));
}
