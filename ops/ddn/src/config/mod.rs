//! The node's settings: defaults, then `config.toml`, then `DDN_SECTION_KEY` variables, then `--set SECTION.KEY=VALUE`.
//!
//! [`keys`] is the one list of what can be set, with defaults and help; everything else here is generic over it. Unknown
//! keys are refused with the nearest known one, values are parsed into types that cannot be wrong, and it is remembered
//! where each value came from. Secrets are not settings: they live in files of their own.

mod keys;
mod nearest_key;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};

pub use keys::Settings;
use keys::{KEYS, Key};
use nearest_key::nearest;
pub use value::{OtherChain, RelayUse};

use crate::api::types::{ConfigReport, ConfigSetting};

/// The configuration file's name in the data folder.
pub const FILE_NAME: &str = "config.toml";
/// A larger configuration file is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why settings cannot be used. Each text is one line that names the origin, the key and what is right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// No such key.
    #[error("{origin}: there is no setting `{key}`, the nearest is `{nearest}`")]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// The nearest that exists.
        nearest: &'static str,
    },
    /// A value that the key cannot have.
    #[error("{origin}: {key} = {value}: {reason}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The value, as written.
        value: String,
        /// What is right.
        reason: String,
    },
    /// `--set` without a value.
    #[error("--set {argument}: write it as SECTION.KEY=VALUE, for example --set gateway.listen=127.0.0.1:0")]
    Argument {
        /// The argument.
        argument: String,
    },
    /// A variable is not Unicode.
    #[error("the environment variable {name} is not Unicode text")]
    Variable {
        /// The variable.
        name: String,
    },
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable, by its name.
    Environment(String),
    /// The command line.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// Where settings are looked for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The data folder, whose [`FILE_NAME`] is read if it is there.
    pub data: PathBuf,
    /// `--config FILE`: read instead of the one in the data folder, and must be there.
    pub file: Option<PathBuf>,
    /// `--set` arguments, in their order.
    pub set: Vec<String>,
}

/// Settings in force, and where each came from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The settings.
    pub settings: Settings,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    origins: Vec<Origin>,
}

