//! Light clients: checkpoints, bundles above them, and how large both are at the size of the `ddn` preset.

use std::time::Instant;

use ledger::{
    Action, Balance, Bundle, Certificate, Checkpoint, Genesis, GenesisDelegate, Hash, Header, LightBlock,
    MAX_BUNDLE_BYTES, MAX_TX_BYTES, SecretKey, Trust, Validator, ValidatorSet, VoteKind, decode, encode, key,
    verify, vote_bytes,
};

use crate::blocks::set;
use crate::bundles::{bundle, bundle_after_changes, genesis_of_four, header_at};
use crate::tree::Tree;
use crate::world::*;

fn alice() -> Vec<u8> {
    key::name(&label("alice"))
}

/// The checkpoint of the first or the second set change of [`bundle_after_changes`].
pub fn checkpoint(change: usize) -> Checkpoint {
    let (genesis, bundle) = (genesis_of_four(), bundle_after_changes(alice()));
    let next = [set(5), set(7)][change].clone();
    Checkpoint::new(&genesis, &bundle.set_changes[change].header, next).unwrap()
}

#[test]
fn a_bundle_is_verified_from_any_checkpoint_before_it() {
    let (genesis, bundle) = (genesis_of_four(), bundle_after_changes(alice()));
    let whole = verify(&bundle, &genesis).unwrap();
    for (height, change, left) in [(3, 0, 1), (5, 1, 0)] {
        let checkpoint = checkpoint(change);
        let above = bundle.clone().since(height);
        assert_eq!(above.set_changes.len(), left);
        let verified = verify(&above, &checkpoint).unwrap();
        assert_eq!((&verified.value, verified.height), (&whole.value, 9));
        assert_eq!(verified.trusted_ms, TIME_MS + height);
        // What the checkpoint covers may be there, and is not looked at.
        assert_eq!(verify(&bundle, &checkpoint).unwrap(), verified);
        let error = verify(&above, &genesis).unwrap_err().to_string();
        assert!(
            error.contains("do not follow from what is known of height 0"),
            "{error}"
        );
    }
}

#[test]
fn a_checkpoint_leads_to_the_next_one() {
    let (genesis, bundle) = (genesis_of_four(), bundle_after_changes(alice()));
    let next = bundle.checkpoint(&genesis).unwrap();
    assert_eq!((next.height, next.time_ms), (9, TIME_MS + 9));
    assert_eq!((next.header, &next.validators), (bundle.header.id(), &set(7)));
    assert_eq!(bundle.checkpoint(&checkpoint(1)).unwrap(), next);
    let steps = bundle.set_changes.iter();
    let start = Checkpoint::of_genesis(&genesis).unwrap();
    let last = steps.fold(start, |last, block| last.follow(block).unwrap());
    assert_eq!(last, checkpoint(1));
    // It is not before its own height, nor of the same one.
    let error = verify(&bundle, &next).unwrap_err().to_string();
    assert_eq!(
        error,
        "header of height 9: it is not later than what is known of height 9"
    );
}

#[test]
fn a_checkpoint_is_of_one_chain_and_one_set() {
    let genesis = genesis_of_four();
    let header = bundle(alice()).header;
    let error = Checkpoint::new(&genesis, &header, set(5))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "header of height 9: the validators after it are not those that it names"
    );
    let mut other = genesis;
    other.chain_id = "other".into();
    let error = Checkpoint::new(&other, &header, set(4)).unwrap_err().to_string();
    assert_eq!(
        error,
        "header of height 9: it is of chain 'test', what is trusted is of 'other'"
    );
    let wrong = Checkpoint {
        validators: set(4),
        ..checkpoint(1)
    };
    let error = verify(&bundle_after_changes(alice()), &wrong)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "header of height 9: its validators do not follow from what is known of height 5"
    );
}

/// The header after a checkpoint names it as its parent: nobody can put another past below it.
#[test]
fn the_next_height_has_the_checkpoint_as_its_parent() {
    let genesis = genesis_of_four();
    let header = header_at(&genesis, 1, Hash::of(b"s"), &set(4));
    let certificate = crate::blocks::certify(&header, &set(4), 3);
    let start = Checkpoint::of_genesis(&genesis).unwrap();
    start.check(&header, &certificate).unwrap();
    let elsewhere = Checkpoint {
        header: Hash::of(b"elsewhere"),
        ..start
    };
    let error = elsewhere.check(&header, &certificate).unwrap_err().to_string();
    assert!(
        error.starts_with("header of height 1: its parent is bafy"),
        "{error}"
    );
}

