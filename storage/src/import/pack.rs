//! A local file or folder as a tar stream: what a client sends to its node.
//!
//! The stream depends on names, contents and symlinks alone: no owner, mode or time, entries sorted. A folder is
//! `./`, so its own name does not matter; a lone file or symlink has the name `content`.

use std::io::{Read, Write};
use std::path::Path;

use tar::EntryType;

use super::source::{Found, walk};
use super::{Progress, Selection};
use crate::Error;
use crate::tar::{END, leads_out, padding};

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
    packer.out.write_all(&END).map_err(Error::writing)?;
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
                return self.header(EntryType::Directory, &name, "", 0);
            }
            Found::Symlink(target) => {
                self.packed.outward += u64::from(leads_out(below.len(), target));
                self.header(EntryType::Symlink, &name, target, 0)?;
            }
            Found::File(file) => {
                let bytes = file.length();
                self.header(EntryType::Regular, &name, "", bytes)?;
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
        self.out.write_all(padding(bytes)).map_err(Error::writing)
    }

    fn header(&mut self, kind: EntryType, name: &str, target: &str, bytes: u64) -> Result<(), Error> {
        let head = crate::tar::head(kind, name, target, bytes);
        self.out.write_all(&head).map_err(Error::writing)
    }
}

const BUFFER: usize = 256 << 10;
