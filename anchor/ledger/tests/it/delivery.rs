//! Receipts, the tree over them, and the proof of one delivery.

use ledger::{
    Bundle, DeliveryProof, Error, Hash, Receipt, Signed, Statement, check_path, contradict, decode, encode,
    key, receipt_path, receipts_root, verify_delivery,
};
use proptest::prelude::*;

use crate::blocks::{certify, set};
use crate::bundles::{genesis_of_four, header_at};
use crate::paying::*;
use crate::tree::Tree;
use crate::world::*;

/// How many receipts the claim in [`proof`] has.
const COUNT: u64 = 5;

fn receipts(escrow: Hash) -> (Vec<Receipt>, Vec<Hash>) {
    let receipts: Vec<_> = (1..=COUNT).map(|seq| receipt(escrow, seq)).collect();
    let ids = receipts.iter().map(Receipt::id).collect();
    (receipts, ids)
}

/// A proof of delivery number `index` of five that account 2 has claimed.
pub fn proof(index: usize) -> DeliveryProof {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    let (receipts, ids) = receipts(id);
    let root = receipts_root(&ids);
    world.pass(2, claim_with(vec![voucher(id, 1, 2, coins("2.5"))], root, COUNT));
    DeliveryProof {
        bundle: bundle_of(&world, key::claim(&at(2), &root)),
        receipt: receipts[index].clone(),
        index: index as u64,
        path: receipt_path(&ids, index),
    }
}

/// A proof of an entry of a state, under the genesis of four.
pub fn bundle_of(world: &World, key: Vec<u8>) -> Bundle {
    let tree = Tree::of(&world.state);
    let (value, proof) = tree.prove(&key);
    let header = header_at(&genesis_of_four(), 9, tree.root, &set(4));
    let certificate = certify(&header, &set(4), 3);
    Bundle {
        key,
        value: value.map(Into::into),
        proof,
        header,
        certificate,
        set_changes: vec![],
        foreign: None,
    }
}

#[test]
fn each_delivery_of_a_claim_is_proved() {
    for index in 0..COUNT as usize {
        let proof = DeliveryProof::decode(&proof(index).encode()).unwrap();
        let verified = verify_delivery(&proof, &genesis_of_four()).unwrap();
        assert_eq!((verified.payee, verified.height), (at(2), 9));
        assert_eq!(verified.receipt.statement.body.bytes, (index as u64 + 1) << 20);
        assert_eq!(
            (verified.claim.receipts, verified.claim.amount),
            (COUNT, coins("2.5"))
        );
    }
}

#[test]
fn each_link_of_a_proof_is_checked() {
    let check = |change: fn(&mut DeliveryProof), words: &str| {
        let mut proof = proof(2);
        change(&mut proof);
        let error = verify_delivery(&proof, &genesis_of_four())
            .expect_err(words)
            .to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    check(|p| p.index = 1, "as number 1 of 5, to the claim's root");
    check(|p| p.index = 5, "as number 5 of 5, to the claim's root");
    check(|p| p.path.truncate(2), "to the claim's root");
    check(|p| p.path.push(secret(1)), "to the claim's root");
    check(|p| p.receipt.voucher = None, "to the claim's root");
    check(
        |p| p.receipt.statement.body.bytes += 1,
        "receipt: the signature of the statement does not hold on chain 'test'",
    );
    check(
        |p| p.receipt.quote.body.payee = at(3),
        "its bundle is about a claim of another payee than the receipt's",
    );
    check(
        |p| p.bundle.certificate.height += 1,
        "header of height 9: the certificate beside",
    );
    check(
        |p| p.bundle = crate::bundles::bundle(key::name(&label("alice"))),
        "its bundle is not about a claim",
    );
    check(
        |p| p.bundle = crate::bundles::bundle(key::claim(&at(2), &secret(1))),
        "its bundle proves that there is no such claim",
    );
}

#[test]
fn every_flipped_byte_of_a_proof_is_refused() {
    let (genesis, good) = (genesis_of_four(), proof(2).encode());
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 0x01;
        let verdict = DeliveryProof::decode(&bytes).and_then(|proof| verify_delivery(&proof, &genesis));
        assert!(verdict.is_err(), "byte {place}: {verdict:?}");
    }
    let error = DeliveryProof::decode(&good[..good.len() - 1]).unwrap_err();
    assert!(matches!(error, Error::Delivery { .. }), "{error}");
}

/// Whoever flips a byte can also make a new seal: even so, nothing but the truth verifies.
#[test]
fn a_new_seal_does_not_help() {
    let (genesis, proof) = (genesis_of_four(), proof(2));
    let (good, truth) = (encode(&proof), verify_delivery(&proof, &genesis).unwrap());
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 0x01;
        let Ok(forged) = decode::<DeliveryProof>(&bytes) else {
            continue;
        };
        if let Ok(verified) = verify_delivery(&forged, &genesis) {
            assert_eq!(verified, truth, "byte {place} made a lie");
        }
    }
}

