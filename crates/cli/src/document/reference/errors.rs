//! The page about errors: every code, every `Reason`, and the body that carries them.

use super::markdown::{anchor, code, fenced, paragraph, table};
use ensemble_wire::error::{Code, Error, Reason};

pub(super) fn page() -> String {
    let mut text = String::from("# Errors\n\n");
    text.push_str(&paragraph(
        "An error is answered in the format of the call. Code and message are those of ENS and its gateway; `Detail` is a \
         sentence for people, and `Reason` a word for programs. Both are ours, and SDKs ignore them.",
    ));
    let example = Error::interface_error(
        Reason::OperationInProgress,
        "Operation AAE90880-4970-4D81-A534-A6C0F3631F74 of this application runs until 08:05:00Z.",
    );
    let body = example.body("CEF72CEB-54B6-4AE8-B225-F876FF7BA984", "127.0.0.1:8420");
    let body = serde_json::to_string_pretty(&body).expect("an error body always serializes");
    text.push_str(&fenced("json", &body));
    text.push_str("## Reasons\n\n");
    let rows = Reason::ALL.iter().map(|reason| {
        let guide = reason.guide();
        vec![code(&reason.as_text()), guide.when.to_owned(), guide.remedy.to_owned()]
    });
    text.push_str(&table(&["Reason", "When", "What to do"], rows));
    text.push_str("## Codes\n\n");
    let rows = Code::all().into_iter().map(|code| {
        let name = code.as_text();
        vec![format!("[`{name}`](#{})", anchor(&name)), code.status().to_string(), plain(&code.sentence())]
    });
    text.push_str(&table(&["Code", "Status", "Message"], rows));
    for code in Code::all() {
        let guide = code.guide();
        text.push_str(&format!("### {}\n\n", plain(&code.as_text())));
        text.push_str(&paragraph(&format!("HTTP {}. {} {}", code.status(), guide.when, guide.remedy)));
    }
    text
}

/// The anchor of a code as an action publishes it.
pub(super) fn heading_of(published: &str) -> String {
    anchor(&published.replace("%s", "<Name>"))
}

/// Whether there is anything to say of a code: not of one that its action publishes and nothing here answers.
pub(super) fn is_told(published: &str) -> bool {
    let heading = heading_of(published);
    Code::all().iter().any(|code| anchor(&code.as_text()) == heading)
}

/// Angle brackets would be taken for HTML.
fn plain(code: &str) -> String {
    code.replace('<', "\\<").replace('>', "\\>")
}
