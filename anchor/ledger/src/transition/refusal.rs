//! Why a transaction is refused, in words for the person who sent it.

use crate::amount::Amount;
use crate::error::Error;
use crate::payment::VoucherError;
use crate::state::StateError;
use crate::tx::Kind;

/// Why a transaction was not executed. The text names the rule, the object, and what to do where that is not plain.
/// Accounts are in the chain's own address form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "every field is explained by the sentence that it stands in"
)]
pub enum Refusal {
    /// Signed for another chain.
    #[error("the transaction is for chain '{found}', this is '{expected}'")]
    Chain { found: String, expected: String },
    /// Larger than a transaction may be.
    #[error("the transaction has {bytes} bytes, at most {max} are allowed")]
    TooLarge { bytes: usize, max: usize },
    /// The genesis does not allow this kind.
    #[error("this chain allows no '{kind}' transactions")]
    NotAllowed { kind: Kind },
    /// The signature is not the key's over this body.
    #[error("the transaction's signature does not hold")]
    Signature,
    /// Not the sender's turn.
    #[error("nonce {found} of account {account}: its next one is {expected}")]
    Nonce {
        account: String,
        expected: u64,
        found: u64,
    },
    /// The fee is below the least one.
    #[error("a fee of {fee} coins is too low: this chain asks for {least}")]
    Fee { fee: Amount, least: Amount },
    /// Not enough coins.
    #[error("not enough coins: it costs {cost} with the fee, account {account} holds {balance}")]
    Balance {
        account: String,
        cost: Amount,
        balance: Amount,
    },
    /// A transfer of nothing.
    #[error("a transfer needs an amount above zero")]
    NothingToTransfer,
    /// The account holds as much as a draw gives.
    #[error(
        "account {account} holds {balance} coins: the faucet gives {amount} to accounts that hold less than that"
    )]
    FaucetNotNeeded {
        account: String,
        balance: Amount,
        amount: Amount,
    },
    /// The faucet's pool is used up.
    #[error("the faucet is empty: it holds {held} coins, a draw is {amount}")]
    FaucetEmpty { held: Amount, amount: Amount },
    /// The same commit is open already.
    #[error("the same commit was made at height {height} and is still open: reveal it")]
    CommitOpen { height: u64 },
    /// A reveal without the sender's commit.
    #[error(
        "{kind}: this account has no open commit for it: commit first, from the same account with the same secret"
    )]
    NoCommit { kind: Kind },
    /// A reveal before its time.
    #[error(
        "the commit is of height {committed}, so its reveal is valid from height {first} on: send it again then"
    )]
    RevealEarly { committed: u64, first: u64 },
    /// A reveal after its time.
    #[error("the commit of height {committed} ended at height {last}: commit again")]
    RevealLate { committed: u64, last: u64 },
    /// The genesis keeps the name from everybody.
    #[error("name {name} is reserved: nobody can register it on this chain, choose another one")]
    NameReserved { name: String },
    /// The name belongs to somebody.
    #[error("name {name} is taken: it belongs to {owner} until height {free_at} at least")]
    NameTaken {
        name: String,
        owner: String,
        free_at: u64,
    },
    /// Nobody has registered the name.
    #[error("name {name} is not registered")]
    NameUnknown { name: String },
    /// The name's term is over.
    #[error("name {name} expired at height {expires}: renew it before height {free_at}")]
    NameExpired {
        name: String,
        expires: u64,
        free_at: u64,
    },
    /// The name has too many records.
    #[error(
        "name {name} would have {names} names in {bytes} bytes, at most {max_names} in {max_bytes} are allowed"
    )]
    NameFull {
        name: String,
        names: usize,
        bytes: usize,
        max_names: usize,
        max_bytes: usize,
    },
    /// The new term is not possible.
    #[error(
        "name {name} is paid until height {expires}: {periods} periods of {period} blocks do not end by height \
         {latest}, the latest that is allowed, or are none"
    )]
    Term {
        name: String,
        periods: u32,
        expires: u64,
        latest: u64,
        period: u64,
    },
    /// Somebody else's name or asset.
    #[error("{object} belongs to {owner}, not to {sender}")]
    NotOwner {
        object: String,
        owner: String,
        sender: String,
    },
    /// A gift to oneself.
    #[error("{object} belongs to {owner} already")]
    OwnAlready { object: String, owner: String },
    /// The content is anchored.
    #[error("asset {cid} is anchored already: it belongs to {owner}, since height {height}")]
    AssetTaken { cid: String, owner: String, height: u64 },
    /// The content is not anchored.
    #[error("asset {cid} is not anchored")]
    AssetUnknown { cid: String },
    /// The owner has withdrawn the content.
    #[error("asset {cid} was withdrawn by its owner at height {height}")]
    AssetWithdrawn { cid: String, height: u64 },
    /// A field that is fixed for ever.
    #[error("the {field} of asset {cid} cannot change: leave it as it was when the content was anchored")]
    AssetFixed { cid: String, field: &'static str },
    /// No licence is sold.
    #[error("no licence of asset {cid} is sold: its owner asks no price")]
    LicenceNone { cid: String },
    /// Another price.
    #[error(
        "a licence of asset {cid} costs {price} coins now, not {offered}: ask again, and pay exactly that"
    )]
    LicencePrice {
        cid: String,
        price: Amount,
        offered: Amount,
    },
    /// A licence for the owner.
    #[error("asset {cid} belongs to {holder}, who needs no licence")]
    LicenceOwner { cid: String, holder: String },
    /// A second licence.
    #[error("{holder} holds a licence of asset {cid} already, since height {height}")]
    LicenceHeld {
        cid: String,
        holder: String,
        height: u64,
    },
    /// The content's CID is of a kind that is not anchored.
    #[error("{reason}")]
    Content { reason: String },
    /// An escrow or a top-up of nothing.
    #[error("an escrow needs an amount above zero")]
    NothingToEscrow,
    /// There is no such escrow, or no more.
    #[error("escrow {escrow} is not open")]
    EscrowUnknown { escrow: String },
    /// The payer has asked to leave.
    #[error("the payer of escrow {escrow} asked to leave at height {height}: open another one")]
    EscrowExiting { escrow: String, height: u64 },
    /// More would be set aside than there is.
    #[error(
        "escrow {escrow} can set aside {free} coins for {payee} at most, not {amount}: the rest is set aside for others, \
         top it up first"
    )]
    AllotTooMuch {
        escrow: String,
        payee: String,
        amount: Amount,
        free: Amount,
    },
    /// A payee would lose what is set aside for it.
    #[error(
        "escrow {escrow} has set aside {reserved} coins for {payee} until height {expires}: give at least as many for as \
         long, or wait"
    )]
    AllotShrunk {
        escrow: String,
        payee: String,
        reserved: Amount,
        expires: u64,
    },
    /// The time for which something is to be set aside is over, or too long.
    #[error("coins are set aside until a height from {first} to {last}, not {expires}")]
    AllotTerm { expires: u64, first: u64, last: u64 },
    /// A close without an exit.
    #[error("escrow {escrow} is in use: ask to exit first, it can be closed {delay} blocks later")]
    EscrowInUse { escrow: String, delay: u64 },
    /// A close before its time.
    #[error("escrow {escrow} can be closed from height {from} on: send it again then")]
    EscrowLocked { escrow: String, from: u64 },
    /// A claim of nothing.
    #[error("a claim needs a voucher, a count, or receipts")]
    ClaimEmpty,
    /// A claim with too many vouchers and counts.
    #[error("a claim of {vouchers} vouchers and counts is too long: at most {max} in one")]
    ClaimTooLong { vouchers: usize, max: usize },
    /// A voucher that does not hold.
    #[error("the voucher on escrow {escrow} is refused: {reason}")]
    Voucher { escrow: String, reason: VoucherError },
    /// A count that adds nothing.
    #[error("of the {counted} coins counted for escrow {escrow}, {paid} were paid already: count more first")]
    NothingCounted {
        escrow: String,
        counted: Amount,
        paid: Amount,
    },
    /// Vouchers or counts, but nothing left to pay them with.
    #[error(
        "nothing can be paid: the escrows hold no coins for this claim that are not set aside for others"
    )]
    NothingToClaim,
    /// Receipts that are none.
    #[error("a root of receipts needs a count of at least 1")]
    ReceiptsEmpty,
    /// The same receipts again.
    #[error("the receipts under {root} were claimed at height {height} already")]
    ReceiptsClaimed { root: String, height: u64 },
    /// The node is somebody else's edge, or the sender's already.
    #[error("node {node} is registered already, by {owner}")]
    EdgeTaken { node: String, owner: String },
    /// The node is no edge.
    #[error("node {node} is not registered")]
    EdgeUnknown { node: String },
    /// The node has not consented.
    #[error("node {node} has not consented to {owner}: its key must sign for this account")]
    EdgeConsent { node: String, owner: String },
    /// An edge that serves nothing.
    #[error("an edge needs a capacity of at least 1 request")]
    EdgeCapacity,
    /// Too small a bond.
    #[error("node {node} would have a bond of {bond} coins, at least {least} are needed")]
    EdgeBond {
        node: String,
        bond: Amount,
        least: Amount,
    },
    /// Somebody else's bond is still locked for the node.
    #[error("the bond of {owner} for node {node} is locked until height {until}: send it again then")]
    EdgeBonded { node: String, owner: String, until: u64 },
    /// The node has lied.
    #[error("node {node} was convicted of a lie at height {height}: it is out for ever")]
    EdgeConvicted { node: String, height: u64 },
    /// A proof of no lie.
    #[error("the proof convicts node {node} of nothing: {reason}")]
    FraudProvesNothing { node: String, reason: String },
    /// A reveal that does not fit the delegate's tip: the block is invalid.
    #[error("the reveal of delegate {delegate} is not what its tip was made of")]
    Reveal { delegate: String },
    /// Nobody registered with this account.
    #[error("{delegate} is no delegate: it must register first")]
    DelegateUnknown { delegate: String },
    /// It is registered already.
    #[error("{delegate} is a delegate already: update it, or resign first")]
    DelegateTaken { delegate: String },
    /// It has resigned.
    #[error("delegate {delegate} has resigned: it can register again")]
    DelegateResigned { delegate: String },
    /// It has signed two things.
    #[error("delegate {delegate} has signed two things at one height, and is out for ever")]
    DelegateTombstoned { delegate: String },
    /// A return from where it is not.
    #[error("delegate {delegate} is not in jail")]
    DelegateNotJailed { delegate: String },
    /// A return before its time.
    #[error(
        "delegate {delegate} is in jail until round {until_round}, this is round {round}: send it again then"
    )]
    DelegateJailed {
        delegate: String,
        round: u64,
        until_round: u64,
    },
    /// Too little of its own.
    #[error(
        "delegate {delegate} would have locked {own} coins for itself, at least {least} are needed: to take them back, resign first"
    )]
    OwnStake {
        delegate: String,
        own: Amount,
        least: Amount,
    },
    /// There are as many as there can be.
    #[error("there are {max} candidates, which is the limit: try again when one has resigned")]
    CandidatesFull { max: usize },
    /// An address of an engine that is none.
    #[error("the engine's address: {reason}")]
    Engine { reason: String },
    /// An update of nothing.
    #[error("an update names an engine's address, a tip, or both")]
    NothingToUpdate,
    /// Votes of nothing.
    #[error("votes need an amount above zero")]
    NothingToVote,
    /// More votes are taken back than there are.
    #[error(
        "{amount} coins cannot be taken back from delegate {delegate}: this account has locked {held} for it"
    )]
    VotesBeyond {
        delegate: String,
        amount: Amount,
        held: Amount,
    },
    /// Own votes are taken back too often.
    #[error("a delegate's own votes can become free at {max} heights at most: wait until some are")]
    LeavingFull { max: usize },
    /// Nothing to collect.
    #[error(
        "the votes of this account for delegate {delegate} have earned nothing since they were paid last"
    )]
    NothingEarned { delegate: String },
    /// Evidence of another time.
    #[error("the evidence is of height {height}, from {oldest} to {newest} it is taken")]
    EvidenceAge { height: u64, oldest: u64, newest: u64 },
    /// Evidence of nothing.
    #[error(
        "the evidence proves nothing against {delegate}: two different votes, in order, both signed by its key for this chain, are needed"
    )]
    EvidenceProvesNothing { delegate: String },
    /// An id or a prefix of a chain that is none.
    #[error("the chain to register: {reason}")]
    ChainForm { reason: String },
    /// The chain is this one, or followed already.
    #[error("chain '{chain}' is registered already, or is this one")]
    ChainTaken { chain: String },
    /// Another chain has the TLD.
    #[error("the TLD '{tld}' belongs to chain '{chain}': a TLD is one chain's for ever")]
    TldTaken { tld: String, chain: String },
    /// The genesis keeps the TLD from everybody.
    #[error("the TLD '{tld}' is reserved: no chain can have it")]
    TldReserved { tld: String },
    /// Nobody has registered the chain.
    #[error("chain '{chain}' is not registered")]
    ChainUnknown { chain: String },
    /// The other chain is broken.
    #[error("chain '{chain}' has signed two headers of height {height}: nothing of it is anchored any more")]
    ChainForked { chain: String, height: u64 },
    /// The header is anchored.
    #[error("height {height} of chain '{chain}' is anchored already, since height {at}")]
    AnchorKnown { chain: String, height: u64, at: u64 },
    /// The header is older than the newest.
    #[error("height {height} of chain '{chain}' is not newer than {newest}, which is anchored")]
    AnchorOld { chain: String, height: u64, newest: u64 },
    /// Records, description or name break a bound.
    #[error(transparent)]
    Form(#[from] Error),
    /// The state could not be read: not the transaction's fault. The node must stop.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Refusal {
    /// Whether the same transaction may pass in a later block: its turn or its time has yet to come.
    /// All other refusals hold until something else happens, so the sender should be told at once.
    pub fn may_pass_later(&self) -> bool {
        match self {
            Self::Nonce { expected, found, .. } => found > expected,
            Self::RevealEarly { .. } | Self::DelegateJailed { .. } => true,
            _ => false,
        }
    }

    /// Whether the node's own state failed, and no verdict was reached.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::State(_))
    }

    pub(super) fn into_state_error(self) -> StateError {
        match self {
            Self::State(error) => error,
            other => StateError(other.to_string()),
        }
    }
}
