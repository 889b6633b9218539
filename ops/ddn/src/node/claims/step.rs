//! What a job does next: a pure function of the job and of what the chain says.
//!
//! The chain's state decides, not what the job remembers of its own doings: a claim that is final is final, even if
//! the node died before it could write that down. What was sent matters only to say whether to wait for it, to send the
//! very same again, or to make another one because it can never come into a block any more. So there are never two
//! claims that could both come into a block.

use chain::Fate;
use ledger::{Account, Action, Address, Asset, CommitEntry, Genesis, Hash, Link, NameEntry};

use super::job::{Content, Naming, SENDS_MAX, Sent, Track, Wish};

/// What the chain says, as far as one track asks.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The rules.
    pub genesis: &'a Genesis,
    /// Height of the tip. What is sent now can be in the block after it.
    pub height: u64,
    /// The account that sends.
    pub owner: Address,
    /// What it has and has sent.
    pub account: Account,
    /// What became of the transaction that the track sent last; [`Fate::Unknown`] if it sent none.
    pub fate: Fate,
    /// The open commit of the track's claim.
    pub commit: Option<CommitEntry>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing until the next block.
    Wait,
    /// Write this down and ask again.
    Become(Track),
    /// Make a transaction of this, write it down, submit it.
    Send(Action),
    /// Submit the transaction that was written down once more.
    Repeat,
    /// Give up.
    Fail(Failure),
}

/// Why a job cannot come to its end. `code` is for programs, `message` for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As in [`crate::api::types::ErrorText`].
    pub code: &'static str,
    /// One line.
    pub message: String,
}

