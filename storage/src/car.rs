//! CARv1: a DAG as one stream. Every block that is read is verified; a stream cut short is refused.

use std::io::{ErrorKind, Read, Write};

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::dag::proto::put_varint;
use crate::{BLOCK_BYTES_MAX, Blocks, Checked, Error, Walk, verify};

/// Writes everything below `roots` to `out`: each block once, parents first, depth first.
pub fn write(
    blocks: &dyn Blocks,
    roots: &[Cid],
    out: impl Write,
    progress: &mut dyn FnMut(Checked),
) -> Result<Checked, Error> {
    let mut writer = Writer::new(out, roots)?;
    let mut checked = Checked::default();
    for block in Walk::new(blocks, roots) {
        let (cid, bytes) = block?;
        writer.block(&cid, &bytes)?;
        checked.blocks += 1;
        checked.bytes += bytes.len() as u64;
        progress(checked);
    }
    writer.finish()?;
    Ok(checked)
}

/// Writes a CARv1 block by block, in whatever order the caller chooses.
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Begins a stream with these roots.
    pub fn new(mut out: W, roots: &[Cid]) -> Result<Writer<W>, Error> {
        let header = Header {
            roots: roots.to_vec(),
            version: VERSION,
        };
        let header = serde_ipld_dagcbor::to_vec(&header).map_err(|error| Error::Car(error.to_string()))?;
        let mut length = Vec::with_capacity(10);
        put_varint(&mut length, header.len() as u64);
        out.write_all(&length)
            .and_then(|()| out.write_all(&header))
            .map_err(Error::writing)?;
        Ok(Writer { out })
    }

    /// Adds a block, which the caller has verified.
    pub fn block(&mut self, cid: &Cid, bytes: &[u8]) -> Result<(), Error> {
        let cid = cid.to_bytes();
        let mut head = Vec::with_capacity(cid.len() + 10);
        put_varint(&mut head, (cid.len() + bytes.len()) as u64);
        head.extend(cid);
        self.out
            .write_all(&head)
            .and_then(|()| self.out.write_all(bytes))
            .map_err(Error::writing)
    }

    /// The output, so that what has been written can be taken away meanwhile.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Flushes and gives the output back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.out.flush().map_err(Error::writing)?;
        Ok(self.out)
    }
}

/// Reads a CARv1 block by block, each verified against its CID.
pub struct Reader<R> {
    stream: R,
    roots: Vec<Cid>,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub fn new(mut stream: R) -> Result<Reader<R>, Error> {
        let length = read_length(&mut stream)?.ok_or_else(|| Error::Car("it is empty".to_owned()))?;
        let header = read_section(&mut stream, length, HEADER_BYTES_MAX)?;
        let header: Header = serde_ipld_dagcbor::from_slice(&header)
            .map_err(|error| Error::Car(format!("the header is malformed: {error}")))?;
        match header {
            Header {
                version: VERSION,
                roots,
            } if !roots.is_empty() => Ok(Reader {
                stream,
                roots,
                ended: false,
            }),
            Header { version: VERSION, .. } => Err(Error::Car("it names no root".to_owned())),
            Header { version, .. } => Err(Error::Car(format!("version {version} is not supported, only 1"))),
        }
    }

    /// The roots that the header names; there is at least one. Whether their blocks follow is for the caller to see.
    pub fn roots(&self) -> &[Cid] {
        &self.roots
    }

    fn block(&mut self) -> Result<Option<(Cid, Bytes)>, Error> {
        let Some(length) = read_length(&mut self.stream)? else {
            return Ok(None);
        };
        let section = Bytes::from(read_section(&mut self.stream, length, SECTION_BYTES_MAX)?);
        let mut rest = &section[..];
        let cid = Cid::read_bytes(&mut rest).map_err(|_| Error::Car("a CID is malformed".to_owned()))?;
        let bytes = section.slice_ref(rest);
        verify(&cid, &bytes)?;
        Ok(Some((cid, bytes)))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<(Cid, Bytes), Error>;

    /// The next block; after an error there is none.
    fn next(&mut self) -> Option<Result<(Cid, Bytes), Error>> {
        if self.ended {
            return None;
        }
        let block = self.block().transpose();
        self.ended = !matches!(block, Some(Ok(_)));
        block
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    roots: Vec<Cid>,
    version: u64,
}

/// The length of the next section; `None` at the end of the stream.
fn read_length(stream: &mut impl Read) -> Result<Option<u64>, Error> {
    let mut value = 0u64;
    for at in 0..LENGTH_DIGITS_MAX {
        let mut byte = [0];
        match stream.read_exact(&mut byte) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && at == 0 => return Ok(None),
            Err(error) => return Err(broken(error)),
        }
        value |= u64::from(byte[0] & 0x7f) << (7 * at);
        if byte[0] & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Err(Error::Car("a section is too large".to_owned()))
}

fn read_section(stream: &mut impl Read, length: u64, most: usize) -> Result<Vec<u8>, Error> {
    if length == 0 || length > most as u64 {
        return Err(Error::Car(format!("a section of {length} bytes")));
    }
    let mut section = vec![0; length as usize];
    stream.read_exact(&mut section).map_err(broken)?;
    Ok(section)
}

fn broken(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::Car("it is cut short".to_owned()),
        _ => Error::reading(error),
    }
}

const VERSION: u64 = 1;
/// Room for thousands of roots.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// A block and its CID.
const SECTION_BYTES_MAX: usize = BLOCK_BYTES_MAX + 128;
/// Four groups of seven bits hold every length up to 256 MiB.
const LENGTH_DIGITS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_have_this_form() {
        let cid: Cid = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
            .parse()
            .unwrap();
        let mut writer = Writer::new(Vec::new(), &[cid]).unwrap();
        writer.block(&cid, b"hello world").unwrap();
        let stream = writer.finish().unwrap();
        let digest = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
        let header = format!("3aa265726f6f747381d82a58250001551220{digest}6776657273696f6e01");
        let section = format!("2f01551220{digest}{}", hex::encode("hello world"));
        assert_eq!(hex::encode(&stream), header + &section);
        let mut reader = Reader::new(&stream[..]).unwrap();
        assert_eq!(reader.roots(), [cid]);
        assert_eq!(reader.next().unwrap().unwrap(), (cid, Bytes::from("hello world")));
        assert!(reader.next().is_none());
    }
}
