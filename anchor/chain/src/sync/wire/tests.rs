//! The forms of all messages, and what is no message.

use std::path::PathBuf;

use ledger::{Action, Address, Genesis, SecretKey, Signature, TxBody};

use super::*;

/// Compares with the file of this name, in lines of 64 bytes. To write the files of a new format: `DDN_BLESS=1`.
fn check<T>(name: &str, message: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = ledger::encode(message);
    assert_eq!(
        decode::<T>("it", &bytes, ANSWER_BYTES_MAX).as_ref(),
        Ok(message),
        "{name}"
    );
    let lines: Vec<String> = bytes.chunks(64).map(hex::encode).collect();
    let text = lines.join("\n") + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/sync-{name}.hex"));
    if std::env::var_os("DDN_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(text, pinned, "{name}: the format has changed");
}

fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn hash(number: u8) -> Hash {
    Hash([number; 32])
}

fn header() -> Header {
    Header {
        chain: "test-1".into(),
        genesis: hash(1).cid().into(),
        height: 7,
        time_ms: 1_700_000_000_000,
        parent: hash(2).cid().into(),
        body: hash(3).cid().into(),
        state_root: hash(4),
        proposer: Address::from_bytes([5; 20]),
        reveal: None,
        validators: hash(6),
        next_validators: hash(6),
    }
}

fn certificate() -> Certificate {
    Certificate {
        height: 7,
        round: 1,
        header: header().id(),
        signers: vec![1],
        signatures: vec![Signature::from_bytes([9; 64])],
    }
}

fn tx() -> Tx {
    let body = TxBody {
        chain: "test-1".into(),
        nonce: 3,
        fee: Genesis::dev("test-1", 1, key().public()).fee,
        action: Action::Commit { hash: hash(8) },
    };
    Tx::sign(body, &key())
}

#[test]
fn the_forms_are_pinned() {
    check("ask-status", &Request::Status {});
    check("ask-blocks", &Request::Blocks { from: 300, max: 128 });
    check("ask-submit", &Request::Submit { tx: Box::new(tx()) });
    let status = Answer::Status {
        chain: "test-1".into(),
        genesis: hash(1).cid().into(),
        height: 7,
        header: header().id(),
    };
    check("status", &status);
    let sealed = Sealed {
        header: ledger::encode(&header()).into(),
        body: ByteBuf::from(b"body".to_vec()),
        certificate: ledger::encode(&certificate()).into(),
    };
    let blocks = Answer::Blocks {
        blocks: vec![sealed.clone(), sealed],
    };
    check("blocks", &blocks);
    check("blocks-none", &Answer::Blocks { blocks: vec![] });
    check("taken", &Answer::Taken {});
    check("refused", &Answer::Refused { reason: "no".into() });
    check(
        "failed",
        &Answer::Failed {
            reason: "later".into(),
        },
    );
    let announcement = Announcement {
        header: header(),
        certificate: certificate(),
    };
    check("announcement", &announcement);
}

#[test]
fn sizes_are_counted_from_above() {
    for bytes in [0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 << 20] {
        let part = ByteBuf::from(vec![7; bytes]);
        let sealed = Sealed {
            header: part.clone(),
            body: part.clone(),
            certificate: part,
        };
        let (counted, encoded) = (sealed.bytes(), ledger::encode(&sealed).len());
        assert!(encoded <= counted && counted <= encoded + 64, "{bytes}");
    }
}

#[test]
fn what_is_cut_off_lengthened_or_of_another_form_is_no_answer() {
    let good = ledger::encode(&Answer::Refused { reason: "no".into() });
    for end in 0..good.len() {
        Answer::decode(&good[..end]).unwrap_err();
    }
    for more in [&b"\0"[..], &good] {
        Answer::decode(&[&good, more].concat()).unwrap_err();
    }
    Answer::decode(&ledger::encode("refused")).unwrap_err();
    Answer::decode(&ledger::encode(&Request::Status {})).unwrap_err();
    let long = |bytes| {
        ledger::encode(&Answer::Failed {
            reason: "x".repeat(bytes),
        })
    };
    assert!(Answer::decode(&long(REASON_BYTES_MAX)).is_ok());
    assert_eq!(
        Answer::decode(&long(REASON_BYTES_MAX + 1)).unwrap_err(),
        "it gives a reason of 1025 bytes"
    );
    let huge = vec![0; ANSWER_BYTES_MAX + 1];
    assert_eq!(
        Answer::decode(&huge).unwrap_err(),
        "its answer has 4194305 bytes, at most 4194304 are allowed"
    );
}

#[test]
fn reasons_fit_and_are_one_line() {
    assert_eq!(reason("short"), "short");
    let long = reason("ä".repeat(REASON_BYTES_MAX));
    assert_eq!(long.len(), REASON_BYTES_MAX);
    assert_eq!(
        reason(format!("x{}", "ä".repeat(REASON_BYTES_MAX))).len(),
        REASON_BYTES_MAX - 1
    );
    assert_eq!(quoted("a\nb\x1b[31mc"), "a b [31mc");
}