impl Failure {
    /// With a code and a line.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Who holds what a track wants, as far as it matters.
enum Standing {
    /// Nobody, or somebody whose commit is younger than ours, so that our claim comes before theirs.
    Free,
    /// We do, and it is as it should be.
    Met,
    /// We do, and it says something else.
    Ours,
    /// Somebody else.
    Taken { owner: Address },
}

/// What the track of an asset does next.
pub fn asset(track: &Track, content: &Content, entry: Option<&Asset>, facts: &Facts<'_>) -> Next {
    if let Some(next) = after_sending(track, facts) {
        return next;
    }
    let standing = match entry {
        None => Standing::Free,
        Some(asset) if asset.owner == facts.owner => Standing::Met,
        Some(asset) if is_ours_by_age(track, facts, asset.committed) => Standing::Free,
        Some(asset) => Standing::Taken { owner: asset.owner },
    };
    match standing {
        Standing::Met | Standing::Ours => done(track, facts, None),
        Standing::Taken { owner } => {
            let owner = owner.display(&facts.genesis.prefix);
            done(
                track,
                facts,
                Some(format!(
                    "the content {} is anchored already, it belongs to {owner}",
                    content.root
                )),
            )
        }
        Standing::Free => claim(track, facts, |secret| anchor(content, secret)),
    }
}

/// What the track of a name does next.
pub fn name(track: &Track, naming: &Naming, entry: Option<&NameEntry>, facts: &Facts<'_>) -> Next {
    if let Some(next) = after_sending(track, facts) {
        return next;
    }
    match standing_of_name(track, naming, entry, facts) {
        Standing::Met => done(track, facts, None),
        Standing::Ours => match (&naming.wish, track) {
            (Wish::New(_), _) => Next::Fail(taken(naming, "you", "set its records instead")),
            (Wish::Content(_), Track::Set { .. }) => {
                let held = entry.map(|entry| entry.records.clone()).unwrap_or_default();
                let records = naming.records(&held);
                let (label, under) = (naming.label.clone(), naming.under.clone());
                send(
                    track,
                    facts,
                    Action::NameSet {
                        label,
                        under,
                        records,
                    },
                )
            }
            (Wish::Content(_), _) => Next::Become(Track::Set {
                sent: Sent::default(),
            }),
        },
        Standing::Taken { owner } => {
            let owner = owner.display(&facts.genesis.prefix);
            Next::Fail(taken(naming, &owner, "choose another one"))
        }
        Standing::Free if !naming.under.is_empty() => Next::Fail(unregistered(naming, facts)),
        Standing::Free => claim(track, facts, |secret| register(naming, secret)),
    }
}

fn standing_of_name(
    track: &Track,
    naming: &Naming,
    entry: Option<&NameEntry>,
    facts: &Facts<'_>,
) -> Standing {
    let next = facts.height + 1;
    let grace = facts.genesis.rent.grace;
    match entry.filter(|entry| next < entry.free_at(grace)) {
        None => Standing::Free,
        Some(entry) if entry.owner == facts.owner && naming.is_met_by(entry) && !is_new(naming) => {
            Standing::Met
        }
        Some(entry) if entry.owner == facts.owner => Standing::Ours,
        Some(entry) if is_ours_by_age(track, facts, entry.committed) => Standing::Free,
        Some(entry) => Standing::Taken { owner: entry.owner },
    }
}

/// A wish for a new name is met by our own registration only, and that is seen by the fate of what we sent.
fn is_new(naming: &Naming) -> bool {
    matches!(naming.wish, Wish::New(_))
}

/// The ledger's rule: of two claims the older commit wins, even if its claim comes second.
fn is_ours_by_age(track: &Track, facts: &Facts<'_>, committed: u64) -> bool {
    matches!(track, Track::Claim { .. }) && facts.commit.as_ref().is_some_and(|ours| ours.height < committed)
}

/// What follows from the fate of the transaction that was sent last; nothing if that leaves the choice open.
fn after_sending(track: &Track, facts: &Facts<'_>) -> Option<Next> {
    if track.is_done() {
        return Some(Next::Wait);
    }
    let tx = track.tx()?;
    match facts.fate {
        Fate::Included { height } => Some(Next::Become(advanced(track, Link(tx.cid()), height))),
        Fate::Pending { .. } => Some(Next::Wait),
        Fate::Unknown | Fate::Refused { .. } => None,
    }
}

fn advanced(track: &Track, tx: Link, height: u64) -> Track {
    match track {
        Track::Commit { secret, .. } => Track::Claim {
            secret: *secret,
            commit: Some(tx),
            sent: Sent::default(),
        },
        _ => Track::Done {
            commit: track.commit().cloned(),
            tx: Some(tx),
            height,
            note: None,
        },
    }
}

/// Commit, wait, claim.
fn claim(track: &Track, facts: &Facts<'_>, action: impl Fn(Hash) -> Action) -> Next {
    match (track, &facts.commit) {
        (Track::Commit { secret, .. }, None) => {
            let hash = action(*secret).commitment(&facts.genesis.chain_id, &facts.owner);
            match hash {
                Some(hash) => send(track, facts, Action::Commit { hash }),
                None => Next::Fail(Failure::new("internal", "the claim has no commitment")),
            }
        }
        // It became final while nobody looked.
        (Track::Commit { secret, .. }, Some(_)) => Next::Become(Track::Claim {
            secret: *secret,
            commit: track.tx().map(|tx| Link(tx.cid())),
            sent: Sent::default(),
        }),
        (Track::Claim { secret, .. }, Some(commit)) => {
            match facts.height + 1 < commit.height.saturating_add(facts.genesis.reveal_delay) {
                true => Next::Wait,
                false => send(track, facts, action(*secret)),
            }
        }
        // Too late for this commit: another one, with the same secret, which nobody has seen.
        (Track::Claim { secret, .. }, None) => Next::Become(Track::begin(*secret)),
        // The name was ours and is free now.
        (Track::Set { .. } | Track::Done { .. }, _) => Next::Fail(Failure::new(
            "not_yours",
            "the name was released or ran out meanwhile: publish again",
        )),
    }
}

/// The same transaction again as long as it can still come into a block; else another one.
fn send(track: &Track, facts: &Facts<'_>, action: Action) -> Next {
    if track.sent().is_some_and(|sent| sent.times >= SENDS_MAX) {
        let text =
            format!("the chain did not take a transaction in {SENDS_MAX} attempts: see the node's log");
        return Next::Fail(Failure::new("refused", text));
    }
    match (track.tx(), &facts.fate) {
        (Some(tx), Fate::Unknown) if tx.body.nonce >= facts.account.nonce => Next::Repeat,
        _ => Next::Send(action),
    }
}

fn done(track: &Track, facts: &Facts<'_>, note: Option<String>) -> Next {
    Next::Become(Track::Done {
        commit: track.commit().cloned(),
        tx: None,
        height: facts.height,
        note,
    })
}

fn anchor(content: &Content, secret: Hash) -> Action {
    Action::AssetAnchor {
        cid: content.root,
        secret,
        meta: content.meta.clone(),
        split: content.split.clone(),
    }
}

fn register(naming: &Naming, secret: Hash) -> Action {
    let records = naming.records(&Default::default());
    Action::NameRegister {
        label: naming.label.clone(),
        secret,
        records,
    }
}

/// The failure of a name that belongs to somebody.
pub fn taken(naming: &Naming, owner: &str, remedy: &str) -> Failure {
    Failure::new(
        "name_taken",
        format!(
            "the name {} is taken: it belongs to {owner}, {remedy}",
            naming.name
        ),
    )
}

/// The failure of an undername whose name nobody holds.
pub fn unregistered(naming: &Naming, facts: &Facts<'_>) -> Failure {
    let (label, tld) = (&naming.label, &facts.genesis.tld);
    let text = format!(
        "{label}.{tld} is not registered, so nothing can be under it: register it first with `ddn name register {label}.{tld}`"
    );
    Failure::new("not_found", text)
}
