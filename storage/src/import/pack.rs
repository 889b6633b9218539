//! A local file or folder as a tar stream: what a client sends to its node.
//!
//! The stream depends on names, contents and symlinks alone: no owner, mode or time, entries sorted. A folder is
//! `./`, so its own name does not matter; a lone file or symlink has the name `content`.

use std::io::{self, Read, Write};
use std::path::Path;

use tar::{EntryType, Header};

use super::source::{Found, walk};
use super::{Progress, Selection};
use crate::Error;

/// Writes what is at `path` to `out`, as [`Store::import_tar`](crate::Store::import_tar) takes it.
///
/// What the selection leaves out is told. An error names the file: a device, a name that is not
/// UTF-8, a file that vanishes or changes its length. The stream is then cut short and must not be used.
pub fn pack_tar(
    path: &Path,
    selection: Selection,
    out: impl Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, Error> {
    let mut packer = Packer {
        out,
        done: Progress::default(),
        packed: Packed::default(),
        progress,
    };
    walk(path, selection, &mut |below, found| packer.entry(below, found))?;
    packer.out.write_all(&[0; 2 * BLOCK]).map_err(Error::writing)?;
    packer.out.flush().map_err(Error::writing)?;
    Ok(packer.packed)
}

/// What a packing left out or may not have meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Hidden files and folders that were left out.
    pub hidden: u64,
    /// Symlinks that lead out of the folder, so that their targets are not in it.
    pub outward: u64,
}

struct Packer<'a, W> {
    out: W,
    done: Progress,
    packed: Packed,
    progress: &'a mut dyn FnMut(Progress),
}

impl<W: Write> Packer<'_, W> {
    fn entry(&mut self, below: &[&str], found: Found<'_>) -> Result<(), Error> {
        let name = match (&found, below) {
            (Found::Directory, []) => "./".to_owned(),
            (Found::Directory, _) => format!("./{}/", below.join("/")),
            (_, []) => "content".to_owned(),
            _ => format!("./{}", below.join("/")),
        };
        match found {
            Found::Hidden => {
                self.packed.hidden += 1;
                return Ok(());
            }
            Found::Directory => {
                return self
                    .header(EntryType::Directory, &name, "", 0)
                    .map_err(Error::writing);
            }
            Found::Symlink(target) => {
                self.packed.outward += u64::from(leads_out(below, target));
                self.header(EntryType::Symlink, &name, target, 0)
                    .map_err(Error::writing)?;
            }
            Found::File(file) => {
                let bytes = file.length();
                self.header(EntryType::Regular, &name, "", bytes)
                    .map_err(Error::writing)?;
                self.contents(bytes, &mut |buffer| {
                    file.read(buffer).map_err(|error| file.broken(&error))
                })?;
            }
        }
        self.done.files += 1;
        (self.progress)(self.done);
        Ok(())
    }

    fn contents(
        &mut self,
        bytes: u64,
        read: &mut dyn FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; (bytes as usize).clamp(1, BUFFER)];
        loop {
            let length = read(&mut buffer)?;
            if length == 0 {
                break;
            }
            self.out.write_all(&buffer[..length]).map_err(Error::writing)?;
            self.done.bytes += length as u64;
            (self.progress)(self.done);
        }
        self.pad(bytes).map_err(Error::writing)
    }

    /// One header, after the GNU extensions that a long name or target needs.
    fn header(&mut self, kind: EntryType, name: &str, target: &str, bytes: u64) -> io::Result<()> {
        if name.len() > FIELD {
            self.long(EntryType::GNULongName, name)?;
        }
        if target.len() > FIELD {
            self.long(EntryType::GNULongLink, target)?;
        }
        let mut header = plain_header(kind, name, bytes);
        let field = &mut header.as_old_mut().linkname;
        let length = target.len().min(FIELD);
        field[..length].copy_from_slice(&target.as_bytes()[..length]);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn long(&mut self, kind: EntryType, value: &str) -> io::Result<()> {
        let bytes = value.len() as u64 + 1;
        let mut header = plain_header(kind, "././@LongLink", bytes);
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(value.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(bytes)
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let over = (bytes % BLOCK as u64) as usize;
        self.out.write_all(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }
}

fn plain_header(kind: EntryType, name: &str, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    let field = &mut header.as_old_mut().name;
    let length = name.len().min(FIELD);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
    header.set_entry_type(kind);
    header.set_size(bytes);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

const BLOCK: usize = 512;
/// Bytes of a name or target in a header.
const FIELD: usize = 100;
const BUFFER: usize = 256 << 10;

/// Whether a symlink at `below` leads above the root.
fn leads_out(below: &[&str], target: &str) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let mut depth = below.len().saturating_sub(1);
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}