#[test]
fn trust_grows_old() {
    let (genesis, bundle) = (genesis_of_four(), bundle_after_changes(alice()));
    let unbonding_ms = 60 * 1_000;
    let check = |trust: Trust<'_>, trusted_ms: u64| {
        let verified = verify(&bundle, trust).unwrap();
        assert_eq!(
            (verified.trusted_ms, verified.unbonding_ms),
            (trusted_ms, unbonding_ms)
        );
        assert!(!verified.is_trust_old(0));
        assert!(!verified.is_trust_old(trusted_ms + unbonding_ms));
        assert!(verified.is_trust_old(trusted_ms + unbonding_ms + 1));
    };
    check(Trust::Genesis(&genesis), TIME_MS);
    check(Trust::Checkpoint(&checkpoint(1)), TIME_MS + 5);
}

#[test]
fn a_checkpoint_survives_its_files_and_nothing_else_does() {
    let good = checkpoint(0);
    assert_eq!(Checkpoint::decode(&good.encode()).unwrap(), good);
    assert_eq!(Checkpoint::parse(&good.to_json()).unwrap(), good);
    assert_eq!(good.cid(), Checkpoint::parse(&good.to_json()).unwrap().cid());
    let bytes = good.encode();
    for end in 0..bytes.len() {
        assert!(Checkpoint::decode(&bytes[..end]).is_err());
    }
    let json = String::from_utf8(good.to_json()).unwrap();
    let check = |json: String, words: &str| {
        let error = Checkpoint::parse(json.as_bytes()).unwrap_err().to_string();
        assert!(
            error.starts_with("checkpoint: ") && error.contains(words),
            "{error}"
        );
    };
    check(json.replace("\"height\"", "\"hight\""), "unknown field `hight`");
    check(json.replace("\"power\": 1", "\"power\": 0"), "power 0");
    check(" ".repeat(300_000), "300000 bytes, at most 262144");
}

/// Keys of a chain with many seats, by number.
fn seat(n: u32) -> SecretKey {
    SecretKey::from_seed(Hash::of(&n.to_be_bytes()).0)
}

/// Seats and their keys, in the order of the set.
struct Seats {
    set: ValidatorSet,
    keys: Vec<SecretKey>,
}

impl Seats {
    fn of(numbers: std::ops::Range<u32>) -> Self {
        let mut keys: Vec<SecretKey> = numbers.map(seat).collect();
        keys.sort_by_key(SecretKey::address);
        let validator = |key: &SecretKey| Validator {
            key: key.public(),
            power: 1,
        };
        let set = ValidatorSet::new(keys.iter().map(validator).collect()).unwrap();
        Self { set, keys }
    }

    /// All of them sign.
    fn certify(&self, header: &Header) -> Certificate {
        let id = Some(header.id());
        let bytes = vote_bytes(VoteKind::Precommit, &header.chain, header.height, 0, id);
        let votes = self
            .keys
            .iter()
            .map(|key| (key.address(), key.sign_bytes(&bytes)));
        Certificate::build(&self.set, header.height, 0, header.id(), votes).unwrap()
    }
}

const SEATS: u32 = 101;
/// Who changes from round to round: a tenth.
const TURNOVER: u32 = 10;
const ROUND: u64 = 101;

/// The `ddn` preset with 101 delegates.
fn ddn() -> Genesis {
    let mut addresses: Vec<_> = (0..SEATS).map(seat).collect();
    addresses.sort_by_key(SecretKey::address);
    let delegate = |key: &SecretKey| GenesisDelegate {
        key: key.public(),
        engine: "/ip4/10.0.0.1/tcp/4103/p2p/12D3KooW".into(),
        tip: None,
    };
    let all = Balance {
        address: at(1),
        amount: coins("100000000"),
    };
    let delegates = addresses.iter().map(delegate).collect();
    Genesis::ddn("ddn-1", TIME_MS, delegates, vec![all]).unwrap()
}

/// A name's bundle after so many rounds, with every set change since the genesis.
fn long_bundle(genesis: &Genesis, rounds: u32) -> (Bundle, Checkpoint) {
    let tree = Tree::of(&big_state());
    let (value, proof) = tree.prove(&alice());
    let mut seats = Seats::of(0..SEATS);
    let mut set_changes = Vec::new();
    let mut checkpoint = Checkpoint::of_genesis(genesis).unwrap();
    for round in 1..=rounds {
        let first = round * TURNOVER;
        let next = Seats::of(first..first + SEATS);
        let header = Header {
            next_validators: next.set.hash(),
            time_ms: TIME_MS + u64::from(round),
            ..header_at(genesis, u64::from(round) * ROUND, Hash::of(b"s"), &seats.set)
        };
        let certificate = seats.certify(&header);
        checkpoint = Checkpoint::new(genesis, &header, next.set.clone()).unwrap();
        set_changes.push(LightBlock::new(header, certificate, &seats.set, &next.set));
        seats = next;
    }
    let header = Header {
        time_ms: TIME_MS + u64::from(rounds) + 1,
        ..header_at(genesis, u64::from(rounds) * ROUND + 50, tree.root, &seats.set)
    };
    let certificate = seats.certify(&header).trimmed(&seats.set);
    let bundle = Bundle {
        key: alice(),
        value: value.map(Into::into),
        proof,
        header,
        certificate,
        set_changes,
        foreign: None,
    };
    (bundle, checkpoint)
}

