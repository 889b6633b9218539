//! A tar stream as it comes in: every header is hostile until shown otherwise.
//!
//! The fields are read by the `tar` crate; the walk over the entries is our own, since a stream that ends without its
//! end mark must be an error, and since extension headers, which the crate takes whole into memory, must be bounded.

use std::io::{ErrorKind, Read};

use tar::{EntryType, Header, PaxExtensions};

use super::tree::is_hidden;
use super::{FileError, Import, Imported, Progress, Selection, Tree, with_hashers};
use crate::Error;
use crate::dag::Sink;

/// Feeds a tar stream to `sink`.
pub(crate) fn import(
    sink: &dyn Sink,
    stream: &mut dyn Read,
    Import { profile, selection }: Import,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, Error> {
    with_hashers(sink, profile, |hashers| {
        let mut tree = Tree::new(sink, profile, hashers, progress);
        let mut entries = Entries { stream };
        let mut top = None;
        while let Some(entry) = entries.next()? {
            entry.add_to(&mut tree, &mut top, selection, entries.stream)?;
        }
        // Writers pad the end; they should not find the reader gone.
        skip(&mut entries.stream.take(END_BYTES_MAX), "")?;
        if tree.is_empty() {
            return Err(refused("", "it holds no entry to import"));
        }
        tree.finish()
    })
}

struct Entries<'a> {
    stream: &'a mut dyn Read,
}

struct TarEntry {
    kind: EntryType,
    name: Vec<u8>,
    target: Vec<u8>,
    bytes: u64,
}

impl Entries<'_> {
    /// The next entry with its extensions applied; its contents are next in the stream.
    fn next(&mut self) -> Result<Option<TarEntry>, Error> {
        let mut extended = Extended::default();
        for _ in 0..EXTENSIONS_MAX {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let bytes = header
                .entry_size()
                .map_err(|error| refused(&shown(&header), &error.to_string()))?;
            match header.entry_type() {
                EntryType::GNULongName => extended.name = Some(self.text(bytes)?),
                EntryType::GNULongLink => extended.target = Some(self.text(bytes)?),
                EntryType::XHeader => extended.apply_pax(&self.extension(bytes)?)?,
                EntryType::XGlobalHeader => drop(self.extension(bytes)?),
                kind => return Ok(Some(extended.entry(kind, &header, bytes))),
            }
        }
        Err(refused("", "too many extension headers in a row"))
    }

    /// The next header; `None` at the end mark.
    fn header(&mut self) -> Result<Option<Header>, Error> {
        let mut header = Header::new_old();
        self.read(header.as_mut_bytes(), "")?;
        if header.as_bytes().iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let sum: u32 = header.as_bytes().iter().map(|&byte| u32::from(byte)).sum();
        let own: u32 = header.as_old().cksum.iter().map(|&byte| u32::from(byte)).sum();
        let spaces = 8 * u32::from(b' ');
        match header.cksum() {
            Ok(stated) if stated == sum - own + spaces => Ok(Some(header)),
            _ => Err(refused(&shown(&header), "the header is damaged")),
        }
    }

    fn extension(&mut self, bytes: u64) -> Result<Vec<u8>, Error> {
        if bytes > EXTENSION_BYTES_MAX {
            return Err(refused("", "an extension header is too large"));
        }
        let mut value = vec![0; bytes as usize];
        self.read(&mut value, "")?;
        self.read(&mut [0; BLOCK][..padding_of(bytes)], "")?;
        Ok(value)
    }

    /// An extension that holds one text with a zero byte after it.
    fn text(&mut self, bytes: u64) -> Result<Vec<u8>, Error> {
        let mut value = self.extension(bytes)?;
        if value.last() == Some(&0) {
            value.pop();
        }
        Ok(value)
    }

    fn read(&mut self, buffer: &mut [u8], entry: &str) -> Result<(), Error> {
        self.stream
            .read_exact(buffer)
            .map_err(|error| broken(entry, error))
    }
}

/// What extension headers say about the entry that follows.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    bytes: Option<u64>,
    sparse: bool,
}

