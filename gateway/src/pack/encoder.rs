//! Bytes in, packed bytes out, part by part.

use std::io::Write;
use std::mem;

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Coding, Place};
use crate::body::Parts;
use crate::labour::Labour;

/// An answer in work. It holds its place until the last part.
pub(crate) struct Encoder {
    writer: Option<Writer>,
    labour: Labour,
    _place: Place,
}

enum Writer {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    pub(super) fn new(coding: Coding, place: Place, labour: Labour) -> Self {
        let out = Vec::new();
        let writer = match coding {
            Coding::Brotli => {
                let writer = CompressorWriter::new(out, BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW_BITS);
                Writer::Brotli(Box::new(writer))
            }
            Coding::Gzip => Writer::Gzip(GzEncoder::new(out, Compression::new(GZIP_LEVEL))),
        };
        Self {
            writer: Some(writer),
            labour,
            _place: place,
        }
    }

    /// Packs a part so that it can be read without the next.
    pub(crate) fn part(&mut self, part: Bytes) -> Bytes {
        let Some(mut writer) = self.writer.take() else {
            return Bytes::new();
        };
        let (writer, out) = self.labour.run(move || {
            let out = writer.part(&part);
            (writer, out)
        });
        self.writer = Some(writer);
        out
    }

    /// What comes after the last part; empty at the second call.
    pub(crate) fn end(&mut self) -> Bytes {
        match self.writer.take() {
            Some(writer) => self.labour.run(|| writer.end()),
            None => Bytes::new(),
        }
    }

    /// The only part: packed without a seam.
    pub(crate) fn whole(mut self, bytes: Bytes) -> Bytes {
        match self.writer.take() {
            Some(writer) => self.labour.run(move || writer.whole(&bytes)),
            None => Bytes::new(),
        }
    }

    /// Packs the parts that are still to come.
    pub(crate) fn all(mut self, mut parts: Parts) -> Parts {
        let mut is_over = false;
        Box::new(std::iter::from_fn(move || {
            if is_over {
                return None;
            }
            match parts.next() {
                Some(part) => Some(part.map(|part| self.part(part))),
                None => {
                    is_over = true;
                    Some(Ok(self.end()))
                }
            }
        }))
    }
}

impl Writer {
    fn part(&mut self, part: &[u8]) -> Bytes {
        let out = match self {
            Self::Brotli(writer) => {
                write(writer.as_mut(), part);
                writer.get_mut()
            }
            Self::Gzip(writer) => {
                write(writer, part);
                writer.get_mut()
            }
        };
        mem::take(out).into()
    }

    fn whole(mut self, bytes: &[u8]) -> Bytes {
        // Writing to memory does not fail.
        let _ = match &mut self {
            Self::Brotli(writer) => writer.write_all(bytes),
            Self::Gzip(writer) => writer.write_all(bytes),
        };
        self.end()
    }

    fn end(self) -> Bytes {
        match self {
            Self::Brotli(writer) => writer.into_inner().into(),
            // Writing to memory does not fail.
            Self::Gzip(writer) => writer.finish().unwrap_or_default().into(),
        }
    }
}

/// Writing to memory does not fail.
fn write(writer: &mut impl Write, part: &[u8]) {
    let _ = writer.write_all(part).and_then(|()| writer.flush());
}

const BUFFER_BYTES: usize = 16 << 10;
/// Near the best that can be had while a page is waited for; a window of 1 MiB keeps the memory at a few MiB.
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW_BITS: u32 = 20;
const GZIP_LEVEL: u32 = 6;
