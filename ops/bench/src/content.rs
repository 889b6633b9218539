//! The files that all servers have.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Files of a fixed size, by name.
const SMALL: [(&str, u64); 4] = [
    ("1k.bin", 1 << 10),
    ("10k.bin", 10 << 10),
    ("100k.bin", 100 << 10),
    ("1m.bin", 1 << 20),
];

/// The large file.
pub const LARGE: &str = "large.bin";

/// Writes all files into `folder`; the large one has `large_mib` MiB.
pub fn write(folder: &Path, large_mib: u64) -> Result<()> {
    for (name, bytes) in SMALL.into_iter().chain([(LARGE, large_mib << 20)]) {
        write_file(&folder.join(name), bytes).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

/// Bytes that differ everywhere, and cannot be compressed.
fn write_file(path: &Path, bytes: u64) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes;
    for _ in 0..bytes / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.write_all(&state.to_le_bytes())?;
    }
    out.flush()?;
    Ok(())
}
