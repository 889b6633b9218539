//! Pays for deliveries: an escrow of the default wallet, vouchers by the node key.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chain::{Chain, Fate, SubmitError, View};
use cid::Cid;
use ledger::{
    Action, Address, Amount, Escrow, FraudProof, Hash, PublicKey, Refusal, SecretKey, Signed, State as _, Tx,
    Voucher, escrow_id,
};
use storage::ddp::Payer;

use super::escrow::{self, Facts, Next, Note};
use crate::node::error::{Error, chained};
use crate::node::sender::Sender;
use crate::node::wallets::{self, Wallets};

/// Steps to an escrow: send, adopt, use. More means that somebody closes it as fast as it is opened.
const STEPS_MAX: usize = 4;
/// What an allotment lasts at least, in milliseconds of block time: a payee claims within hours.
const ALLOTMENT_MS: u64 = 24 * 3600 * 1000;
/// The share of what is free that is allotted at once, if more is not needed: so that one payee takes few transactions
/// and several can be paid.
const ALLOTMENT_SHARE: u64 = 8;

/// The payer of a node. The coins come from the default wallet, the vouchers are signed with the node key, so a wallet
/// can be moved without the node's identity.
pub struct WalletPayer {
    parts: Arc<Parts>,
    /// Whoever sends a transaction of the escrow has it, so that nobody sends it twice.
    turn: tokio::sync::Mutex<()>,
}

/// What a payer works with.
pub struct Parts {
    /// The ledger.
    pub chain: Chain,
    /// From where transactions leave.
    pub sender: Arc<Sender>,
    /// Whose default wallet pays.
    pub wallets: Wallets,
    /// The key that signs vouchers.
    pub node_key: SecretKey,
    /// What goes into an escrow; nothing: none is opened.
    pub amount: Amount,
    /// Where the escrow is written down.
    pub path: PathBuf,
    /// What is written down there.
    pub note: Mutex<Option<Note>>,
}

