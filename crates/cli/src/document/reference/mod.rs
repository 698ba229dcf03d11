//! The pages of `docs/reference`, made from the catalog, the tree of commands and the tables of the code. What reads
//! badly there is mended where it comes from. Writes no file; `command::reference` does.

mod actions;
mod commands;
mod errors;
mod markdown;
mod tables;

/// One page below `docs/reference`.
pub(crate) struct Document {
    /// `actions/RescaleApplication.md`.
    pub(crate) file: String,
    pub(crate) text: String,
}

impl Document {
    fn new(file: impl Into<String>, text: String) -> Self {
        Self { file: file.into(), text: format!("{}\n", text.trim_end()) }
    }
}

/// Every page, the index first.
pub(crate) fn pages() -> Vec<Document> {
    let mut pages = vec![
        Document::new("README.md", index()),
        Document::new("actions.md", actions::overview()),
        Document::new("errors.md", errors::page()),
        Document::new("commands.md", commands::page()),
        Document::new("configuration.md", tables::configuration()),
        Document::new("metrics.md", tables::metrics()),
        Document::new("exit-codes.md", tables::exit_codes()),
        Document::new("environment.md", tables::environment()),
        Document::new("files.md", tables::files()),
    ];
    pages.extend(actions::pages());
    pages
}

fn index() -> String {
    let mut text = String::from("# Reference\n\n");
    text.push_str(&markdown::paragraph(
        "Made from the code by `make docs`; a test fails where a page is older than the code. What the program does \
         beside ENS, and where it differs, is told in [differences](../differences.md); how to run it, in [operate](../operate.md).",
    ));
    let rows = [
        ("[Actions](actions.md)", "every action of the API: parameters, answer, errors, access level"),
        ("[Errors](errors.md)", "every code with its HTTP status, its message, what it means and what helps"),
        ("[Commands](commands.md)", "the command line, command by command"),
        ("[Configuration](configuration.md)", "the configuration file, key by key"),
        ("[Metrics](metrics.md)", "what `/metrics` shows"),
        ("[Exit codes](exit-codes.md)", "how a command ends"),
        ("[Environment](environment.md)", "the variables that the program reads"),
        ("[Files](files.md)", "the files that the program keeps and reads"),
    ];
    text.push_str(&markdown::table(
        &["Page", "Holds"],
        rows.map(|(page, holds)| vec![page.into(), holds.into()]),
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_prose_is_over_long() {
        for page in pages() {
            let mut in_code = false;
            for line in page.text.lines() {
                in_code ^= line.starts_with("```");
                let is_free = in_code || line.starts_with('|') || line.starts_with('#');
                assert!(is_free || line.chars().count() <= markdown::WIDTH, "{}: {line}", page.file);
            }
            assert!(!in_code, "{}: a block of code does not end", page.file);
        }
    }

    #[test]
    fn each_row_of_a_table_has_as_many_cells_as_its_head() {
        for page in pages() {
            let mut width = None;
            for line in page.text.lines() {
                if !line.starts_with('|') {
                    width = None;
                    continue;
                }
                let cells = line.replace("\\|", "").matches('|').count();
                assert_eq!(cells, *width.get_or_insert(cells), "{}: {line}", page.file);
            }
        }
    }
}
