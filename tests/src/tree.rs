//! Folders to publish, and their comparison.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// A pixel that every browser accepts: 1×1, transparent.
pub const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0,
    0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0b, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63,
    0x60, 0, 2, 0, 0, 5, 0, 1, 0x7a, 0x5e, 0xab, 0x3f, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60,
    0x82,
];

/// The text of the start page of [`site`]'s heading.
pub const HEADING: &str = "Alice was here";

/// Writes a small site: pages, style, script, image, a folder without index, an empty file, an empty folder, a symlink,
/// names that need escaping, and a video-sized file of several blocks.
///
/// # Errors
/// When the disk refuses.
pub fn site(dir: &Path) -> Result<()> {
    let page = format!(
        "<!doctype html><html><head><meta charset=utf-8><title>Alice</title>\
         <link rel=icon href=pixel.png><link rel=stylesheet href=style.css></head>\
         <body><h1>{HEADING}</h1><p id=js>no script yet</p><img src=pixel.png alt=pixel>\
         <a href=docs/>docs</a><script src=app.js></script></body></html>"
    );
    write(dir, "index.html", page.as_bytes())?;
    write(dir, "style.css", b"h1 { color: teal }\n")?;
    write(
        dir,
        "app.js",
        b"document.getElementById('js').textContent = 'the script ran';\n",
    )?;
    write(dir, "pixel.png", PNG)?;
    write(
        dir,
        "docs/index.html",
        b"<!doctype html><title>Docs</title><p>docs of alice\n",
    )?;
    write(dir, "files/one.txt", b"one\n")?;
    write(dir, "files/data.json", b"{\"one\":1}\n")?;
    write(dir, "files/empty.txt", b"")?;
    write(dir, "files/a b%2C\u{105}.txt", b"escaped\n")?;
    write(dir, "files/film.mp4", &noise(3_500_000, 7))?;
    fs::create_dir_all(dir.join("void"))?;
    symlink("one.txt", dir.join("files/link.txt")).context("a symlink in the site")
}

/// Writes `files` files of different sizes below `dir`, in folders of about 30, the same for the same seed.
///
/// # Errors
/// When the disk refuses.
pub fn generated(dir: &Path, files: usize, seed: u64) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0..files {
        let size = match random.random_range(0..20) {
            0 => 0,
            1 => random.random_range(100_000..1_500_000),
            _ => random.random_range(10..30_000),
        };
        let path = format!("part{:03}/page{number:05}.html", number / 30);
        write(dir, &path, &noise(size, random.random()))?;
    }
    write(
        dir,
        "index.html",
        b"<!doctype html><title>Generated</title><h1>Generated</h1>\n",
    )
}

/// `size` bytes that do not compress, the same for the same seed.
pub fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; size];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Writes one file below `dir` with the folders above it.
///
/// # Errors
/// When the disk refuses.
pub fn write(dir: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let file = dir.join(path);
    let above = file.parent().context("a file has a folder")?;
    fs::create_dir_all(above).with_context(|| format!("creating {}", above.display()))?;
    fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))
}

/// `diff -r` of two trees, symlinks compared as symlinks. Hidden files are not compared: publish leaves them out, as both
/// import profiles say.
///
/// # Errors
/// When they differ; the text is what `diff` says.
pub fn same(left: &Path, right: &Path) -> Result<()> {
    diff(&["-r", "--no-dereference", "--exclude=.*"], left, right)
}

/// Sees that two trees are the same to whoever reads them, hidden files too, and what links lead to as well.
///
/// # Errors
/// When they differ; the text is what `diff` says.
pub fn identical(left: &Path, right: &Path) -> Result<()> {
    diff(&["-r"], left, right)
}

fn diff(args: &[&str], left: &Path, right: &Path) -> Result<()> {
    let diff = Command::new("diff").args(args).arg(left).arg(right).output()?;
    let said = String::from_utf8_lossy(&diff.stdout);
    let said: String = said.lines().take(20).collect::<Vec<_>>().join("\n");
    ensure!(
        diff.status.success(),
        "{} and {} differ:\n{said}",
        left.display(),
        right.display()
    );
    Ok(())
}
