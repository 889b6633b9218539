//! The 14 test vectors of IPIP-499, as Kubo's `test/cli/cid_profiles_test.go` states them.

use std::io::{self, Read};

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};

use super::{Discard, FileError, Tree, with_hashers};
use crate::Profile;

#[test]
fn small_file() {
    for (profile, cid) in [
        (
            Profile::V1_2025,
            "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
        ),
        (Profile::V0_2015, "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
    ] {
        assert_eq!(file(profile, &mut &b"hello world"[..], 11), cid);
    }
}

#[test]
fn files_at_and_over_one_chunk() {
    for (profile, seed, bytes, at, over) in [
        (
            Profile::V1_2025,
            "chunk-v1-seed",
            1 << 20,
            "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta",
            "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64",
        ),
        (
            Profile::V0_2015,
            "chunk-v0-seed",
            256 << 10,
            "QmWmRj3dFDZdb6ABvbmKhEL6TmPbAfBZ1t5BxsEyJrcZhE",
            "QmYyLxtzZyW22zpoVAtKANLRHpDjZtNeDjQdJrcQNWoRkJ",
        ),
    ] {
        assert_eq!(file(profile, &mut Keystream::new(seed), bytes), at);
        assert_eq!(file(profile, &mut Keystream::new(seed), bytes + 1), over);
    }
}

#[test]
fn files_at_and_over_one_node_of_links() {
    for (profile, seed, bytes, at, over) in [
        (
            Profile::V1_2025,
            "v1-2025-seed",
            1024 << 20,
            "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm",
            "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe",
        ),
        (
            Profile::V0_2015,
            "v0-seed",
            174 * (256 << 10),
            "QmUbBALi174SnogsUzLpYbD4xPiBSFANF4iztWCsHbMKh2",
            "QmV81WL765sC8DXsRhE5fJv2rwhS4icHRaf3J9Zk5FdRnW",
        ),
    ] {
        assert_eq!(file(profile, &mut Keystream::new(seed), bytes), at);
        assert_eq!(file(profile, &mut Keystream::new(seed), bytes + 1), over);
    }
}

#[test]
fn folders_at_and_over_the_threshold() {
    for (profile, files, name_bytes, last_bytes, cid) in [
        (
            Profile::V1_2025,
            4766,
            11,
            21,
            "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4",
        ),
        (
            Profile::V1_2025,
            4766,
            11,
            22,
            "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu",
        ),
        (
            Profile::V0_2015,
            4096,
            30,
            30,
            "QmX5GtRk3TSSEHtdrykgqm4eqMEn3n2XhfkFAis5fjyZmN",
        ),
        (
            Profile::V0_2015,
            4033,
            31,
            31,
            "QmeMiJzmhpJAUgynAcxTQYek5PPKgdv3qEvFsdV3XpVnvP",
        ),
    ] {
        assert_eq!(folder(profile, files, name_bytes, last_bytes), cid);
    }
}

fn file(profile: Profile, contents: &mut dyn Read, bytes: u64) -> String {
    import(profile, |tree| tree.file(&[], contents, bytes))
}

/// A folder of files that hold one `x` each.
fn folder(profile: Profile, files: usize, name_bytes: usize, last_bytes: usize) -> String {
    let mut stream = Keystream::new(&format!("hamt-{profile}"));
    import(profile, |tree| {
        for at in 1..=files {
            let mut name = vec![0; if at == files { last_bytes } else { name_bytes }];
            stream.read_exact(&mut name).map_err(FileError::Read)?;
            let name: String = name
                .iter()
                .map(|&byte| ALPHABET[usize::from(byte) % ALPHABET.len()] as char)
                .collect();
            tree.file(&[&name], &mut &b"x"[..], 1)?;
        }
        Ok(())
    })
}

fn import(profile: Profile, fill: impl FnOnce(&mut Tree<'_>) -> Result<(), FileError>) -> String {
    let mut progress = |_| {};
    let imported = with_hashers(&Discard, profile, |hashers| {
        let mut tree = Tree::new(&Discard, profile, hashers, &mut progress);
        fill(&mut tree).map_err(|error| match error {
            FileError::Read(error) => crate::Error::reading(error),
            FileError::Blocks(error) => error,
        })?;
        tree.finish()
    });
    imported.unwrap().root.to_string()
}

/// The ChaCha20 keystream under the SHA-256 of a seed and a zero nonce.
struct Keystream(ChaCha20);

impl Keystream {
    fn new(seed: &str) -> Keystream {
        Keystream(ChaCha20::new(&Sha256::digest(seed.as_bytes()), &[0; 12].into()))
    }
}

impl Read for Keystream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        self.0.apply_keystream(buffer);
        Ok(buffer.len())
    }
}

const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz01234567890-_";
