//! The frames, byte for byte, and what is not a frame.

use bytes::Bytes;
use cid::Cid;
use ledger::{Amount, Hash, Link, Quote, Signed, Statement, Voucher};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use storage::BLOCK_BYTES_MAX;
use storage::ddp::wire::{
    self, Code, FRAME_BYTES_MAX, Offer, Open, Refuse, Text, ToClient, ToServer, VERSION, WANT_BLOCKS_MAX,
    WireError,
};

use crate::ddp_server_world::{CHAIN, key, payee};

/// One line for each message: its name, and the frame in hex.
const FIXTURES: &str = include_str!("../fixtures/wire.txt");

#[test]
fn frames_have_this_form() {
    let mut written = String::new();
    for (name, message) in to_server() {
        written += &format!("{name} {}\n", hex::encode(frame(&message)));
    }
    for (name, message) in to_client() {
        written += &format!("{name} {}\n", hex::encode(frame(&message)));
    }
    assert_eq!(written, FIXTURES, "the frames are now:\n{written}");
}

#[test]
fn frames_are_read_as_they_were_written() {
    for (name, message) in to_server() {
        assert_eq!(read::<ToServer>(&frame(&message)).unwrap(), message, "{name}");
    }
    for (name, message) in to_client() {
        assert_eq!(read::<ToClient>(&frame(&message)).unwrap(), message, "{name}");
    }
}

#[test]
fn what_is_cut_short_or_too_long_is_no_frame() {
    let whole = frame(&ToServer::Close {});
    for length in 1..whole.len() {
        assert!(
            matches!(read::<ToServer>(&whole[..length]), Err(WireError::Io(_))),
            "{length}"
        );
    }
    assert!(matches!(read::<ToServer>(&[]), Err(WireError::Ended)));
    let long = (FRAME_BYTES_MAX as u32 + 1).to_be_bytes();
    assert!(matches!(read::<ToServer>(&long), Err(WireError::TooLarge { .. })));
    assert!(
        matches!(read::<ToClient>(&whole), Err(WireError::Malformed(_))),
        "the other direction's"
    );
    let names = ToServer::Path {
        segments: vec!["a".repeat(FRAME_BYTES_MAX)],
    };
    assert!(matches!(try_frame(&names), Err(WireError::TooLarge { .. })));
}

#[test]
fn a_full_want_fits_with_the_longest_cids() {
    let digest = multihash_codetable::MultihashDigest::digest(&multihash_codetable::Code::Sha2_512, b"x");
    let blocks = vec![Link(Cid::new_v1(0x71, digest)); WANT_BLOCKS_MAX];
    try_frame(&ToServer::Want { blocks }).unwrap();
}

#[test]
fn a_block_follows_its_frame() {
    let block = Bytes::from(vec![7; BLOCK_BYTES_MAX]);
    let stream = wait(async {
        let mut stream = Vec::new();
        wire::write_block(&mut stream, link(), &block).await.unwrap();
        stream
    });
    wait(async {
        let mut stream = &stream[..];
        let frame: ToClient = wire::read(&mut stream).await.unwrap();
        let ToClient::Block { cid, bytes } = frame else {
            panic!()
        };
        assert_eq!((cid, bytes), (link(), BLOCK_BYTES_MAX as u32));
        assert_eq!(wire::read_block(&mut stream, bytes).await.unwrap(), block);
        assert!(stream.is_empty());
        let too_many = wire::read_block(&mut stream, bytes + 1).await;
        assert!(matches!(too_many, Err(WireError::TooLarge { .. })));
    });
    let large = Bytes::from(vec![7; BLOCK_BYTES_MAX + 1]);
    let written = wait(async { wire::write_block(&mut Vec::new(), link(), &large).await });
    assert!(matches!(written, Err(WireError::TooLarge { .. })));
}

proptest! {
    /// Whatever bytes come: an error, or a message whose frame they are.
    #[test]
    fn no_bytes_are_read_as_another_message(at in 0usize..4096, flip in 1u8.., which in 0usize..5) {
        let (_, message) = to_server().swap_remove(which);
        let mut bytes = frame(&message);
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(read) = read::<ToServer>(&bytes) {
            prop_assert_eq!(frame(&read), bytes);
        }
    }
}

fn to_server() -> Vec<(&'static str, ToServer)> {
    let open = Open {
        version: VERSION,
        chain: CHAIN.to_owned(),
        root: link(),
        nonce: Hash::of(b"client"),
        escrow: Some(Hash::of(b"escrow")),
        split: false,
    };
    let split = Open {
        split: true,
        ..open.clone()
    };
    let segments = vec!["a".to_owned(), "b.txt".to_owned()];
    vec![
        ("open", ToServer::Open(open)),
        ("open-split", ToServer::Open(split)),
        (
            "want",
            ToServer::Want {
                blocks: vec![link(), link()],
            },
        ),
        ("path", ToServer::Path { segments }),
        ("pay", ToServer::Pay { voucher: voucher() }),
        ("close", ToServer::Close {}),
    ]
}

fn to_client() -> Vec<(&'static str, ToClient)> {
    let quote = Quote {
        node: key(1).public(),
        payee: payee(),
        price: Amount::from_units(5),
        until_ms: 1_800_000_000_000,
    };
    let quote = Signed::sign(quote, CHAIN, &key(1));
    let statement = Statement {
        session: Hash::of(b"session"),
        seq: 1,
        quote: quote.hash(),
        root: link(),
        bytes: 1 << 20,
        blocks: 1,
        height: 100,
        escrow: Some(Hash::of(b"escrow")),
    };
    let statement = Signed::sign(statement, CHAIN, &key(1));
    let offer_of = |vouched, seen| {
        ToClient::Offer(Offer {
            quote: quote.clone(),
            nonce: Hash::of(b"server"),
            vouched,
            ahead: false,
            seen,
        })
    };
    let offer = |vouched| offer_of(vouched, None);
    let seen = "198.51.100.7:4102".parse().map(Text).ok();
    let refuse = Refuse {
        code: Code::NoAllotment,
        reason: "allot more".to_owned(),
        retry_ms: 500,
        missing: Amount::from_units(7),
    };
    let cumulative = Amount::from_units(9);
    vec![
        ("offer", offer(None)),
        ("offer-vouched", offer(Some(voucher()))),
        ("offer-seen", offer_of(None, seen)),
        ("refuse", ToClient::Refuse(refuse)),
        (
            "block",
            ToClient::Block {
                cid: link(),
                bytes: 1 << 20,
            },
        ),
        ("absent", ToClient::Absent { cid: link() }),
        ("end", ToClient::End {}),
        ("statement", ToClient::Statement { statement }),
        ("due", ToClient::Due { cumulative }),
    ]
}

fn voucher() -> Signed<Voucher> {
    let voucher = Voucher {
        escrow: Hash::of(b"escrow"),
        payee: payee(),
        asset: None,
        cumulative: Amount::from_units(5),
        statement: Some(Hash::of(b"statement")),
    };
    Signed::sign(voucher, CHAIN, &key(2))
}

fn link() -> Link {
    let text = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    Link(text.parse().unwrap())
}

fn frame(message: &impl Serialize) -> Vec<u8> {
    try_frame(message).unwrap()
}

fn try_frame(message: &impl Serialize) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    wait(wire::write(&mut bytes, message)).map(|()| bytes)
}

fn read<T: Serialize + DeserializeOwned>(mut bytes: &[u8]) -> Result<T, WireError> {
    wait(wire::read(&mut bytes))
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}
