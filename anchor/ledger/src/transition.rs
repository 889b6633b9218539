//! The state transition: what each transaction does, and when it is refused.
//!
//! A [`Transition`] executes the transactions of one block on top of a state that it only reads. It decides by the
//! genesis, the state, the height and the transaction, and by nothing else.
//!
//! Claims (names and assets) are made in two steps. A *commit* shows only a hash; the *reveal* follows some blocks later
//! and must fit a commit by the same sender. Of two claims to one thing, the older commit wins, even if its reveal
//! comes second, as long as it comes within its time. So nothing is gained by copying a claim that is on its way, nor by
//! holding it back for a block and putting one's own first: whoever copies has the younger commit. Whoever commits
//! blindly to a name, to take it from the next person who registers it, pays a fee for every `commit_ttl` blocks; the
//! presets make that dearer than the rent.

mod assets;
mod chains;
mod claims;
mod delegates;
mod edges;
mod escrows;
mod evidence;
mod fraud;
mod income;
mod money;
mod names;
mod overlay;
mod refusal;
mod rounds;
mod vouchers;

use std::collections::BTreeMap;

use crate::amount::Amount;
use crate::genesis::Genesis;
use crate::keys::Address;
use crate::state::{State, StateError};
use crate::tx::{Action, MAX_TX_BYTES, Tx};
use edges::Offer;
use escrows::Place;
use money::Bill;
use overlay::Overlay;

pub use delegates::MAX_CANDIDATES;
pub(crate) use delegates::check_engine;
pub use evidence::{Equivocation, SignedVote, Step};
pub use refusal::Refusal;
pub use rounds::reveal_tip;
pub(crate) use rounds::seed;

/// The execution of one block.
pub struct Transition<'a> {
    genesis: &'a Genesis,
    overlay: Overlay<'a>,
    height: u64,
    proposer: Address,
    fees: Amount,
    commits: Vec<Vec<u8>>,
}

impl<'a> Transition<'a> {
    /// Starts the block of `height` on the state after the block before it, made by `proposer`. Go on with
    /// [`Transition::open`].
    pub fn new(genesis: &'a Genesis, state: &'a dyn State, height: u64, proposer: Address) -> Self {
        let (fees, commits) = (Amount::ZERO, Vec::new());
        Self {
            genesis,
            overlay: Overlay::new(state),
            height,
            proposer,
            fees,
            commits,
        }
    }

    /// Executes one transaction.
    ///
    /// # Errors
    /// The rule that it breaks; then nothing has changed, and the next transaction can be tried.
    pub fn apply(&mut self, tx: &Tx) -> Result<(), Refusal> {
        check_form(self.genesis, tx)?;
        if !tx.verify_signature() {
            return Err(Refusal::Signature);
        }
        self.perform(tx)
    }

    /// As [`Transition::apply`], for a transaction whose signature is known to hold: see [`crate::first_forged`].
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn apply_verified(&mut self, tx: &Tx) -> Result<(), Refusal> {
        check_form(self.genesis, tx)?;
        self.perform(tx)
    }

    fn perform(&mut self, tx: &Tx) -> Result<(), Refusal> {
        let sender = tx.sender();
        let commits = self.commits.len();
        let fees = match self.execute(tx, &sender) {
            Ok(()) => self.fees.checked_add(tx.body.fee).ok_or_else(money::impossible),
            Err(refusal) => Err(refusal),
        };
        match fees {
            Ok(fees) => {
                self.fees = fees;
                self.overlay.keep();
                Ok(())
            }
            Err(refusal) => {
                self.commits.truncate(commits);
                self.overlay.discard();
                Err(refusal)
            }
        }
    }

    /// Ends the block: gives out what it brings, frees votes and bonds, removes old commits, and ends the round. Returns every entry
    /// that is now different, `None` for those that are gone.
    pub fn finish(mut self) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, StateError> {
        let ended = self
            .give_out()
            .and_then(|()| self.free_votes())
            .and_then(|()| self.free_bonds())
            .and_then(|()| self.end_round());
        ended.map_err(Refusal::into_state_error)?;
        self.sweep_commits()?;
        self.overlay.keep();
        self.overlay.into_changes()
    }

    /// What the transactions so far have changed, without what ends a block: for whoever asks which others would be
    /// taken after them.
    pub fn pending(self) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, StateError> {
        self.overlay.into_changes()
    }

    /// The height of the block that is executed.
    pub fn height(&self) -> u64 {
        self.height
    }

