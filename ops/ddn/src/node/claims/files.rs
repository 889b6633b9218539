//! The job files: `DIR/publish/ID.json`.

use std::path::{Path, PathBuf};

use super::job::{FORMAT, Job};
use crate::node::error::Error;
use crate::node::folder;

/// A job has at most one full set of records and four transactions of 16 KiB, in JSON.
const JOB_BYTES_MAX: u64 = 1 << 20;

/// Writes a job durably.
///
/// # Errors
/// If it cannot be written; then the file says what it said before.
pub fn save(dir: &Path, job: &Job) -> Result<(), Error> {
    let path = file(dir, &job.id);
    let json = serde_json::to_vec_pretty(job).map_err(|error| Error::content(&path, error.to_string()))?;
    folder::write(&path, &json)
}

/// Forgets a job.
///
/// # Errors
/// If the file cannot be removed.
pub fn forget(dir: &Path, id: &str) -> Result<(), Error> {
    folder::remove(&file(dir, id))
}

/// All jobs, oldest first.
///
/// # Errors
/// If a file cannot be read, or is no job: it holds secrets, so it is not passed over.
pub fn load(dir: &Path) -> Result<Vec<Job>, Error> {
    folder::files(dir, "json")?
        .iter()
        .map(|path| read(path))
        .collect()
}

fn read(path: &Path) -> Result<Job, Error> {
    let json = folder::read(path, JOB_BYTES_MAX)?.unwrap_or_default();
    let job: Job = serde_json::from_slice(&json).map_err(|error| {
        Error::content(
            path,
            format!("is not a job of this program ({error}): move it away to start without it"),
        )
    })?;
    if job.format != FORMAT {
        let reason = format!(
            "has format {}, this program knows {FORMAT}: use a newer one",
            job.format
        );
        return Err(Error::content(path, reason));
    }
    Ok(job)
}

fn file(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}.json"))
}
