//! The payer on a real chain of one seat, with the process killed at every point where it matters.

use std::net::Ipv4Addr;

use ledger::{Balance, COIN, Genesis, TxBody};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use super::*;

/// What goes into an escrow.
const AMOUNT: Amount = Amount::from_units(10 * COIN);
/// The fastest that a genesis allows.
const BLOCK_TIME_MS: u64 = 100;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// A chain on which the default wallet has 25 coins: two escrows, not three.
struct World {
    home: TempDir,
    chain: Chain,
    sender: Arc<Sender>,
    wallets: Wallets,
}

impl World {
    async fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let wallets = Wallets::open(home.path().join("wallet")).expect("made");
        let payer = wallets.key(wallets::DEFAULT).expect("read").expect("made");
        let mut genesis = Genesis::dev("dev-payer", 1, key(1).public());
        genesis.block_time_ms = BLOCK_TIME_MS;
        genesis.balances = vec![Balance {
            address: payer.address(),
            amount: Amount::from_units(25 * COIN),
        }];
        let config = chain::Config {
            dir: home.path().to_owned(),
            engine_listen: (Ipv4Addr::LOCALHOST, 0).into(),
            ..chain::Config::default()
        };
        let role = chain::Role::Delegate(key(1));
        let chain = Chain::start(genesis, role, config, &mut Registry::default())
            .await
            .expect("a chain");
        let sender = Arc::new(Sender::new(chain.clone()));
        Self {
            home,
            chain,
            sender,
            wallets,
        }
    }

    /// The payer as a process has it after a start.
    fn payer_of(&self, amount: Amount) -> WalletPayer {
        let (chain, sender, wallets) = (self.chain.clone(), Arc::clone(&self.sender), self.wallets.clone());
        WalletPayer::open(chain, sender, wallets, key(2), amount, self.path()).expect("readable")
    }

    fn payer(&self) -> WalletPayer {
        self.payer_of(AMOUNT)
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("escrow.json")
    }

    fn wallet(&self) -> SecretKey {
        self.wallets.key(wallets::DEFAULT).expect("read").expect("made")
    }

    fn opening(&self) -> Tx {
        let genesis = self.chain.genesis();
        let action = Action::EscrowOpen {
            voucher_key: key(2).public(),
            amount: AMOUNT,
        };
        let wallet = self.wallet();
        let body = TxBody {
            chain: genesis.chain_id.clone(),
            nonce: self.chain.next_nonce(&wallet.address()).expect("readable"),
            fee: genesis.fee,
            action,
        };
        Tx::sign(body, &wallet)
    }

    fn note_of(&self, tx: &Tx) -> Note {
        let id = escrow_id(&tx.body.chain, &tx.sender(), tx.body.nonce);
        Note::opening(id, tx.clone())
    }

    async fn send(&self, action: Action) {
        let sent = self.sender.send(&self.wallet(), action, |_| Ok(()));
        let tx = sent.expect("signed").expect("taken");
        self.sender.finality(&tx).await.expect("final");
    }

    /// Every escrow on the ledger.
    fn escrows(&self) -> Vec<Hash> {
        let view = self.chain.state();
        let entries = view.scan(ledger::key::ESCROWS).expect("readable");
        let id = |key: Vec<u8>| Hash(key[ledger::key::ESCROWS.len()..].try_into().expect("32 bytes"));
        entries.map(|entry| id(entry.expect("readable").0)).collect()
    }
}

