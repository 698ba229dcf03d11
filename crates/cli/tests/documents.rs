//! What the program writes about itself: completion that really completes, and a manual that `man` accepts.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn ensemble(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ensemble")).args(words).env_clear().output().expect("the command runs")
}

fn stdout(words: &[&str]) -> String {
    let output = ensemble(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("stdout is UTF-8")
}

/// What bash offers after these words, the last one unfinished.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    let asking = r#"source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
        _ensemble ensemble "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash").args(["-c", asking, "bash"]).arg(script).args(words).output();
    let output = output.expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("bash offers text").lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let dir = TempDir::new().expect("a temporary directory");
    let script = dir.path().join("ensemble.bash");
    fs::write(&script, stdout(&["completion", "bash"])).expect("the script is written");

    let syntax = Command::new("bash").arg("-n").arg(&script).output().expect("bash runs");

    assert!(syntax.status.success(), "{}", String::from_utf8_lossy(&syntax.stderr));
    for (words, expected) in [
        (&["ensemble", "resc"][..], &["rescale"][..]),
        (&["ensemble", "app", "del"], &["delete", "delete-version"]),
        (&["ensemble", "rescale", "--if-"], &["--if-revision", "--if-plan"]),
        (&["ensemble", "app", "list", "--output", "nd"], &["ndjson"]),
        (&["ensemble", "completion", "z"], &["zsh"]),
        (&["ensemble", "call", "DescribeEnsR"], &["DescribeEnsRegions"]),
    ] {
        let mut found = offered(&script, words);
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{words:?}");
    }
}

#[test]
fn each_shell_gets_a_script_and_its_place_is_told() {
    let help = stdout(&["completion", "--help"]);

    for (shell, mark) in [
        ("bash", "complete -F _ensemble"),
        ("zsh", "#compdef ensemble"),
        ("fish", "complete -c ensemble"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "set edit:completion:arg-completer[ensemble]"),
    ] {
        let script = stdout(&["completion", shell]);

        assert!(script.contains(mark), "{shell}: {script}");
        assert!(script.contains("rescale"), "{shell}");
        assert!(help.contains(&format!("\n  {shell} ")), "{shell}: {help}");
    }
}

#[test]
fn each_command_has_a_page_of_the_manual() {
    let dir = TempDir::new().expect("a temporary directory");
    let pages = dir.path().join("man1");

    stdout(&["man", pages.to_str().expect("a text path")]);

    for name in ["ensemble", "ensemble-serve", "ensemble-rescale", "ensemble-app-create", "ensemble-man"] {
        assert!(pages.join(format!("{name}.1")).exists(), "{name}");
    }
    for entry in fs::read_dir(&pages).expect("the directory can be read") {
        let path = entry.expect("an entry can be read").path();
        let roff = fs::read_to_string(&path).expect("a page can be read");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES"] {
            assert!(roff.contains(&format!(".SH {section}\n")), "{}: no {section}", path.display());
        }
        assert!(roff.contains(".TH "), "{}", path.display());
        // A page without a command below it shows how it is used.
        let is_group = roff.contains(".SH SUBCOMMANDS") && !path.ends_with("ensemble.1");
        assert!(is_group || roff.contains(".SH EXAMPLES\n"), "{}: no examples", path.display());
    }
}

#[test]
fn man_renders_each_page_without_a_warning() {
    let renderer =
        ["man", "groff"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(renderer) = renderer else {
        println!("SKIPPED man_renders_each_page_without_a_warning: neither man nor groff is installed");
        return;
    };
    let dir = TempDir::new().expect("a temporary directory");
    stdout(&["man", dir.path().to_str().expect("a text path")]);

    for entry in fs::read_dir(dir.path()).expect("the directory can be read") {
        let page = entry.expect("an entry can be read").path();
        let mut command = Command::new(renderer);
        match renderer {
            "man" => command.args(["--warnings", "-E", "UTF-8", "-l"]),
            _ => command.args(["-man", "-Tutf8", "-ww"]),
        };
        let shown = command.arg(&page).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").output();
        let shown = shown.expect("the renderer runs");

        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.status.success(), "{}", page.display());
        assert_eq!(String::from_utf8_lossy(&shown.stderr), "", "{}", page.display());
        assert!(text.contains("EXIT STATUS"), "{}: {text}", page.display());
        if page.ends_with("ensemble-rescale.1") {
            // Where lines end is the renderer's affair.
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("Counts are changes with --add and --del"), "{text}");
        }
    }
}

#[test]
fn the_reference_in_the_tree_is_the_one_that_the_code_makes() {
    let dir = TempDir::new().expect("a temporary directory");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");

    stdout(&["reference", dir.path().to_str().expect("a text path")]);

    let (made, kept) = (markdown(dir.path()), markdown(&kept));
    let stale: Vec<&String> = made.iter().filter(|page| !kept.contains(page)).map(|(name, _)| name).collect();
    assert!(stale.is_empty(), "run `make docs`: docs/reference is older than the code in {stale:?}");
    let left: Vec<&String> = kept
        .iter()
        .filter(|(name, _)| !made.iter().any(|page| page.0 == *name))
        .map(|(name, _)| name)
        .collect();
    assert!(left.is_empty(), "run `make docs`: no code makes {left:?}");
}

/// The pages in a directory and in those below it, by name.
fn markdown(directory: &Path) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for place in [directory.to_owned(), directory.join("actions")] {
        for entry in fs::read_dir(&place).into_iter().flatten() {
            let path = entry.expect("an entry can be read").path();
            if path.is_file() {
                let name = path.strip_prefix(directory).expect("it lies below").display().to_string();
                pages.push((name, fs::read_to_string(&path).expect("a page can be read")));
            }
        }
    }
    pages
}

#[test]
fn the_catalog_can_be_read_without_a_server() {
    let list = stdout(&["api", "list"]);
    let one: serde_json::Value =
        serde_json::from_str(&stdout(&["api", "show", "Watch", "-o", "json"])).expect("one JSON document");

    assert!(list.contains("RescaleApplication") && list.contains("ours"), "{list}");
    assert_eq!(one["ramAction"], "ens:Watch");
    assert!(stdout(&["api", "show", "RescaleApplication"]).contains("one of: Add, Del"));
    assert_eq!(ensemble(&["api", "show", "RescaleApplications"]).status.code(), Some(3));
}
