//! Markdown as a forge shows it: wrapped paragraphs, tables, code. Knows nothing of what is told.

/// Longest line outside of tables, headings and code.
pub(super) const WIDTH: usize = 120;

/// A paragraph, wrapped, with an empty line behind it.
pub(super) fn paragraph(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let size = word.chars().count();
        if length > 0 && length + 1 + size > WIDTH {
            out.push('\n');
            length = 0;
        } else if length > 0 {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += size;
    }
    out.push_str("\n\n");
    out
}

/// A table with an empty line behind it. Cells may hold Markdown; a `|` in one is escaped.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| {
        let cells = cells.into_iter().map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        let mut line = String::from("|");
        for cell in cells {
            line.push(' ');
            line.push_str(&cell);
            line.push_str(if cell.is_empty() { "|" } else { " |" });
        }
        line.push('\n');
        line
    };
    let mut out = line(head.iter().map(|&cell| cell.to_owned()).collect());
    out.push_str(&format!("|{}\n", "---|".repeat(head.len())));
    for row in rows {
        out.push_str(&line(row));
    }
    out.push('\n');
    out
}

pub(super) fn fenced(language: &str, code: &str) -> String {
    format!("```{language}\n{}\n```\n\n", code.trim_end())
}

/// `text` as code; nothing where there is none.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// `a`, `b`, `c` of `a, b, c`.
pub(super) fn codes<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(code).collect::<Vec<_>>().join(", ")
}

/// The anchor that a forge gives a heading.
pub(super) fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_wrapped_between_words() {
        let text = paragraph(&"word ".repeat(60));

        assert!(text.lines().all(|line| line.len() <= WIDTH && !line.ends_with(' ')), "{text}");
        assert_eq!(text.split_whitespace().count(), 60);
    }

    #[test]
    fn a_bar_in_a_cell_does_not_end_it() {
        assert_eq!(table(&["A"], [vec!["x|y".to_owned()]]), "| A |\n|---|\n| x\\|y |\n\n");
    }
}
