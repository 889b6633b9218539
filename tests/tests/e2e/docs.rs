//! A documentation tree of more than 1,000 files: the HTML of `python3-doc` if the machine has it, else a generated one.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;
use testkit::tree;

/// Where Debian keeps the HTML of its `python3-doc` package.
const PYTHON: &str = "/usr/share/doc/python3-doc/html";

/// Files of the generated tree.
const GENERATED_FILES: usize = 1_200;

/// A tree of more than 1,000 files with a start page.
pub struct Documentation {
    path: PathBuf,
    heading: &'static str,
    _generated: Option<TempDir>,
}

impl Documentation {
    /// The tree of this machine.
    ///
    /// # Errors
    /// When there is none and it cannot be generated.
    pub fn find() -> Result<Self> {
        if let Ok(path) = Path::new(PYTHON).canonicalize() {
            return Ok(Self {
                path,
                heading: "Python 3",
                _generated: None,
            });
        }
        println!("{PYTHON} is not here (package python3-doc): a generated tree takes its place");
        let folder = tempfile::tempdir()?;
        tree::generated(folder.path(), GENERATED_FILES, 1)?;
        let path = folder.path().to_owned();
        Ok(Self {
            path,
            heading: "Generated",
            _generated: Some(folder),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A text of the start page.
    pub fn heading(&self) -> &'static str {
        self.heading
    }
}
