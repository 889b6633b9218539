//! Keys, signatures, addresses, and the rules by which signatures are verified.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ledger::{Address, PublicKey, Signature, VoteKind, signed_bytes, vote_bytes};
use sha2::{Digest, Sha512};

use crate::world::*;

#[test]
fn a_signature_holds_for_one_message_domain_chain_and_key() {
    let signature = who(1).sign("a", "chain", b"message");
    let key = who(1).public();
    assert!(key.verify("a", "chain", b"message", &signature));
    assert!(!key.verify("b", "chain", b"message", &signature));
    assert!(!key.verify("a", "other", b"message", &signature));
    assert!(!key.verify("a", "chain", b"messag", &signature));
    assert!(!who(2).public().verify("a", "chain", b"message", &signature));
    // Nothing can be moved across the borders of the parts.
    assert!(!key.verify("ac", "hain", b"message", &signature));
    assert!(!key.verify("a", "chainm", b"essage", &signature));
}

#[test]
fn every_flipped_bit_breaks_a_signature() {
    let bytes = signed_bytes("a", "chain", b"message");
    let good = who(1).sign_bytes(&bytes);
    for bit in 0..512 {
        let mut flipped = *good.as_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !who(1)
                .public()
                .verify_bytes(&bytes, &Signature::from_bytes(flipped)),
            "bit {bit}"
        );
    }
}

#[test]
fn rfc_8032_vector() {
    // RFC 8032, 7.1, test 2.
    let seed = hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
    let key = ledger::SecretKey::from_seed(seed.try_into().unwrap());
    assert_eq!(
        key.public().to_string(),
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    );
    assert_eq!(
        hex::encode(key.sign_bytes(&[0x72]).as_bytes()),
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    );
}

#[test]
fn keys_of_small_order_are_refused() {
    let mut encodings: Vec<[u8; 32]> = EIGHT_TORSION
        .iter()
        .map(|point| point.compress().to_bytes())
        .collect();
    // The encodings of small-order points that are not canonical: y = p and p + 1, with either sign.
    for low in [0xed, 0xee] {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            encodings.push(bytes);
        }
    }
    for bytes in encodings {
        let error = PublicKey::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.starts_with("public key: "), "{error}");
    }
}

#[test]
fn what_is_no_point_is_refused() {
    let mut bytes = [0; 32];
    bytes[0] = 2;
    assert_eq!(
        PublicKey::from_bytes(bytes).unwrap_err().to_string(),
        "public key: the bytes are not a point of the curve"
    );
    assert!("zz".parse::<PublicKey>().is_err());
    assert!(ledger::decode::<PublicKey>(&ledger::encode(&serde_bytes::Bytes::new(&bytes))).is_err());
}

/// A signature whose nonce point has a component of small order: valid by ZIP-215, where the equation is multiplied by
/// the cofactor, and invalid by rules without it. Batch verification can only agree with the former.
#[test]
fn signatures_are_verified_with_the_cofactor() {
    let (secret, nonce) = (Scalar::from(1_234_567u64), Scalar::from(7_654_321u64));
    let message = signed_bytes("a", "chain", b"message");
    for torsion in &EIGHT_TORSION {
        for on_key in [false, true] {
            let mixed = |point: EdwardsPoint, add: bool| if add { point + torsion } else { point };
            let key = mixed(ED25519_BASEPOINT_POINT * secret, on_key).compress();
            let r = mixed(ED25519_BASEPOINT_POINT * nonce, !on_key).compress();
            let digest = Sha512::new()
                .chain_update(r.as_bytes())
                .chain_update(key.as_bytes())
                .chain_update(&message);
            let k = Scalar::from_bytes_mod_order_wide(&digest.finalize().into());
            let s = nonce + k * secret;
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(r.as_bytes());
            bytes[32..].copy_from_slice(s.as_bytes());
            let key = PublicKey::from_bytes(key.to_bytes()).unwrap();
            assert!(key.verify_bytes(&message, &Signature::from_bytes(bytes)));
        }
    }
}

#[test]
fn a_scalar_beyond_the_order_is_refused() {
    // s + l is the same number modulo l: accepting it would give each signature a second form.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let message = signed_bytes("a", "chain", b"message");
    let mut bytes = *who(1).sign_bytes(&message).as_bytes();
    let mut carry = 0u16;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert!(
        !who(1)
            .public()
            .verify_bytes(&message, &Signature::from_bytes(bytes))
    );
}

#[test]
fn addresses_are_bech32m_with_the_chains_prefix() {
    let address = at(1);
    let text = address.display("dev");
    assert!(text.starts_with("dev1"), "{text}");
    assert_eq!(Address::parse("dev", &text).unwrap(), address);
    assert_eq!(Address::parse("dev", &text.to_uppercase()).unwrap(), address);
    let error = Address::parse("ddn", &text).unwrap_err().to_string();
    let words = format!("address '{text}': it is for a chain whose addresses start with 'dev', not 'ddn'");
    assert_eq!(error, words);
    for place in 4..text.len() {
        let mut broken = text.clone().into_bytes();
        broken[place] = if broken[place] == b'q' { b'p' } else { b'q' };
        let broken = String::from_utf8(broken).unwrap();
        assert!(Address::parse("dev", &broken).is_err(), "{broken}");
    }
    let hrp = bech32::Hrp::parse("dev").unwrap();
    let old = bech32::encode::<bech32::Bech32>(hrp, address.as_bytes()).unwrap();
    assert!(Address::parse("dev", &old).is_err(), "bech32 is not bech32m");
    let short = bech32::encode::<bech32::Bech32m>(hrp, b"short").unwrap();
    assert!(
        Address::parse("dev", &short)
            .unwrap_err()
            .to_string()
            .ends_with("it holds 5 bytes instead of 20")
    );
    for text in ["", "dev", "dev1", "1", "dev1ä"] {
        assert!(Address::parse("dev", text).is_err(), "{text}");
    }
}

#[test]
fn secret_keys_are_not_printed() {
    let text = format!("{:?}", who(1));
    assert!(!text.contains(&hex::encode(who(1).seed())), "{text}");
}

#[test]
fn votes_differ_in_every_part() {
    let value = Some(secret(1));
    let base = vote_bytes(VoteKind::Precommit, "test", 5, 1, value);
    assert_eq!(base.len(), 4 + "ddn/vote/1".len() + 4 + "test".len() + 46);
    for other in [
        vote_bytes(VoteKind::Prevote, "test", 5, 1, value),
        vote_bytes(VoteKind::Precommit, "tess", 5, 1, value),
        vote_bytes(VoteKind::Precommit, "test", 6, 1, value),
        vote_bytes(VoteKind::Precommit, "test", 5, 2, value),
        vote_bytes(VoteKind::Precommit, "test", 5, 1, Some(secret(2))),
        vote_bytes(VoteKind::Precommit, "test", 5, 1, None),
    ] {
        assert_ne!(base, other);
    }
    let (nil, zero) = (vote_bytes(VoteKind::Prevote, "t", 1, 0, None), secret(0));
    assert_ne!(nil, vote_bytes(VoteKind::Prevote, "t", 1, 0, Some(zero)));
}