impl WalletPayer {
    /// Reads what an earlier process wrote down.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn open(
        chain: Chain,
        sender: Arc<Sender>,
        wallets: Wallets,
        node_key: SecretKey,
        amount: Amount,
        path: PathBuf,
    ) -> Result<Self, Error> {
        let note = Mutex::new(Note::read(&path)?);
        let parts = Arc::new(Parts {
            chain,
            sender,
            wallets,
            node_key,
            amount,
            path,
            note,
        });
        Ok(Self {
            parts,
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// The escrow that is paid from, if there is one on the ledger.
    pub fn current(&self) -> Option<Hash> {
        let note = self.parts.note();
        note.as_ref()
            .filter(|note| note.tx.is_none())
            .map(|note| note.escrow)
    }

    /// The key that signs vouchers.
    pub fn voucher_key(&self) -> PublicKey {
        self.parts.node_key.public()
    }

    /// An escrow that can be paid from; opened if need be, which takes a block.
    async fn usable(&self) -> Result<Hash, String> {
        let _turn = self.turn.lock().await;
        for _ in 0..STEPS_MAX {
            let sent = match self.work(Parts::next).await? {
                Next::Use(escrow) => return Ok(escrow),
                Next::Adopt(escrow) => {
                    self.work(move |parts| parts.adopt(escrow)).await?;
                    return Ok(escrow);
                }
                Next::Closed(escrow) => return Err(closed(&escrow)),
                Next::Await(tx) => self.work(move |parts| parts.repeat(*tx)).await?,
                Next::Open => self.work(Parts::send_open).await?,
            };
            let final_at = self.parts.sender.finality(&sent).await;
            let height = final_at.map_err(|error| format!("no escrow could be opened: {error}"))?;
            tracing::info!(tx = %sent, height, "an escrow was opened to pay for deliveries");
        }
        Err("the escrow is closed as soon as it is opened".to_owned())
    }

    /// Work that reads the disk, on a thread for it.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Parts) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let parts = Arc::clone(&self.parts);
        let joined = tokio::task::spawn_blocking(move || work(&parts)).await;
        joined.map_err(|error| format!("the payer broke down: {error}"))?
    }
}

#[async_trait]
impl Payer for WalletPayer {
    async fn escrow(&self, _payee: &Address, _price: Amount) -> Result<Hash, String> {
        if let Some(escrow) = self.work(|parts| parts.in_use()).await? {
            return Ok(escrow);
        }
        self.usable().await
    }

    async fn is_split(&self, root: &Cid) -> Result<bool, String> {
        let root = *root;
        self.work(move |parts| {
            let asset = parts
                .chain
                .state()
                .asset(&root)
                .map_err(|error| chained(&error))?;
            Ok(asset.is_some_and(|asset| !asset.split.is_empty()))
        })
        .await
    }

    fn sign(&self, voucher: Voucher) -> Signed<Voucher> {
        let chain_id = &self.parts.chain.genesis().chain_id;
        Signed::sign(voucher, chain_id, &self.parts.node_key)
    }

    async fn allot(&self, escrow: &Hash, payee: &Address, amount: Amount) -> Result<(), String> {
        let (escrow, payee) = (*escrow, *payee);
        let before = self.work(move |parts| parts.reserved(&escrow, &payee)).await?;
        let _turn = self.turn.lock().await;
        // Somebody else may have done it while this one waited.
        let wanted = before.checked_add(amount).unwrap_or(amount);
        let sent = self
            .work(move |parts| parts.send_allotment(&escrow, &payee, wanted))
            .await?;
        let Some(sent) = sent else { return Ok(()) };
        let final_at = self.parts.sender.finality(&sent).await;
        final_at
            .map(|height| tracing::info!(tx = %sent, height, "coins were allotted to a payee"))
            .map_err(|error| format!("no coins could be allotted: {error}"))
    }

    fn convict(&self, proof: FraudProof) {
        let parts = Arc::clone(&self.parts);
        tokio::task::spawn_blocking(move || match parts.send_proof(&proof) {
            Ok(tx) => tracing::warn!(node = %proof.node(), %tx, "a node signed a lie: the ledger is shown"),
            Err(refused) => tracing::warn!(node = %proof.node(), %refused, "a node signed a lie"),
        });
    }
}

impl Parts {
    /// Shows a lie to the ledger, in the name of the default wallet.
    fn send_proof(&self, proof: &FraudProof) -> Result<Cid, String> {
        let proof = Box::new(proof.clone());
        let sent = self
            .sender
            .send(&self.payer()?, Action::Fraud { proof }, |_| Ok(()));
        sent.map_err(|error| chained(&error))?
            .map_err(|refused| refused.to_string())
    }

    /// The escrow that is written down, if it can be used as it is.
    fn in_use(&self) -> Result<Option<Hash>, String> {
        let Some(note) = self.note().clone().filter(|note| note.tx.is_none()) else {
            return Ok(None);
        };
        let entry = read(self.chain.state().escrow(&note.escrow))?;
        Ok(entry.filter(|entry| entry.exit.is_none()).map(|_| note.escrow))
    }

    fn next(&self) -> Result<Next, String> {
        let note = self.note().clone();
        let payer = self.payer()?.address();
        // The fate before the state: what is in a block by now must be in the state too.
        let fate = match note.as_ref().and_then(|note| note.tx.as_ref()) {
            Some(tx) => self.chain.fate(&tx.cid()).map_err(|error| chained(&error))?,
            None => Fate::Unknown,
        };
        let view = self.chain.state();
        let entry = match &note {
            Some(note) => read(view.escrow(&note.escrow))?,
            None => None,
        };
        let nonce = view.account(&payer).map_err(|error| chained(&error))?.nonce;
        let other = self.other(&view, &payer)?;
        let facts = Facts {
            entry,
            fate,
            nonce,
            other,
        };
        Ok(escrow::next(note.as_ref(), &facts))
    }

    /// An escrow that somebody opened for this node, for example by `ddn pay open`.
    fn other(&self, view: &View, payer: &Address) -> Result<Option<Hash>, String> {
        let mut best: Option<(Amount, Hash)> = None;
        let prefix = ledger::key::ESCROWS;
        for entry in view.scan(prefix).map_err(|error| chained(&error))? {
            let (key, value) = entry.map_err(|error| chained(&error))?;
            let id = key
                .get(prefix.len()..)
                .and_then(|id| <[u8; 32]>::try_from(id).ok());
            let entry: Escrow = ledger::decode(&value).map_err(|error| error.to_string())?;
            let ours = entry.payer == *payer && entry.voucher_key == self.node_key.public();
            if let Some(id) = id.filter(|_| ours && entry.exit.is_none()) {
                best = best.max(Some((entry.balance, Hash(id))));
            }
        }
        Ok(best.map(|(_, id)| id))
    }

    fn adopt(&self, escrow: Hash) -> Result<(), String> {
        self.keep(Note::opened(escrow)).map_err(|error| chained(&error))
    }

    /// Makes the transaction, writes it down, and submits it, in this order.
    fn send_open(&self) -> Result<Cid, String> {
        if self.amount.is_zero() {
            return Err(
                "there is no escrow, and delivery.escrow is 0: open one with `ddn pay open COINS`".to_owned(),
            );
        }
        let action = Action::EscrowOpen {
            voucher_key: self.node_key.public(),
            amount: self.amount,
        };
        let payer = self.payer()?;
        let sent = self.sender.send(&payer, action, |tx| self.write_down(tx));
        match sent.map_err(|error| chained(&error))? {
            Ok(tx) => Ok(tx),
            Err(refused) => Err(self.refused(&refused)),
        }
    }

    fn write_down(&self, tx: &Tx) -> Result<(), Error> {
        let escrow = escrow_id(&tx.body.chain, &tx.sender(), tx.body.nonce);
        self.keep(Note::opening(escrow, tx.clone()))
    }

    fn repeat(&self, tx: Tx) -> Result<Cid, String> {
        self.chain.submit(tx).map_err(|refused| self.refused(&refused))
    }

    /// What a refusal means: a transaction that the ledger refuses now is not tried for ever, since the wallet or the
    /// settings may change. One with a used nonce stays written down: it may be in a block that is not here yet.
    fn refused(&self, refused: &SubmitError) -> String {
        let SubmitError::Refused(refusal) = refused else {
            return format!("no escrow could be opened: {refused}");
        };
        if !matches!(refusal, Refusal::Nonce { .. })
            && let Err(error) = self.forget()
        {
            tracing::error!(%error, "the escrow that was not opened stays written down");
        }
        match refusal {
            Refusal::Balance { .. } => self.too_poor(),
            _ => format!("no escrow could be opened: {refusal}"),
        }
    }

    /// What it costs, and what there is.
    fn too_poor(&self) -> String {
        let genesis = self.chain.genesis();
        let cost = self.amount.checked_add(genesis.fee).unwrap_or(self.amount);
        let payer = self
            .payer()
            .map(|key| key.address())
            .unwrap_or(Address::from_bytes([0; 20]));
        let balance = self.chain.state().account(&payer).unwrap_or_default().balance;
        format!(
            "an escrow of {} coins costs {cost} coins with the fee, the wallet `{}` ({}) has {balance}: send coins to \
             it, or set delivery.escrow to less",
            self.amount,
            wallets::DEFAULT,
            payer.display(&genesis.prefix),
        )
    }

    fn reserved(&self, escrow: &Hash, payee: &Address) -> Result<Amount, String> {
        let view = self.chain.state();
        let line = read(view.line(escrow, payee))?;
        Ok(line
            .map(|line| line.reserve_at(view.tip().height))
            .unwrap_or_default())
    }

    /// Sets aside `wanted` coins or, if that is more, a share of what is free; nothing is sent if they are set aside
    /// already.
    fn send_allotment(&self, escrow: &Hash, payee: &Address, wanted: Amount) -> Result<Option<Cid>, String> {
        let reserved = self.reserved(escrow, payee)?;
        let Some(missing) = wanted.checked_sub(reserved).filter(|missing| !missing.is_zero()) else {
            return Ok(None);
        };
        let view = self.chain.state();
        let entry = read(view.escrow(escrow))?.ok_or_else(|| closed(escrow))?;
        let line = read(view.line(escrow, payee))?;
        let free = entry.free_for(line.as_ref(), view.tip().height);
        if missing > free {
            return Err(format!(
                "the escrow {escrow} has {free} coins that are not allotted, {missing} more are needed: add some with `ddn \
                 pay top-up`"
            ));
        }
        let share = Amount::from_units(free.units() / ALLOTMENT_SHARE);
        let amount = reserved.checked_add(missing.max(share)).unwrap_or(wanted);
        let blocks = ALLOTMENT_MS / self.chain.genesis().block_time_ms.max(1);
        let action = Action::EscrowAllot {
            escrow: *escrow,
            payee: *payee,
            amount,
            expires: view.tip().height + blocks.max(1),
            metered: false,
        };
        let sent = self.sender.send(&self.payer()?, action, |_| Ok(()));
        match sent.map_err(|error| chained(&error))? {
            Ok(tx) => Ok(Some(tx)),
            Err(refused) => Err(format!("no coins could be allotted: {refused}")),
        }
    }

    fn payer(&self) -> Result<SecretKey, String> {
        let key = self
            .wallets
            .key(wallets::DEFAULT)
            .map_err(|error| chained(&error))?;
        key.ok_or_else(|| format!("the key of the wallet `{}` is gone: restore it", wallets::DEFAULT))
    }

    /// On the disk first, then in memory.
    fn keep(&self, note: Note) -> Result<(), Error> {
        note.write(&self.path)?;
        *self.note() = Some(note);
        Ok(())
    }

    fn forget(&self) -> Result<(), Error> {
        crate::node::folder::remove(&self.path)?;
        *self.note() = None;
        Ok(())
    }

    fn note(&self) -> MutexGuard<'_, Option<Note>> {
        // It is replaced as a whole.
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<T>(entry: Result<T, ledger::StateError>) -> Result<T, String> {
    entry.map_err(|error| format!("the ledger's state cannot be read: {}", error.0))
}

fn closed(escrow: &Hash) -> String {
    format!("the escrow {escrow} is closed or being closed: open another one with `ddn pay open COINS`")
}

#[cfg(test)]
mod tests;
