//! Another time of day for one process: a few lines of C between it and the system, for the wrong clock of one machine among
//! others. (libfaketime does more, and does not go together with our allocator.)

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const SOURCE: &str = "#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = syscall(SYS_clock_gettime, clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += AHEAD;
  return failed;
}
";

/// A clock that is ahead of this machine's, or behind it; other clocks than that of the day stay as they are.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    // Last: it has the library.
    _home: TempDir,
}

impl Clock {
    /// A clock that is so many seconds ahead.
    ///
    /// # Errors
    /// When there is no C compiler, which the product needs as well.
    pub fn ahead(seconds: i64) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let (source, library) = (home.path().join("clock.c"), home.path().join("clock.so"));
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("c++");
        compiler.args(["-x", "c", "-shared", "-fPIC", &format!("-DAHEAD={seconds}"), "-o"]);
        let ran = compiler
            .arg(&library)
            .arg(&source)
            .output()
            .context("starting c++")?;
        ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Ok(Self { library, _home: home })
    }

    /// What to put before a command line so that it has this clock.
    pub fn wrapper(&self) -> Vec<String> {
        vec!["env".to_owned(), format!("LD_PRELOAD={}", self.library.display())]
    }
}
