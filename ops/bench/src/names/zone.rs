//! The zone that all servers have: so many names `n0.ddn`, `n1.ddn` … with an address and a text each.

use std::fmt::Write as _;

pub const ADDRESS: &str = "192.0.2.1";
pub const TEXT: &str = "dnslink=/ipfs/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
pub const TTL: u32 = 20;

/// The name with a number.
pub fn name(number: usize) -> String {
    format!("n{number}.ddn")
}

/// The master file.
pub fn file(names: usize) -> String {
    let mut text = format!(
        "$ORIGIN ddn.\n$TTL {TTL}\n@ SOA localhost. hostmaster 1 3600 600 604800 {TTL}\n@ NS localhost.\n"
    );
    for number in 0..names {
        let _ = writeln!(text, "n{number} A {ADDRESS}\nn{number} TXT \"{TEXT}\"");
    }
    text
}
