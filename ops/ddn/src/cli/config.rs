//! `ddn config`: the settings in force, and a check of a file before a node starts with it.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;

use super::{
    Context,
    client::{Call, Node},
    failure::{Failure, Outcome},
};
use crate::{
    api::{
        paths,
        types::{ConfigReport, ConfigSetting},
    },
    config::{Config, ConfigError, Sources},
};

/// `ddn config …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn config show --long > config.toml    every setting, with what it does
  ddn config check config.toml

Settings come from DIR/config.toml, then from variables DDN_SECTION_KEY, then from
`ddn up --set SECTION.KEY=VALUE`; the last one wins.")]
pub enum Command {
    /// Print the settings as TOML: those of the running node, else those that `ddn up` would take
    Show {
        /// This file instead of the one in the data folder, and no node
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Say what each setting does, and its default
        #[arg(long, short)]
        long: bool,
    },
    /// Check a configuration file
    Check {
        /// The file [default: the one in the data folder]
        file: Option<PathBuf>,
    },
}

/// Where `ddn up` finds settings.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Given {
    /// The configuration file [default: config.toml in the data folder, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one value over file and environment; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl Given {
    /// Reads all sources.
    pub fn load(self, context: &Context) -> Outcome<Config> {
        load(&Sources {
            data: context.data.clone(),
            file: self.config,
            set: self.set,
        })
    }
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Show { config, long } => {
            let report = in_force(context, config).await?;
            context
                .screen
                .show(&report, |out, report| toml_lines(out, report, long))
        }
        Command::Check { file } => check(context, file),
    }
}

async fn in_force(context: &Context, file: Option<PathBuf>) -> Outcome<ConfigReport> {
    let node = if file.is_none() {
        Node::if_running(&context.data).await?
    } else {
        None
    };
    match node {
        Some(node) => node.call(Call::get(paths::CONFIG, &[])).await,
        None => Given {
            config: file,
            set: Vec::new(),
        }
        .load(context)
        .map(|config| config.report()),
    }
}

#[derive(Serialize)]
struct Checked {
    file: Option<String>,
    /// How many settings it changes.
    set: usize,
}

fn check(context: &Context, file: Option<PathBuf>) -> Outcome {
    let report = Given {
        config: file,
        set: Vec::new(),
    }
    .load(context)?
    .report();
    let set = report
        .settings
        .iter()
        .filter(|setting| setting.origin.starts_with("file"))
        .count();
    let checked = Checked {
        file: report.file,
        set,
    };
    context.screen.show(&checked, |out, checked| match &checked.file {
        Some(file) => writeln!(out, "{file} is good and sets {set} values"),
        None => writeln!(
            out,
            "there is no configuration file in {}, all is by default",
            context.data.display()
        ),
    })
}

fn load(sources: &Sources) -> Outcome<Config> {
    Config::load(sources).map_err(|error: ConfigError| Failure::new("bad_config", error))
}

/// TOML that says the same again when it is read.
fn toml_lines(out: &mut dyn Write, report: &ConfigReport, long: bool) -> io::Result<()> {
    let mut section = "";
    for setting in &report.settings {
        let (of, key) = setting.key.split_once('.').unwrap_or(("", &setting.key));
        if of != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            writeln!(out, "{gap}[{of}]")?;
            section = of;
        }
        setting_lines(out, key, setting, long)?;
    }
    Ok(())
}

fn setting_lines(out: &mut dyn Write, key: &str, setting: &ConfigSetting, long: bool) -> io::Result<()> {
    if long {
        writeln!(out, "# {} Default: {}", setting.help, setting.default)?;
    }
    let origin = match setting.origin.as_str() {
        "default" => String::new(),
        origin => format!("  # {origin}"),
    };
    writeln!(out, "{key} = {}{origin}", setting.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_again() {
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join("config.toml");
        let load = || {
            let sources = Sources {
                data: data.path().to_owned(),
                ..Sources::default()
            };
            Config::resolve(&sources, &[]).expect("good settings")
        };
        std::fs::write(&path, "[gateway]\nlisten = \"127.0.0.1:1\"\n").expect("written");
        let first = load();
        let mut text = Vec::new();
        toml_lines(&mut text, &first.report(), true).expect("a vector takes all");
        std::fs::write(&path, text).expect("written");
        assert_eq!(load().settings, first.settings);
    }
}
