//! The rows, byte for byte; and that a block and the debt for it are one write.

use ledger::{Link, Quote, Receipt, SecretKey, Statement};
use multihash_codetable::{Code, MultihashDigest};
use tempfile::TempDir;

use super::claims::Claim;
use super::receipts::ReceiptEntry;
use super::*;
use crate::codec;

/// One line for each row: its name, and its value in hex.
const FIXTURES: &str = include_str!("../../../tests/fixtures/books.txt");

#[test]
fn rows_have_this_form() {
    let terms = CreditTerms::default();
    let mut tab = Tab::new(&terms);
    tab.deliver(1 << 20, Amount::from_units(5));
    tab.honour(Amount::from_units(3), Amount::from_units(9), &terms)
        .unwrap();
    let voucher = Some(voucher());
    let mut purse = Purse::default();
    purse.receive(1 << 20, Amount::from_units(5));
    let claim = Claim {
        leaves: vec![Hash::of(b"receipt")],
        settled: false,
    };
    let count = Count::default();
    let count = count
        .add(1 << 20, Amount::from_units(5), Amount::from_units(5))
        .unwrap();
    let key = Pair::new(&Hash::of(b"escrow"), &key(8).address()).key();
    let rows = [
        ("pair", key),
        ("tab", ledger::encode(&TabEntry { tab, voucher })),
        ("purse", ledger::encode(&purse)),
        ("receipt", ledger::encode(&entry(1, Some(Hash::of(b"root"))))),
        ("claim", ledger::encode(&claim)),
        ("count", ledger::encode(&count)),
    ];
    let lines = rows
        .iter()
        .map(|(name, row)| format!("{name} {}\n", hex::encode(row)));
    let written: String = lines.collect();
    assert_eq!(written, FIXTURES, "the rows are now:\n{written}");
}

#[test]
fn counts_are_kept_and_end_where_the_money_does() {
    let (_folder, books) = books();
    let (escrow, payee, price) = (Hash::of(b"escrow"), key(8).address(), Amount::from_units(3));
    let most = Amount::from_units(4);
    let count = books.count(&escrow, &payee).unwrap();
    let count = count.add(1 << 20, price, most).unwrap();
    assert_eq!(count.add(1 << 20, price, most), None);
    let count = count.add((1 << 20) / 3, price, most).unwrap();
    assert_eq!(
        (count.earned.amount(), count.bytes),
        (most, (1 << 20) + (1 << 20) / 3)
    );
    books.keep_count(&escrow, &payee, &count).unwrap();
    assert_eq!(books.count(&escrow, &payee).unwrap(), count);
    assert_eq!(books.counts().unwrap(), [CountRow { escrow, payee, count }]);
}

#[test]
fn a_block_and_the_debt_for_it_are_kept_together() {
    let (_folder, books) = books();
    let (escrow, payee, price) = (Hash::of(b"escrow"), key(8).address(), Amount::from_units(5));
    let pair = Pair::new(&escrow, &payee);
    let block = vec![7; 1 << 20];
    let cid = Cid::new_v1(codec::RAW, Code::Sha2_256.digest(&block));
    let spending = Spending {
        purposes: &[Purpose::All, Purpose::Name("alice.ddn".to_owned())],
        now_ms: 5,
    };
    let wrong = books.received(&pair, &cid, b"wrong", price, &spending);
    assert!(matches!(wrong, Err(Error::Mismatch(_))));
    assert_eq!(books.purses().unwrap(), []);
    books.received(&pair, &cid, &block, price, &spending).unwrap();
    // Whoever sends it again is owed for it again.
    books.received(&pair, &cid, &block, price, &spending).unwrap();
    assert_eq!(books.0.store.get(&cid).unwrap().unwrap(), block);
    let mut spent = spending.purposes.iter();
    assert!(spent.all(|purpose| books.spent(purpose, 6).unwrap().units() == 10));
    assert!(books.spent(&Purpose::Payee(payee), 6).unwrap().is_zero());
    books.forget_spent(6).unwrap();
    assert_eq!(books.spent(&Purpose::All, 6).unwrap().units(), 10);
    books.forget_spent(24 * 3600 * 1000).unwrap();
    assert!(
        books.spent(&Purpose::All, 6).unwrap().is_zero(),
        "the day is over"
    );
    assert_eq!(books.purse(&pair).unwrap().due(), Amount::from_units(10));
    let voucher = books.voucher(&pair, None, Amount::ZERO).unwrap().unwrap();
    assert_eq!(voucher.cumulative, Amount::from_units(10));
    assert_eq!(books.voucher(&pair, None, Amount::ZERO).unwrap(), None);
    books.recall(&pair, Amount::from_units(12)).unwrap();
    let row = books.purses().unwrap().remove(0);
    assert_eq!(
        (row.escrow, row.payee, row.purse.signed),
        (escrow, payee, Amount::from_units(12))
    );
}

