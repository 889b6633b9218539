//! The tar format, as we write it: no owner, mode or time, so that the same tree is the same stream.

use tar::{EntryType, Header};

/// The head of an entry, after the GNU extensions that a long name or target needs. `target` is that of a symlink.
pub(crate) fn head(kind: EntryType, name: &str, target: &str, bytes: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOCK);
    if name.len() > FIELD {
        long(&mut out, EntryType::GNULongName, name);
    }
    if target.len() > FIELD {
        long(&mut out, EntryType::GNULongLink, target);
    }
    let mut header = plain(kind, name, bytes);
    let field = &mut header.as_old_mut().linkname;
    let length = target.len().min(FIELD);
    field[..length].copy_from_slice(&target.as_bytes()[..length]);
    header.set_cksum();
    out.extend(header.as_bytes());
    out
}

/// What fills up the last block of an entry of `bytes` bytes.
pub(crate) fn padding(bytes: u64) -> &'static [u8] {
    let over = (bytes % BLOCK as u64) as usize;
    &[0; BLOCK][..(BLOCK - over) % BLOCK]
}

/// What ends a stream.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Whether a symlink at a path of `depth` segments leads above the root.
pub(crate) fn leads_out(depth: usize, target: &str) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let mut depth = depth.saturating_sub(1);
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

fn long(out: &mut Vec<u8>, kind: EntryType, value: &str) {
    let bytes = value.len() as u64 + 1;
    let mut header = plain(kind, "././@LongLink", bytes);
    header.set_cksum();
    out.extend(header.as_bytes());
    out.extend(value.as_bytes());
    out.push(0);
    out.extend(padding(bytes));
}

fn plain(kind: EntryType, name: &str, bytes: u64) -> Header {
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
