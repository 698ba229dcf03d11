//! What the program says about itself in documents: the manual, and the pages of `docs/reference`. All of it is made
//! from what the code knows (the tree of commands, the catalog, tables); nothing here is read from a file.

pub(crate) mod environment;
pub(crate) mod files;
pub(crate) mod man;
pub(crate) mod reference;

/// One command that people call, with the words that call it.
#[derive(Debug)]
pub(crate) struct Page {
    /// `["ensemble", "app", "create"]`.
    pub(crate) words: Vec<String>,
    pub(crate) command: clap::Command,
}

/// Every command that is shown in help, parents before children, in the order of the help.
pub(crate) fn commands() -> Vec<Page> {
    let mut root = crate::tree().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    collect(&root, &[], &mut pages);
    pages
}

fn collect(command: &clap::Command, parents: &[String], pages: &mut Vec<Page>) {
    let words = [parents, &[command.get_name().to_owned()]].concat();
    pages.push(Page { words: words.clone(), command: command.clone() });
    for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
        collect(child, &words, pages);
    }
}

impl Page {
    /// The lines under `Examples:` of the help, without their indentation.
    pub(crate) fn examples(&self) -> Vec<String> {
        let helps = [self.command.get_before_help(), self.command.get_after_help()];
        let text: String = helps.into_iter().flatten().map(|help| format!("{help}\n\n")).collect();
        let lines = text.lines().skip_while(|line| *line != "Examples:").skip(1);
        lines
            .take_while(|line| line.starts_with("  "))
            .map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned())
            .collect()
    }

    /// What stands in the help behind the options, less the examples.
    pub(crate) fn remarks(&self) -> Option<String> {
        let text = self.command.get_after_help()?.to_string();
        let kept: Vec<&str> =
            text.split("\n\n").filter(|paragraph| !paragraph.starts_with("Examples:")).collect();
        (!kept.is_empty()).then(|| kept.join("\n\n"))
    }

    /// Who reads the environment and the files of this command.
    pub(crate) fn side(&self) -> Side {
        match self.words.get(1).map_or("", String::as_str) {
            "serve" | "config" => Side::Server,
            "app" | "rescale" | "plan" | "instances" | "logs" | "watch" | "operation" | "fleet" | "call"
            | "restore" | "env" => Side::Client,
            _ => Side::Machine,
        }
    }
}

/// Where a command does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It is the server.
    Server,
    /// It calls a server.
    Client,
    /// It looks at this machine, and calls nobody.
    Machine,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_says_what_it_does_and_shows_how() {
        for page in commands() {
            let name = page.words.join(" ");

            let about = page.command.get_about().map(ToString::to_string).unwrap_or_default();

            assert!(!about.is_empty() && !about.ends_with('.'), "{name}: `{about}`");
            assert!(about.starts_with(char::is_uppercase), "{name}: `{about}`");
            if !page.command.has_subcommands() || page.words.len() == 1 {
                let examples = page.examples();
                assert!(!examples.is_empty(), "{name} has no examples");
                assert!(examples.iter().any(|line| line.contains(&name)), "{name}: {examples:?}");
            }
            for argument in page.command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{name}: `{}` is not explained", argument.get_id());
            }
        }
    }

    #[test]
    fn examples_end_where_other_remarks_begin() {
        let page = commands().into_iter().find(|page| page.words.len() == 1).expect("there is a root");

        assert!(page.examples().iter().all(|line| line.starts_with("ensemble ")), "{:?}", page.examples());
        assert!(page.remarks().expect("the root tells exit codes").starts_with("Exit codes:"));
    }
}
