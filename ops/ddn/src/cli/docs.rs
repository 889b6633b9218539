//! Completions and manual pages, made from the definitions of the commands themselves.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{
    Cli,
    failure::{Failure, Outcome},
};

const COMPLETIONS_HELP: &str = "\
Examples:
  ddn completions bash > ~/.local/share/bash-completion/completions/ddn
  ddn completions zsh  > \"${fpath[1]}/_ddn\"
  ddn completions fish > ~/.config/fish/completions/ddn.fish";

const MAN_HELP: &str = "\
Examples:
  ddn man | man -l -              read the overview
  ddn man name register | man -l -
  ddn man --dir ~/.local/share/man/man1";

/// Arguments of `ddn completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "ddn", &mut script);
        print(&script)
    }
}

/// Arguments of `ddn man`.
#[derive(Debug, clap::Args)]
#[command(after_help = MAN_HELP)]
pub struct Man {
    /// The command, as in `ddn man name register`; the overview if left out
    #[arg(conflicts_with = "dir")]
    command: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Man {
    /// Prints or writes the pages.
    pub fn run(self) -> Outcome {
        let mut root = Cli::command();
        root.build();
        match &self.dir {
            Some(dir) => write_all(&root, dir),
            None => print(&page(find(&root, &self.command)?)?),
        }
    }
}

fn find<'a>(root: &'a clap::Command, words: &[String]) -> Outcome<&'a clap::Command> {
    words.iter().try_fold(root, |command, word| {
        command.find_subcommand(word).ok_or_else(|| {
            let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            let text = match names.is_empty() {
                true => format!("`ddn {}` has no command of that name", command.get_name()),
                false => format!("there is no such command; there are: {}", names.join(", ")),
            };
            Failure::argument(word, text)
        })
    })
}

fn page(command: &clap::Command) -> Outcome<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    Ok(text)
}

fn write_all(command: &clap::Command, dir: &Path) -> Outcome {
    std::fs::create_dir_all(dir).map_err(|error| Failure::file("create", dir, &error))?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).map_err(|error| Failure::file("write", &path, &error))?;
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .try_for_each(|sub| write_all(sub, dir))
}

fn print(text: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()?;
    Ok(())
}