    fn execute(&mut self, tx: &Tx, sender: &Address) -> Result<(), Refusal> {
        let bill = Bill {
            fee: tx.body.fee,
            price: self.price(&tx.body.action)?,
        };
        self.take_nonce(sender, tx.body.nonce)?;
        self.bring_in(tx, sender)?;
        self.pay_fee(sender, bill)?;
        match &tx.body.action {
            Action::Faucet {} | Action::Claim { .. } | Action::EscrowClose { .. } => Ok(()),
            Action::Transfer { to, .. } => self.transfer(sender, to, bill),
            Action::Commit { hash } => self.commit(sender, hash),
            Action::NameRegister { label, records, .. } => {
                let committed = self.reveal(sender, &tx.body.action)?;
                self.register(sender, label, records, committed, bill)
            }
            Action::AssetAnchor { cid, meta, split, .. } => {
                let committed = self.reveal(sender, &tx.body.action)?;
                self.anchor(sender, cid, meta, split, committed)
            }
            Action::NameSet {
                label,
                under,
                records,
            } => self.set_records(sender, label, under, records),
            Action::NameRenew { label, periods } => self.renew(sender, label, *periods, bill),
            Action::NameTransfer { label, to } => self.transfer_name(sender, label, to),
            Action::NameRelease { label } => self.release(sender, label),
            Action::AssetSet { cid, meta } => self.set_asset(sender, cid, meta),
            Action::AssetTransfer { cid, to } => self.transfer_asset(sender, cid, to),
            Action::AssetLicense { cid, .. } => self.license(sender, cid, bill),
            Action::AssetTombstone { cid } => self.tombstone(sender, cid),
            Action::EscrowOpen { voucher_key, .. } => {
                self.open_escrow(sender, tx.body.nonce, voucher_key, bill)
            }
            Action::EscrowTopUp { escrow, .. } => self.top_up(sender, escrow, bill),
            Action::EscrowAllot {
                escrow,
                payee,
                amount,
                expires,
                metered,
            } => {
                let place = Place::of(escrow, payee, *metered);
                self.allot(sender, &place, *amount, *expires)
            }
            Action::EscrowExit { escrow } => self.exit_escrow(sender, escrow),
            Action::EdgeRegister {
                node,
                payout,
                price,
                capacity,
                traffic_max,
                consent,
                ..
            } => {
                let offer = Offer::new(*payout, *price, *capacity, *traffic_max)?;
                self.register_edge(sender, node, consent, offer, bill)
            }
            Action::EdgeSet {
                node,
                payout,
                price,
                capacity,
                traffic_max,
                ..
            } => {
                let offer = Offer::new(*payout, *price, *capacity, *traffic_max)?;
                self.set_edge(sender, node, offer, bill)
            }
            Action::EdgeLeave { node } => self.leave_edge(sender, node),
            Action::DelegateRegister { engine, tip, stake } => {
                self.register_delegate(&tx.key, engine, tip, *stake, bill)
            }
            Action::DelegateUpdate { engine, tip } => {
                self.update_delegate(sender, engine.as_deref(), tip.as_ref())
            }
            Action::DelegateResign {} => self.resign(sender),
            Action::DelegateReturn {} => self.return_delegate(sender),
            Action::Vote { delegate, .. } => self.vote(sender, delegate, bill),
            Action::Unvote { delegate, amount } => self.unvote(sender, delegate, *amount),
            Action::VoteCollect { .. } => Ok(()),
            Action::Evidence { found } => self.evidence(found),
            Action::ChainRegister {
                tld,
                prefix,
                checkpoint,
            } => self.register_chain(sender, tld, prefix, checkpoint, bill),
            Action::ChainAnchor { block } => self.anchor_header(block),
            Action::Fraud { proof } => self.fraud(sender, proof),
        }
    }

    /// What brings the sender coins comes before the fee, so that an empty account can ask for it.
    fn bring_in(&mut self, tx: &Tx, sender: &Address) -> Result<(), Refusal> {
        match &tx.body.action {
            Action::Faucet {} => self.draw(sender),
            Action::EscrowClose { escrow } => self.close_escrow(sender, escrow),
            Action::VoteCollect { delegate } => self.collect(sender, delegate),
            Action::Claim {
                vouchers,
                receipts,
                metered,
            } => self.claim(sender, vouchers, metered, receipts.as_ref()),
            _ => Ok(()),
        }
    }

    /// An address as users of this chain see it.
    fn show(&self, address: &Address) -> String {
        address.display(&self.genesis.prefix)
    }
}

/// What of a transaction needs no state, but for its signature.
///
/// # Errors
/// If it is for another chain, too large, of a kind that the chain does not allow, or its fee is too low.
pub fn check_form(genesis: &Genesis, tx: &Tx) -> Result<(), Refusal> {
    if tx.body.chain != genesis.chain_id {
        let (found, expected) = (tx.body.chain.clone(), genesis.chain_id.clone());
        return Err(Refusal::Chain { found, expected });
    }
    let bytes = tx.encode().len();
    if bytes > MAX_TX_BYTES {
        return Err(Refusal::TooLarge {
            bytes,
            max: MAX_TX_BYTES,
        });
    }
    let kind = tx.body.action.kind();
    if !genesis.allows(kind) {
        return Err(Refusal::NotAllowed { kind });
    }
    let least = genesis.fee_of(kind);
    if tx.body.fee < least {
        let fee = tx.body.fee;
        return Err(Refusal::Fee { fee, least });
    }
    Ok(())
}