#[test]
fn what_is_split_is_apart_and_keeps_its_names() {
    let (_folder, books) = books();
    let pair = Pair::new(&Hash::of(b"escrow"), &key(8).address());
    let block = vec![7; 1 << 20];
    let cid = Cid::new_v1(codec::RAW, Code::Sha2_256.digest(&block));
    let split = pair.with_asset(Some(cid));
    let spending = Spending {
        purposes: &[],
        now_ms: 5,
    };
    for (pair, price) in [(pair, 5), (split, 7)] {
        let price = Amount::from_units(price);
        books.received(&pair, &cid, &block, price, &spending).unwrap();
        books
            .change_tab(&pair, &CreditTerms::default(), |entry| {
                entry.tab.deliver(1 << 20, price);
            })
            .unwrap();
    }
    let mut tabs: Vec<_> = books.tabs().unwrap();
    tabs.sort_by_key(|row| row.asset.is_some());
    let seen = |row: &TabRow| (row.payee, row.asset, row.account(), row.tab.due().units());
    let expected = [
        (pair.payee, None, pair.payee, 5),
        (pair.payee, Some(cid), split.account(), 7),
    ];
    assert_eq!(tabs.iter().map(seen).collect::<Vec<_>>(), expected);
    let mut purses = books.purses().unwrap();
    purses.sort_by_key(|row| row.asset.is_some());
    let seen = |row: &PurseRow| (row.payee, row.asset, row.account(), row.purse.due().units());
    assert_eq!(purses.iter().map(seen).collect::<Vec<_>>(), expected);
    let voucher = books.voucher(&split, None, Amount::ZERO).unwrap().unwrap();
    assert_eq!(
        (voucher.asset, voucher.account()),
        (Some(Link(cid)), split.account())
    );
}

#[test]
fn many_receipts_make_several_claims_and_each_is_in_one() {
    let (_folder, books) = books();
    let count = 600;
    for at in 1..=count {
        assert_eq!(
            books.write_receipt(None, entry(at, None).receipt, at).unwrap(),
            at
        );
    }
    let batch = books.stage_claim().unwrap().unwrap();
    assert_eq!(batch.leaves.len() as u64, count);
    let ids: Vec<Hash> = books
        .receipts(0, 1000)
        .unwrap()
        .iter()
        .map(|row| row.id)
        .collect();
    assert_eq!(batch.leaves, ids);
    // A receipt that is replaced is no longer found, nor is there a second one.
    let seq = books.write_receipt(None, entry(1001, None).receipt, 1).unwrap();
    let old = books.receipts(seq, 1).unwrap().remove(0).id;
    assert_eq!(
        books
            .write_receipt(Some(seq), entry(1002, None).receipt, 2)
            .unwrap(),
        seq
    );
    assert_eq!(books.receipt(&old).unwrap(), None);
    assert_eq!(books.stage_claim().unwrap().unwrap().leaves.len(), 1);
}

fn books() -> (TempDir, Books) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, Books::new(store))
}

fn entry(seq: u64, claim: Option<Hash>) -> ReceiptEntry {
    let quote = Quote {
        node: key(1).public(),
        payee: key(8).address(),
        price: Amount::from_units(5),
        until_ms: 1_800_000_000_000,
    };
    let quote = Signed::sign(quote, "dev", &key(1));
    let root = Cid::new_v1(codec::RAW, Code::Sha2_256.digest(b"root"));
    let statement = Statement {
        session: Hash::of(b"session"),
        seq,
        quote: quote.hash(),
        root: Link(root),
        bytes: 1 << 20,
        blocks: 1,
        height: 100,
        escrow: Some(Hash::of(b"escrow")),
    };
    let receipt = Receipt {
        quote,
        statement: Signed::sign(statement, "dev", &key(1)),
        voucher: Some(voucher()),
    };
    ReceiptEntry {
        receipt,
        time_ms: 1_700_000_000_000,
        claim,
    }
}

fn voucher() -> Signed<Voucher> {
    let voucher = Voucher {
        escrow: Hash::of(b"escrow"),
        payee: key(8).address(),
        asset: None,
        cumulative: Amount::from_units(3),
        statement: Some(Hash::of(b"statement")),
    };
    Signed::sign(voucher, "dev", &key(2))
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}
