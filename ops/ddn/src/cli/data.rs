//! Where the data folder is when nobody says so.

use std::{
    env,
    path::{Path, PathBuf, absolute},
};

use super::failure::{Failure, Outcome};

/// The data folder: the one given, else the platform's folder for user data. Always absolute; it may not exist.
pub fn folder(given: Option<PathBuf>) -> Outcome<PathBuf> {
    let dir = match given {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => platform_folder(|name| env::var_os(name).map(PathBuf::from)).ok_or_else(no_home)?,
    };
    absolute(&dir).map_err(|error| Failure::file("find", &dir, &error))
}

fn no_home() -> Failure {
    Failure::new(
        "no_data_folder",
        "no home folder is known here: say where the data is with --data DIR or DDN_DATA",
    )
}

/// The XDG base directory rules on Linux and the BSDs, Apple's on macOS. Relative values of
/// XDG variables are ignored, as the specification says.
fn platform_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let usable = |name: &str| variable(name).filter(|path| path.is_absolute());
    let parent = if cfg!(target_os = "macos") {
        usable("HOME")?.join("Library/Application Support")
    } else {
        usable("XDG_DATA_HOME").or_else(|| Some(usable("HOME")?.join(".local/share")))?
    };
    Some(parent.join("ddn"))
}

/// A data folder as a user would type it on a command line, with its option; empty for the default one.
pub fn option(dir: &Path) -> String {
    if folder(None).is_ok_and(|default| default == dir) {
        return String::new();
    }
    format!(" --data {}", quoted(dir))
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: Option<&str>) {
        let found = platform_folder(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| PathBuf::from(value))
        });
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_follows_xdg() {
        check(&[("HOME", "/home/a")], Some("/home/a/.local/share/ddn"));
        check(
            &[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")],
            Some("/data/ddn"),
        );
        check(
            &[("HOME", "/home/a"), ("XDG_DATA_HOME", "data")],
            Some("/home/a/.local/share/ddn"),
        );
        check(&[], None);
    }

    #[test]
    fn a_given_folder_becomes_absolute() {
        let dir = folder(Some("x".into())).expect("a folder");
        assert!(dir.is_absolute() && dir.ends_with("x"));
    }

    #[test]
    fn odd_paths_are_quoted() {
        assert_eq!(quoted(Path::new("/a/b-1")), "/a/b-1");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