impl Config {
    /// Reads all sources, the process environment among them.
    ///
    /// # Errors
    /// The first mistake that is found.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            let (Some(name), value) = (name.to_str(), value.into_string()) else {
                continue;
            };
            if !is_ours(name) {
                continue;
            }
            let value = value.map_err(|_| ConfigError::Variable {
                name: name.to_owned(),
            })?;
            environment.push((name.to_owned(), value));
        }
        Self::resolve(sources, &environment)
    }

    /// Reads all sources, with the environment given.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn resolve(sources: &Sources, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        let origins = vec![Origin::Default; KEYS.len()];
        let mut config = Self {
            settings: Settings::default(),
            file: None,
            origins,
        };
        config.read_file(sources)?;
        config.read_environment(environment)?;
        config.read_arguments(&sources.set)?;
        Ok(config)
    }

    /// Every setting with its value, its default, its origin and its help.
    pub fn report(&self) -> ConfigReport {
        let defaults = Settings::default();
        let setting = |(key, origin): (&Key, &Origin)| ConfigSetting {
            key: key.name.to_owned(),
            value: (key.get)(&self.settings).to_string(),
            default: (key.get)(&defaults).to_string(),
            origin: origin.to_string(),
            help: key.help.trim().to_owned(),
        };
        ConfigReport {
            file: self.file.as_ref().map(|path| path.display().to_string()),
            settings: KEYS.iter().zip(&self.origins).map(setting).collect(),
        }
    }

    fn read_file(&mut self, sources: &Sources) -> Result<(), ConfigError> {
        let path = sources
            .file
            .clone()
            .unwrap_or_else(|| sources.data.join(FILE_NAME));
        let Some(text) = read(&path, sources.file.is_some())? else {
            return Ok(());
        };
        let table: toml::Table = text.parse().map_err(|error| syntax(&path, &text, &error))?;
        let origin = Origin::File(path.clone());
        for (section, content) in &table {
            let toml::Value::Table(content) = content else {
                return Err(unknown(origin, section.clone()));
            };
            for (name, value) in content {
                self.apply(&origin, &format!("{section}.{name}"), value)?;
            }
            if content.is_empty() && !KEYS.iter().any(|key| key.section() == section) {
                return Err(unknown(origin, section.clone()));
            }
        }
        self.file = Some(path);
        Ok(())
    }

    fn read_environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
        for (name, text) in environment {
            let Some(key) = name.strip_prefix(PREFIX).filter(|_| is_ours(name)) else {
                continue;
            };
            let key = key.to_ascii_lowercase().replacen('_', ".", 1);
            self.apply_text(&Origin::Environment(name.clone()), &key, text)?;
        }
        Ok(())
    }

    fn read_arguments(&mut self, arguments: &[String]) -> Result<(), ConfigError> {
        for argument in arguments {
            let Some((key, text)) = argument.split_once('=') else {
                return Err(ConfigError::Argument {
                    argument: argument.clone(),
                });
            };
            self.apply_text(&Origin::Set, key.trim(), text.trim())?;
        }
        Ok(())
    }

    /// Text is TOML if it parses as such and fits, else a plain string: `8080`, `"a"`, `["a", "b"]`, `127.0.0.1:0`,
    /// `0.0001` where coins are meant.
    fn apply_text(&mut self, origin: &Origin, key: &str, text: &str) -> Result<(), ConfigError> {
        let plain = toml::Value::String(text.to_owned());
        let parsed = format!("value = {text}").parse::<toml::Table>().ok();
        let value = parsed
            .filter(|table| table.len() == 1)
            .and_then(|mut table| table.remove("value"));
        match value {
            None => self.apply(origin, key, &plain),
            Some(value) => self
                .apply(origin, key, &value)
                .or_else(|error| self.apply(origin, key, &plain).map_err(|_| error)),
        }
    }

    fn apply(&mut self, origin: &Origin, name: &str, value: &toml::Value) -> Result<(), ConfigError> {
        let Some(at) = KEYS.iter().position(|key| key.name == name) else {
            return Err(unknown(origin.clone(), name.to_owned()));
        };
        let key = &KEYS[at];
        (key.set)(&mut self.settings, value).map_err(|reason| ConfigError::Value {
            origin: origin.clone(),
            key: key.name,
            value: value.to_string(),
            reason,
        })?;
        self.origins[at] = origin.clone();
        Ok(())
    }
}

const PREFIX: &str = "DDN_";

/// Whether a variable is meant for a section. Others that begin with `DDN_` (`DDN_DATA`, `DDN_LOG`) are not settings.
fn is_ours(variable: &str) -> bool {
    let Some(rest) = variable.strip_prefix(PREFIX) else {
        return false;
    };
    let rest = rest.to_ascii_lowercase();
    KEYS.iter().any(|key| {
        rest.strip_prefix(key.section())
            .is_some_and(|rest| rest.starts_with('_'))
    })
}

fn unknown(origin: Origin, key: String) -> ConfigError {
    let nearest = nearest(&key, KEYS.iter().map(|key| key.name));
    ConfigError::Unknown { origin, key, nearest }
}

fn read(path: &Path, wanted: bool) -> Result<Option<String>, ConfigError> {
    let failed = |reason: String| ConfigError::Read {
        path: path.to_owned(),
        reason,
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !wanted => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            return Err(failed(format!("{} bytes are too many for settings", meta.len())));
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(path)
        .map(Some)
        .map_err(|error| failed(error.to_string()))
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..start]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1;
    let reason = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    ConfigError::Syntax {
        path: path.to_owned(),
        line,
        reason,
    }
}

#[cfg(test)]
mod tests;
