//! A small chain for tests: short periods, numbered accounts, and an audit after every block.

use std::collections::BTreeMap;

use ledger::{
    Account, Action, Address, Amount, Asset, AssetMeta, Genesis, Hash, Label, Link, MemoryState, NameEntry,
    Records, Refusal, SecretKey, Share, Split, State, Tag, Transition, Tx, TxBody, audit, cid_of,
};

pub const CHAIN: &str = "test";
pub const TIME_MS: u64 = 1_700_000_000_000;
pub const PERIOD: u64 = 100;
pub const GRACE: u64 = 20;
pub const FALL: u64 = 40;
pub const PREMIUM: u64 = 4;
pub const TTL: u64 = 10;
pub const EXIT_DELAY: u64 = 5;

/// Account number `n`.
pub fn who(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

/// Account number `n`, by address.
pub fn at(n: u8) -> Address {
    who(n).address()
}

/// The delegate's account, which gets all fees.
pub const DELEGATE: u8 = 200;

pub fn coins(text: &str) -> Amount {
    Amount::parse_coins(text).unwrap()
}

pub fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

/// The CID of some content.
pub fn content(text: &str) -> Link {
    Link(cid_of(text.as_bytes()))
}

pub fn secret(n: u8) -> Hash {
    Hash([n; 32])
}

pub fn genesis() -> Genesis {
    let mut genesis = Genesis::dev(CHAIN, TIME_MS, who(DELEGATE).public());
    genesis.rent.period = PERIOD;
    genesis.rent.grace = GRACE;
    genesis.rent.max_periods = 3;
    genesis.rent.fall = FALL;
    genesis.rent.premium = PREMIUM;
    genesis.commit_ttl = TTL;
    genesis.escrow_exit_delay = EXIT_DELAY;
    genesis.validate().unwrap();
    genesis
}

pub fn register(name: &str, number: u8) -> Action {
    let records = Records::to_content(content(name));
    Action::NameRegister {
        label: label(name),
        secret: secret(number),
        records,
    }
}

pub fn anchor(text: &str, number: u8) -> Action {
    Action::AssetAnchor {
        cid: content(text),
        secret: secret(number),
        meta: Default::default(),
        split: Default::default(),
    }
}

/// An asset that says something about itself.
pub fn anchor_as(text: &str, number: u8, meta: AssetMeta) -> Action {
    Action::AssetAnchor {
        cid: content(text),
        secret: secret(number),
        meta,
        split: Default::default(),
    }
}

pub fn tags<const N: usize>(words: [&str; N]) -> Vec<Tag> {
    words.map(|word| word.parse().unwrap()).into()
}

/// An asset whose deliveries are split; `None` is its owner.
pub fn anchor_split(text: &str, number: u8, shares: &[(Option<u8>, u16)]) -> Action {
    Action::AssetAnchor {
        cid: content(text),
        secret: secret(number),
        meta: Default::default(),
        split: split_of(shares),
    }
}

pub fn split_of(shares: &[(Option<u8>, u16)]) -> Split {
    let share = |(to, points): &(Option<u8>, u16)| Share {
        to: to.map(at),
        points: *points,
    };
    Split(shares.iter().map(share).collect())
}

/// The commit of a reveal by an account.
pub fn commit(by: u8, reveal: &Action) -> Action {
    Action::Commit {
        hash: reveal.commitment(CHAIN, &at(by)).unwrap(),
    }
}

pub struct World {
    pub genesis: Genesis,
    pub state: MemoryState,
    /// Of the last block.
    pub height: u64,
}

impl World {
    /// A chain on which accounts 1 to 4 have drawn from the faucet.
    pub fn new() -> Self {
        let mut world = Self::of(genesis());
        world.block(vec![
            (1, Action::Faucet {}),
            (2, Action::Faucet {}),
            (3, Action::Faucet {}),
            (4, Action::Faucet {}),
        ]);
        world
    }

    /// A chain before its first block.
    pub fn of(genesis: Genesis) -> Self {
        let state = MemoryState(genesis.initial_state().unwrap().into_iter().collect());
        Self {
            genesis,
            state,
            height: 0,
        }
    }

    /// Executes a block. Each account's nonces follow from what passed.
    pub fn block(&mut self, steps: Vec<(u8, Action)>) -> Vec<Result<(), Refusal>> {
        self.height += 1;
        let mut nonces = BTreeMap::new();
        let mut transition = Transition::new(&self.genesis, &self.state, self.height, at(DELEGATE));
        let mut results = Vec::new();
        for (by, action) in steps {
            let nonce = nonces
                .entry(by)
                .or_insert_with(|| self.state.account(&at(by)).unwrap().nonce);
            let tx = sign(by, *nonce, self.genesis.fee, action);
            let result = transition.apply(&tx);
            *nonce += u64::from(result.is_ok());
            results.push(result);
        }
        let changes = transition.finish().unwrap();
        self.state.write(changes);
        self.check();
        results
    }

    /// A block of one transaction, which must pass.
    pub fn pass(&mut self, by: u8, action: Action) {
        self.block(vec![(by, action)]).remove(0).unwrap();
    }

    /// A block of one transaction, which must be refused; it changes no more than an empty block would.
    pub fn refused(&mut self, by: u8, action: Action) -> Refusal {
        let (genesis, state) = (self.genesis.clone(), self.state.clone());
        let mut without = Self {
            genesis,
            state,
            height: self.height,
        };
        without.block(vec![]);
        let refusal = self.block(vec![(by, action)]).remove(0).unwrap_err();
        assert!(
            self.state == without.state,
            "a refused transaction left something behind"
        );
        refusal
    }

    /// Commit and reveal, one block apart.
    pub fn claim(&mut self, by: u8, reveal: Action) {
        self.pass(by, commit(by, &reveal));
        self.pass(by, reveal);
    }

    /// Empty blocks up to a height.
    pub fn skip_to(&mut self, height: u64) {
        while self.height < height {
            self.block(vec![]);
        }
    }

    pub fn balance(&self, of: u8) -> Amount {
        self.account(of).balance
    }

    pub fn account(&self, of: u8) -> Account {
        self.state.account(&at(of)).unwrap()
    }

    pub fn name(&self, name: &str) -> Option<NameEntry> {
        self.state.name(&label(name)).unwrap()
    }

    pub fn asset(&self, text: &str) -> Option<Asset> {
        self.state.asset(&content(text).0).unwrap()
    }

    /// Conservation.
    fn check(&self) {
        let audit = audit(self.state.0.clone(), &self.genesis).unwrap();
        assert!(audit.holds(), "{audit:?} at height {}", self.height);
    }
}

pub fn sign(by: u8, nonce: u64, fee: Amount, action: Action) -> Tx {
    Tx::sign(
        TxBody {
            chain: CHAIN.into(),
            nonce,
            fee,
            action,
        },
        &who(by),
    )
}