async fn escrow(payer: &WalletPayer) -> Result<Hash, String> {
    payer.escrow(&key(3).address(), Amount::from_units(1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_escrow_is_opened_whatever_happens() {
    let world = World::new().await;
    // Killed after the transaction was sent, before it was final.
    let killed = world.payer();
    killed.work(Parts::send_open).await.expect("sent");
    let id = killed.parts.note().as_ref().expect("written down").escrow;
    assert_eq!(killed.current(), None);
    drop(killed);
    let payer = world.payer();
    assert_eq!(escrow(&payer).await, Ok(id));
    assert_eq!((world.escrows(), payer.current()), (vec![id], Some(id)));
    // Readers at once, and after a restart, use the same.
    let again = world.payer();
    let many = futures::future::join_all((0..8).map(|_| escrow(&again))).await;
    assert_eq!((many, world.escrows()), (vec![Ok(id); 8], vec![id]));
    // A folder that lost the note finds it on the ledger.
    crate::node::folder::remove(&world.path()).expect("removed");
    assert_eq!(
        (escrow(&world.payer()).await, world.escrows()),
        (Ok(id), vec![id])
    );
    // Its owner closes it: no other one takes its place by itself.
    world.send(Action::EscrowExit { escrow: id }).await;
    let closed =
        format!("the escrow {id} is closed or being closed: open another one with `ddn pay open COINS`");
    assert_eq!(escrow(&world.payer()).await, Err(closed));
    // One that its owner opens is taken up.
    let own = world.opening();
    let own_id = world.note_of(&own).escrow;
    world.send(own.body.action).await;
    assert_eq!(escrow(&payer).await, Ok(own_id));
    world.chain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_down_is_sent_unless_its_nonce_is_gone() {
    let world = World::new().await;
    // Killed after it was written down, before it was sent.
    let tx = world.opening();
    let note = world.note_of(&tx);
    note.write(&world.path()).expect("written");
    // Another transaction takes its nonce: the one that was written down can never come into a block.
    let to = key(3).address();
    let amount = Amount::from_units(1);
    world.send(Action::Transfer { to, amount }).await;
    let id = escrow(&world.payer()).await.expect("another one");
    assert_ne!(id, note.escrow);
    assert_eq!(world.escrows(), [id]);
    // The same again, with nothing in between.
    crate::node::folder::remove(&world.path()).expect("removed");
    world.send(Action::EscrowExit { escrow: id }).await;
    let note = world.note_of(&world.opening());
    note.write(&world.path()).expect("written");
    assert_eq!(escrow(&world.payer()).await, Ok(note.escrow));
    assert_eq!(world.escrows().len(), 2);
    world.chain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_costs_and_what_there_is_is_said() {
    let world = World::new().await;
    let none = world.payer_of(Amount::ZERO);
    let text = "there is no escrow, and delivery.escrow is 0: open one with `ddn pay open COINS`";
    assert_eq!(escrow(&none).await, Err(text.to_owned()));
    let genesis = world.chain.genesis();
    let rich = world.payer_of(Amount::from_units(30 * COIN));
    let cost = Amount::from_units(30 * COIN + genesis.fee.units());
    let address = world.wallet().address().display(&genesis.prefix);
    let text = format!(
        "an escrow of 30 coins costs {cost} coins with the fee, the wallet `default` ({address}) has 25: send coins to \
         it, or set delivery.escrow to less"
    );
    assert_eq!(escrow(&rich).await, Err(text));
    assert!(!world.path().exists(), "what was refused is not tried for ever");
    // A smaller one can be had, and allotted.
    let payer = world.payer();
    let id = escrow(&payer).await.expect("opened");
    let payee = key(3).address();
    let line = || {
        world
            .chain
            .state()
            .line(&id, &payee)
            .expect("readable")
            .unwrap_or_default()
    };
    let little = Amount::from_units(7);
    payer.allot(&id, &payee, little).await.expect("allotted");
    let share = Amount::from_units(AMOUNT.units() / ALLOTMENT_SHARE);
    assert_eq!(line().reserved, share);
    let much = Amount::from_units(5 * COIN);
    payer.allot(&id, &payee, much).await.expect("allotted");
    assert_eq!(line().reserved, share.checked_add(much).expect("fits"));
    let free = AMOUNT.checked_sub(line().reserved).expect("fits");
    let text = format!(
        "the escrow {id} has {free} coins that are not allotted, 5 more are needed: add some with `ddn pay top-up`"
    );
    assert_eq!(payer.allot(&id, &payee, much).await, Err(text));
    world.chain.shutdown().await;
}
