//! What tests about payment are made of: account `n` pays with the voucher key `100 + n`, node `n` has key `150 + n`.

use ledger::{
    Action, Address, Amount, Escrow, Hash, Line, Metered, PublicKey, Quote, Receipt, Receipts, SecretKey,
    SessionTerms, Signed, State, Statement, Voucher, escrow_id,
};

use crate::world::*;

pub fn voucher_key(payer: u8) -> SecretKey {
    who(100 + payer)
}

pub fn node(n: u8) -> SecretKey {
    who(150 + n)
}

pub fn node_key(n: u8) -> PublicKey {
    node(n).public()
}

/// A voucher by `payer` for account `payee`.
pub fn voucher(escrow: Hash, payer: u8, payee: u8, cumulative: Amount) -> Signed<Voucher> {
    let body = Voucher {
        escrow,
        payee: at(payee),
        asset: None,
        cumulative,
        statement: None,
    };
    Signed::sign(body, CHAIN, &voucher_key(payer))
}

/// The same, for deliveries of an asset.
pub fn voucher_for(asset: &str, escrow: Hash, payer: u8, payee: u8, cumulative: Amount) -> Signed<Voucher> {
    let body = Voucher {
        asset: Some(content(asset)),
        ..voucher(escrow, payer, payee, cumulative).body
    };
    Signed::sign(body, CHAIN, &voucher_key(payer))
}

pub fn claim_of(vouchers: Vec<Signed<Voucher>>) -> Action {
    Action::Claim {
        vouchers,
        receipts: None,
        metered: vec![],
    }
}

pub fn claim_with(vouchers: Vec<Signed<Voucher>>, root: Hash, count: u64) -> Action {
    Action::Claim {
        vouchers,
        receipts: Some(Receipts { root, count }),
        metered: vec![],
    }
}

/// A claim of what was counted.
pub fn claim_counted(escrow: Hash, cumulative: Amount) -> Action {
    Action::Claim {
        vouchers: vec![],
        receipts: None,
        metered: vec![Metered { escrow, cumulative }],
    }
}

/// The id of the escrow that an account's next transaction opens.
pub fn next_escrow(world: &World, payer: u8) -> Hash {
    escrow_id(CHAIN, &at(payer), world.account(payer).nonce)
}

pub fn open_action(payer: u8, amount: &str) -> Action {
    Action::EscrowOpen {
        voucher_key: voucher_key(payer).public(),
        amount: coins(amount),
    }
}

/// Opens an escrow.
pub fn open(world: &mut World, payer: u8, amount: &str) -> Hash {
    let id = next_escrow(world, payer);
    world.pass(payer, open_action(payer, amount));
    id
}

pub fn allot(escrow: Hash, payee: u8, amount: &str, expires: u64) -> Action {
    Action::EscrowAllot {
        escrow,
        payee: at(payee),
        amount: coins(amount),
        expires,
        metered: false,
    }
}

/// Sets coins aside for what a payee counts by itself.
pub fn allot_metered(escrow: Hash, payee: u8, amount: &str, expires: u64) -> Action {
    Action::EscrowAllot {
        escrow,
        payee: at(payee),
        amount: coins(amount),
        expires,
        metered: true,
    }
}

pub fn escrow_at(world: &World, id: &Hash) -> Option<Escrow> {
    world.state.escrow(id).unwrap()
}

pub fn line_at(world: &World, id: &Hash, payee: u8) -> Option<Line> {
    world.state.line(id, &at(payee)).unwrap()
}

pub fn meter_at(world: &World, id: &Hash, payee: u8) -> Option<Line> {
    world.state.meter(id, &at(payee)).unwrap()
}

/// A quote of node 1, for account 2.
pub fn quote(price: &str) -> Signed<Quote> {
    let body = Quote {
        node: node_key(1),
        payee: at(2),
        price: coins(price),
        until_ms: TIME_MS + 60_000,
    };
    Signed::sign(body, CHAIN, &node(1))
}

pub fn session(quote: &Signed<Quote>) -> SessionTerms {
    SessionTerms {
        client: node_key(2),
        server: node_key(1),
        quote: quote.hash(),
        client_nonce: secret(1),
        server_nonce: secret(2),
    }
}

pub fn statement(quote: &Signed<Quote>, seq: u64, escrow: Option<Hash>) -> Signed<Statement> {
    let body = Statement {
        session: session(quote).id(),
        seq,
        quote: quote.hash(),
        root: content("site"),
        bytes: seq << 20,
        blocks: seq,
        height: 7,
        escrow,
    };
    Signed::sign(body, CHAIN, &node(1))
}

/// Number `seq` of the receipts of node 1 for deliveries that account 1 paid for.
pub fn receipt(escrow: Hash, seq: u64) -> Receipt {
    let quote = quote("0.5");
    let statement = statement(&quote, seq, Some(escrow));
    let body = Voucher {
        escrow,
        payee: at(2),
        asset: None,
        cumulative: coins("0.5").checked_mul(seq).unwrap(),
        statement: Some(statement.hash()),
    };
    let voucher = Some(Signed::sign(body, CHAIN, &voucher_key(1)));
    Receipt {
        quote,
        statement,
        voucher,
    }
}

pub fn show(address: Address) -> String {
    address.display("dev")
}
