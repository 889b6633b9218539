//! How a session begins: what may be opened, and on what terms.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use ledger::{Amount, Escrow, Hash, SessionTerms, Signed, Voucher};
use tokio::time::timeout;

use super::line::{End, Line, refuse, refuse_for_now};
use super::paying::{Bill, Payer};
use super::reading::Want;
use super::session::{Batch, Session, blocking, spent};
use super::told::Told;
use super::{Peer, Server, now_ms, relaying};
use crate::ddp::books::Pair;
use crate::ddp::wire::{Code, Offer, Open, ToClient, ToServer, VERSION, WANT_BLOCKS_MAX, relay_root};

/// Hears what is wanted and offers a price.
pub(super) async fn open(
    server: &Arc<Server>,
    peer: Peer,
    has_seat: bool,
    line: &mut Line,
) -> Result<Session, End> {
    let frame = timeout(OPEN_TIME_MAX, line.next()).await;
    let frame = frame.map_err(|_| refuse(Code::Protocol, "the session was not opened in time"))??;
    let ToServer::Open(open) = frame else {
        return Err(refuse(Code::Protocol, "a session begins with an open"));
    };
    if !has_seat {
        let busy = "too many sessions: let one of yours end, or come back later";
        let retry_ms = match server.sessions.has(&peer.node) {
            true => RETRY_OWN_MS,
            false => RETRY_BUSY_MS,
        };
        return Err(refuse_for_now(Code::Busy, busy, retry_ms));
    }
    if let Some(ms) = server.uplink.spent_for_ms(now_ms()) {
        return Err(spent(ms));
    }
    if server.uplink.is_crowded() {
        let busy = "there is a queue already: come back later";
        return Err(refuse_for_now(Code::Busy, busy, RETRY_BUSY_MS));
    }
    check(server, &open)?;
    if open.root.0 == relay_root() {
        return relaying::open(server, peer, open, line).await;
    }
    let nonce = random()?;
    let quote = server.quotes.now(now_ms());
    let terms = SessionTerms {
        client: peer.node,
        server: server.config.key.public(),
        quote: quote.hash(),
        client_nonce: open.nonce,
        server_nonce: nonce,
    };
    let is_paid = !quote.body.price.is_zero();
    let escrow = open.escrow.filter(|_| is_paid);
    let (root, payee, price) = (open.root.0, quote.body.payee, quote.body.price);
    // What is wanted at once is read in the same visit of the disk.
    let along = line.next_here().transpose()?;
    let wants = along.as_ref().map(wanted).unwrap_or_default();
    let is_read = !wants.is_empty() && (escrow.is_some() || !is_paid);
    let (payer, vouched, ahead, (first, charged)) = blocking(server, move |server| {
        if !server.store.has(&root)? {
            return Err(refuse(Code::Absent, format!("{root} is not here")));
        }
        let asset = open.split.then_some(root);
        if is_paid && is_split(server, &root)? != open.split {
            return Err(disagrees(server, &root, open.split));
        }
        let pair = escrow.map(|escrow| Pair::new(&escrow, &payee).with_asset(asset));
        let joined = pair.map(|pair| join(server, pair)).transpose()?;
        let (mut payer, vouched, ahead) = match joined {
            Some((payer, vouched, ahead)) => (Some(payer), vouched, ahead),
            None => (None, None, false),
        };
        let mut first = Batch {
            wants,
            ..Batch::default()
        };
        let mut charged = None;
        if is_read && !payer.as_ref().is_some_and(Payer::has_left) {
            let bill = payer
                .as_mut()
                .map_or(Bill::FREE, |payer| payer.bill(server, &peer.node, price, 0));
            charged = Some(first.charge(server, &root, &bill)?);
        }
        Ok((payer, vouched, ahead, (first, charged)))
    })
    .await?;
    let offer = Offer {
        quote: quote.clone(),
        nonce,
        vouched,
        ahead,
        seen: None,
    };
    let told = Told::new(terms.id(), terms.quote, open.root, escrow);
    let mut session = Session::new(server, peer, root, quote, payer, told);
    line.write(&ToClient::Offer(offer)).await?;
    match along {
        Some(_) if is_read => session.begin(first, charged),
        Some(frame) => session.take(frame).await?,
        None => {}
    }
    Ok(session)
}