impl Extended {
    fn apply_pax(&mut self, records: &[u8]) -> Result<(), Error> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|error| refused("", &error.to_string()))?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => self.bytes = Some(decimal(value)?),
                key => self.sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
        Ok(())
    }

    fn entry(self, kind: EntryType, header: &Header, bytes: u64) -> TarEntry {
        TarEntry {
            kind: if self.sparse { EntryType::GNUSparse } else { kind },
            name: self.name.unwrap_or_else(|| header.path_bytes().into_owned()),
            target: self
                .target
                .or_else(|| header.link_name_bytes().map(Into::into))
                .unwrap_or_default(),
            bytes: self.bytes.unwrap_or(bytes),
        }
    }
}

impl TarEntry {
    fn add_to(
        &self,
        tree: &mut Tree<'_>,
        top: &mut Option<String>,
        selection: Selection,
        stream: &mut dyn Read,
    ) -> Result<(), Error> {
        let name = self.utf8(&self.name, "its name")?;
        let below = self.below(name, top)?;
        let hidden = !selection.hidden && below.iter().any(|name| is_hidden(name));
        let mut contents = stream.take(self.bytes);
        match self.kind {
            EntryType::Regular | EntryType::Continuous if !hidden && !name.ends_with('/') => {
                let file = tree.file(&below, &mut contents, self.bytes);
                file.map_err(|error| match error {
                    FileError::Read(error) => broken(name, error),
                    FileError::Blocks(error) => error,
                })?;
            }
            EntryType::Symlink if !hidden => tree.symlink(&below, self.utf8(&self.target, "its target")?)?,
            EntryType::Directory | EntryType::Regular if !hidden => tree.directory(&below)?,
            _ if hidden => {}
            kind => return Err(refused(name, unsupported(kind))),
        }
        skip(&mut contents, name)?;
        let mut padding = [0; BLOCK];
        let length = padding_of(self.bytes);
        stream
            .read_exact(&mut padding[..length])
            .map_err(|error| broken(name, error))
    }

    /// The components below the top entry, which must be the same for the whole stream.
    fn below<'a>(&self, name: &'a str, top: &mut Option<String>) -> Result<Vec<&'a str>, Error> {
        let mut components = name.strip_suffix('/').unwrap_or(name).split('/');
        let first = components.next().unwrap_or_default();
        let below: Vec<&str> = components.collect();
        let bad = |component: &&str| matches!(*component, "" | "." | "..");
        if first.is_empty() || first == ".." || below.iter().any(bad) {
            return Err(refused(name, "is not a plain path below the top entry"));
        }
        match top {
            Some(top) if top != first => {
                let reason = format!("there must be one top entry, and {top:?} came first");
                Err(refused(name, &reason))
            }
            _ => {
                *top = Some(first.to_owned());
                Ok(below)
            }
        }
    }

    fn utf8<'a>(&self, bytes: &'a [u8], what: &str) -> Result<&'a str, Error> {
        let shown = || String::from_utf8_lossy(&self.name).into_owned();
        std::str::from_utf8(bytes).map_err(|_| refused(&shown(), &format!("{what} is not UTF-8")))
    }
}

fn unsupported(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "is a hard link; pack with --hard-dereference",
        EntryType::GNUSparse => "is a sparse file; pack without --sparse",
        _ => "is neither a file, a folder nor a symlink",
    }
}

/// Reads to the end of contents that are not wanted.
fn skip(contents: &mut dyn Read, name: &str) -> Result<(), Error> {
    let mut buffer = [0; 8 << 10];
    loop {
        match contents.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(broken(name, error)),
        }
    }
}

fn decimal(value: &[u8]) -> Result<u64, Error> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| refused("", "an extension header has a malformed size"))
}

fn padding_of(bytes: u64) -> usize {
    (BLOCK - (bytes % BLOCK as u64) as usize) % BLOCK
}

fn shown(header: &Header) -> String {
    String::from_utf8_lossy(&header.path_bytes()).into_owned()
}

fn refused(entry: &str, reason: &str) -> Error {
    Error::Tar {
        entry: entry.to_owned(),
        reason: reason.to_owned(),
    }
}

fn broken(entry: &str, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => refused(entry, "the stream is cut short"),
        _ => Error::reading(error),
    }
}

const BLOCK: usize = 512;
/// GNU and pax headers that may precede an entry.
const EXTENSIONS_MAX: usize = 16;
/// More than the padding of any writer.
const END_BYTES_MAX: u64 = 1 << 20;
/// Names and targets are at most a few KiB; the rest of a pax header is attributes that we do not keep.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;
