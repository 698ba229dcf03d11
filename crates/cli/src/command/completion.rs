//! `ensemble completion`: the script that completes commands, options and values in a shell. Static: it calls no
//! server and reads no file when it runs.

use crate::context::Outcome;
use crate::failure::{Exit, Failure};
use clap::Args;
use clap_complete::Shell;
use std::io::{self, Write};

/// Print the script that completes commands, options and values in a shell
///
/// Put it where your shell looks for it, and open a new one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble completion bash > ~/.local/share/bash-completion/completions/ensemble
  ensemble completion zsh > ~/.zfunc/_ensemble
  ensemble completion fish > ~/.config/fish/completions/ensemble.fish
  ensemble completion powershell >> $PROFILE
  ensemble completion elvish >> ~/.config/elvish/rc.elv

Where each shell looks:
  bash        ~/.local/share/bash-completion/completions/ensemble, or /etc/bash_completion.d/ensemble for
              everybody; needs the package bash-completion. For one session: source <(ensemble completion bash)
  zsh         a file _ensemble in a directory of $fpath: `fpath+=~/.zfunc` before `autoload -Uz compinit && compinit`
              in ~/.zshrc; or /usr/local/share/zsh/site-functions/_ensemble for everybody
  fish        ~/.config/fish/completions/ensemble.fish
  powershell  the file that $PROFILE names
  elvish      ~/.config/elvish/rc.elv")]
pub(crate) struct Arguments {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::tree(), "ensemble", &mut script);
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&script)
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::from_error("the script could not be written", &error))?;
    Ok(Exit::Done)
}