/// The blocks that a frame wants, if it is one that may.
fn wanted(frame: &ToServer) -> VecDeque<Want> {
    match frame {
        ToServer::Want { blocks } if blocks.len() <= WANT_BLOCKS_MAX => {
            blocks.iter().map(|link| Want::Block(link.0)).collect()
        }
        _ => VecDeque::new(),
    }
}

/// Whether a session may be opened by somebody who says this.
fn check(server: &Server, open: &Open) -> Result<(), End> {
    if open.version != VERSION {
        let reason = format!("version {} is not spoken here, only {VERSION}", open.version);
        return Err(refuse(Code::Version, reason));
    }
    if open.chain != server.config.chain {
        let reason = format!("this node delivers for chain '{}'", server.config.chain);
        return Err(refuse(Code::Chain, reason));
    }
    Ok(())
}

/// Begins the payer's part: its tab, the highest voucher, and whether it pays ahead.
pub(super) fn join(server: &Server, pair: Pair) -> Result<(Payer, Option<Signed<Voucher>>, bool), End> {
    funds(server, &pair)?;
    let (member, entry) = server.pairs.join(pair)?;
    let payer = Payer::new(pair, member, entry.tab.vouched);
    let ahead = server.pairs.pays_ahead(&entry);
    Ok((payer, entry.voucher, ahead))
}

/// Whether the ledger splits what deliveries of `root` earn.
fn is_split(server: &Server, root: &Cid) -> Result<bool, End> {
    server.funds.is_split(root).map_err(|error| unreadable(&error))
}

/// Vouchers of this client would not be what this node can claim; one of both is a block behind.
fn disagrees(server: &Server, root: &Cid, client: bool) -> End {
    let height = server.funds.height();
    let says = |split: bool| if split { "are split" } else { "are not" };
    let reason = format!(
        "deliveries of {root} {} at height {height} of this node's ledger, at the client's they {}",
        says(!client),
        says(client)
    );
    refuse_for_now(Code::Split, reason, RETRY_LEDGER_MS)
}

fn unreadable(error: &str) -> End {
    tracing::error!(%error, "cannot read the ledger");
    refuse_for_now(Code::Unable, "this node cannot read its ledger", RETRY_LEDGER_MS)
}

/// The escrow, and the highest voucher on it that the ledger would pay this node.
pub(super) fn funds(server: &Server, pair: &Pair) -> Result<(Escrow, Amount), End> {
    let height = server.funds.height();
    let read = server.funds.escrow(&pair.escrow, &pair.account());
    let (escrow, line) = read.map_err(|error| unreadable(&error))?;
    let Some(escrow) = escrow else {
        let reason = format!("escrow {} is not on the ledger at height {height}", pair.escrow);
        return Err(refuse_for_now(Code::NoEscrow, reason, RETRY_LEDGER_MS));
    };
    let claimed_at = height.saturating_add(server.config.claim_blocks);
    let float = server.config.credit.float;
    let collectible = ledger::collectible(Some(&escrow), line.as_ref(), claimed_at, float);
    Ok((escrow, collectible))
}

pub(super) fn random() -> Result<Hash, End> {
    let mut nonce = Hash([0; 32]);
    match getrandom::fill(&mut nonce.0) {
        Ok(()) => Ok(nonce),
        Err(error) => {
            tracing::error!(%error, "no randomness");
            Err(refuse(Code::Unable, "this node has no randomness"))
        }
    }
}

/// A stream that was opened says at once what for.
const OPEN_TIME_MAX: Duration = Duration::from_secs(10);
pub(super) const RETRY_BUSY_MS: u64 = 1000;
/// Who has sessions of its own ends them one by one.
const RETRY_OWN_MS: u64 = 20;
/// A block of the ledger may be on its way.
pub(super) const RETRY_LEDGER_MS: u64 = 500;