/// A name among 20,000 other entries, so that paths have some length.
fn big_state() -> ledger::MemoryState {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    let filler = |n: u32| (n.to_be_bytes().to_vec(), vec![0; 64]);
    world.state.0.extend((0..20_000).map(filler));
    world.state
}

#[test]
fn a_bundle_above_a_checkpoint_is_small() {
    let genesis = ddn();
    let (bundle, checkpoint) = long_bundle(&genesis, 2);
    let above = bundle.clone().since(checkpoint.height);
    verify(&above, &checkpoint).unwrap();
    let (bytes, file) = (above.encode().len(), checkpoint.encode().len());
    println!("101 seats: bundle above a checkpoint {bytes} bytes, checkpoint {file} bytes");
    assert!(bytes <= 8 * 1024, "{bytes} bytes");
    assert!(file <= 5 * 1024, "{file} bytes");
    let step = encode(&bundle.set_changes[0]).len() as u64;
    println!("one round: {step} bytes");
    // As many rounds as coins stay locked fit in a bundle.
    let rounds = genesis.election.unbonding / genesis.election.round;
    assert!(
        rounds * step < MAX_BUNDLE_BYTES as u64,
        "{rounds} rounds of {step} bytes"
    );
}

/// Other ledgers can follow the largest presets by transactions.
#[test]
fn the_headers_of_all_presets_fit_in_a_transaction() {
    for (seats, joined) in [(101, 101), (108, 108), (303, 30)] {
        let (from, to) = (Seats::of(0..seats), Seats::of(joined..joined + seats));
        let header = Header {
            next_validators: to.set.hash(),
            ..header_at(&ddn(), 7, Hash::of(b"s"), &from.set)
        };
        let certificate = from.certify(&header);
        let checkpoint = Checkpoint {
            validators: to.set.clone(),
            ..Checkpoint::of_genesis(&ddn()).unwrap()
        };
        let actions = [
            crate::chains::anchor_of(LightBlock::new(header, certificate, &from.set, &to.set)),
            Action::ChainRegister {
                tld: label("far"),
                prefix: "far".into(),
                checkpoint: Box::new(checkpoint),
            },
        ];
        for action in actions {
            let tx = sign(1, u64::MAX, coins("1"), action);
            let bytes = tx.encode().len();
            println!(
                "{seats} seats, {joined} join: {} of {bytes} bytes",
                tx.body.action.kind()
            );
            assert!(bytes <= MAX_TX_BYTES, "{seats} seats: {bytes} bytes");
        }
    }
}

/// The signatures of the quorum are as good as all.
#[test]
fn a_trimmed_certificate_holds_and_less_does_not() {
    let genesis = ddn();
    let seats = Seats::of(0..SEATS);
    let header = header_at(&genesis, 7, Hash::of(b"s"), &seats.set);
    let all = seats.certify(&header);
    let mut trimmed = all.clone().trimmed(&seats.set);
    assert_eq!((all.signatures.len(), trimmed.signatures.len()), (101, 68));
    trimmed.verify(&genesis.chain_id, &seats.set).unwrap();
    assert_eq!(trimmed.clone().trimmed(&seats.set), trimmed);
    // One wrong signature is found among all, and named.
    let wrong = seats.set.validators()[40].key;
    let mut bytes = *trimmed.signatures[40].as_bytes();
    bytes[40] ^= 1;
    trimmed.signatures[40] = ledger::Signature::from_bytes(bytes);
    let error = trimmed
        .verify(&genesis.chain_id, &seats.set)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!("certificate of height 7: the signature of {wrong} does not hold")
    );
}

/// As long as a bundle gets on a light client that starts from the genesis. Times are for people: `--nocapture`.
#[test]
fn a_bundle_of_many_rounds_is_verified_from_the_genesis() {
    let rounds = std::env::var("DDN_ROUNDS").map_or(20, |text| text.parse().unwrap());
    let genesis = ddn();
    let (bundle, checkpoint) = long_bundle(&genesis, rounds);
    let bytes = bundle.encode();
    let start = Instant::now();
    let decoded = Bundle::decode(&bytes).unwrap();
    let decoding = start.elapsed();
    let start = Instant::now();
    verify(&decoded, &genesis).unwrap();
    println!(
        "{rounds} rounds: {} bytes, decoded in {decoding:?}, verified in {:?}",
        bytes.len(),
        start.elapsed()
    );
    let above = bundle.since(checkpoint.height).encode();
    let file = checkpoint.encode();
    let start = Instant::now();
    let trust: Checkpoint = decode(&file).unwrap();
    let reading = start.elapsed();
    let start = Instant::now();
    verify(&Bundle::decode(&above).unwrap(), &trust).unwrap();
    println!(
        "above a checkpoint: {} bytes, checkpoint read in {reading:?}, bundle decoded and verified in {:?}",
        above.len(),
        start.elapsed()
    );
}
