//! Signed messages: one meaning on one chain.

use ledger::{DecodeError, Message, Quote, Signed, decode, encode};
use serde::{Deserialize, Serialize};

use crate::paying::*;
use crate::world::*;

/// The same words as a quote, with another meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Advert(Quote);

impl Message for Advert {
    const DOMAIN: &'static str = "test/advert";
}

#[test]
fn a_signature_is_for_one_domain_chain_body_and_key() {
    let good = quote("0.5");
    assert!(good.verify(CHAIN) && !good.verify("other"));
    let Signed { body, key, sig } = good.clone();
    let advert = Advert(body);
    assert_eq!(encode(&advert), encode(&good.body));
    assert!(
        !Signed {
            body: advert,
            key,
            sig
        }
        .verify(CHAIN),
        "another domain"
    );
    let mut changed = good.clone();
    changed.body.until_ms += 1;
    assert!(!changed.verify(CHAIN) && changed.hash() != good.hash());
    let mut stolen = good.clone();
    stolen.key = node_key(2);
    assert!(!stolen.verify(CHAIN) && stolen.hash() != good.hash());
    assert_eq!(good.cid(), good.hash().cid());
}

#[test]
fn its_one_encoding_is_bounded_and_strict() {
    let good = quote("0.5");
    let bytes = good.encode();
    let max = bytes.len();
    assert_eq!(Signed::<Quote>::decode(&bytes, max).unwrap(), good);
    assert!(matches!(
        Signed::<Quote>::decode(&bytes, max - 1),
        Err(DecodeError::TooLarge { .. })
    ));
    assert!(decode::<Signed<ledger::Voucher>>(&bytes).is_err());
    let json = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<Signed<Quote>>(&json).unwrap(), good);
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1;
        let verdict = Signed::<Quote>::decode(&flipped, max);
        assert!(!verdict.is_ok_and(|quote| quote.verify(CHAIN)), "byte {place}");
    }
}