#[test]
fn the_parts_of_a_receipt_belong_together() {
    let good = receipt(secret(4), 3);
    good.check(CHAIN).unwrap();
    assert_eq!(Receipt::decode(&good.encode()).unwrap(), good);
    let json = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), good);
    let check = |change: fn(&mut Receipt), words: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(
            bad.check(CHAIN).unwrap_err().to_string(),
            format!("receipt: {words}")
        );
    };
    let words = "the signature of the quote does not hold on chain 'other'";
    assert_eq!(
        good.check("other").unwrap_err().to_string(),
        format!("receipt: {words}")
    );
    check(
        |r| r.quote = Signed::sign(r.quote.body.clone(), CHAIN, &node(2)),
        "the quote is not signed by the node that it names",
    );
    check(
        |r| r.statement = Signed::sign(r.statement.body.clone(), CHAIN, &node(2)),
        "the statement is by another node than the quote",
    );
    check(
        |r| r.quote = quote("0.25"),
        "the statement is under another quote",
    );
    check(
        |r| r.statement = statement(&r.quote, 4, r.statement.body.escrow),
        "the voucher acknowledges another statement",
    );
    check(
        |r| r.statement = statement(&r.quote, 3, None),
        "the voucher is on another escrow than the statement's",
    );
    check(
        |r| r.voucher = Some(voucher(secret(4), 1, 3, coins("1"))),
        "the voucher is for another payee than the quote's",
    );
    check(
        |r| r.voucher.as_mut().unwrap().body.cumulative = coins("9"),
        "the signature of the voucher does not hold on chain 'test'",
    );
    // A free delivery has no voucher.
    let quote = quote("0");
    let statement = statement(&quote, 1, None);
    let free = Receipt {
        quote,
        statement,
        voucher: None,
    };
    free.check(CHAIN).unwrap();
    assert_eq!(Receipt::decode(&free.encode()).unwrap(), free);
}

#[test]
fn two_stories_about_one_moment_are_a_fraud() {
    let quote = quote("0.5");
    let base = statement(&quote, 3, None);
    let told = |change: fn(&mut Statement), by: u8| {
        let mut body = base.body.clone();
        change(&mut body);
        Signed::sign(body, CHAIN, &node(by))
    };
    let other = told(|s| s.bytes += 1, 1);
    assert!(contradict(&base, &other, CHAIN) && contradict(&other, &base, CHAIN));
    assert!(!contradict(&base, &base, CHAIN), "the same words");
    assert!(
        !contradict(&base, &told(|s| s.bytes += 1, 2), CHAIN),
        "another node"
    );
    assert!(
        !contradict(&base, &told(|s| s.seq += 1, 1), CHAIN),
        "another moment"
    );
    assert!(
        !contradict(&base, &told(|s| s.session = secret(3), 1), CHAIN),
        "another session"
    );
    assert!(!contradict(&base, &other, "other"), "another chain");
    let mut forged = other;
    forged.body.bytes += 1;
    assert!(!contradict(&base, &forged, CHAIN), "not signed");
}

#[test]
fn sessions_differ_in_every_part() {
    let base = session(&quote("0.5"));
    let mut others = vec![base.clone(); 5];
    others[0].client = node_key(3);
    others[1].server = node_key(3);
    others[2].quote = secret(3);
    others[3].client_nonce = secret(3);
    others[4].server_nonce = secret(3);
    assert!(others.iter().all(|other| other.id() != base.id()));
}

/// The roots of RFC 6962's reference implementation, over the same leaves, given as the hashes that ours are made of.
#[test]
fn the_tree_is_that_of_rfc_6962() {
    let ids: Vec<Hash> = (0..8).map(secret).collect();
    let hash = |parts: &[&[u8]]| Hash::of(&parts.concat());
    let leaf = |n: usize| hash(&[&[0], &ids[n].0]);
    let node = |left: Hash, right: Hash| hash(&[&[1], &left.0, &right.0]);
    let pair = |n: usize| node(leaf(n), leaf(n + 1));
    assert_eq!(receipts_root(&[]), Hash::of(b""));
    assert_eq!(receipts_root(&ids[..1]), leaf(0));
    assert_eq!(receipts_root(&ids[..2]), pair(0));
    assert_eq!(receipts_root(&ids[..3]), node(pair(0), leaf(2)));
    let four = node(pair(0), pair(2));
    assert_eq!(receipts_root(&ids[..5]), node(four, leaf(4)));
    assert_eq!(receipts_root(&ids[..7]), node(four, node(pair(4), leaf(6))));
    // The paths of section 2.1.3 for seven leaves.
    assert_eq!(
        receipt_path(&ids[..7], 0),
        [leaf(1), pair(2), node(pair(4), leaf(6))]
    );
    assert_eq!(receipt_path(&ids[..7], 6), [pair(4), four]);
    assert!(receipt_path(&ids, 8).is_empty());
}

proptest! {
    #[test]
    fn a_path_proves_one_receipt_at_one_place(
        count in 1..70usize,
        index: prop::sample::Index,
        other: prop::sample::Index,
        wrong in 0..70u64,
    ) {
        let ids: Vec<Hash> = (0..count).map(|n| Hash::of(&n.to_be_bytes())).collect();
        let (root, index) = (receipts_root(&ids), index.index(count));
        let path = receipt_path(&ids, index);
        let check = |count, index, id, path: &[Hash]| check_path(root, count, index, id, path);
        let (count, place) = (count as u64, index as u64);
        prop_assert!(check(count, place, ids[index], &path));
        prop_assert!(wrong == place || !check(count, wrong, ids[index], &path));
        prop_assert!(!check(count, place, secret(1), &path));
        let other = other.index(ids.len());
        prop_assert!(other == index || !check(count, place, ids[other], &path));
        for cut in 0..path.len() {
            prop_assert!(!check(count, place, ids[index], &path[..cut]));
        }
    }

    #[test]
    fn paths_of_any_length_never_panic(count: u64, index: u64, path in prop::collection::vec(any::<[u8; 32]>(), 0..80)) {
        let path: Vec<Hash> = path.into_iter().map(Hash).collect();
        prop_assert!(!check_path(secret(1), count, index, secret(2), &path));
    }
}
