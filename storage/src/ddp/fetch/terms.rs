//! How a session begins: open, offer, and an escrow if there is something to pay.

use cid::Cid;
use iroh::endpoint::Connection;
use ledger::{Amount, Hash, Link, PublicKey, Quote, SessionTerms, Signed};
use tokio::time::timeout;

use super::account::{Account, check_quote};
use super::asked::Asked;
use super::failure::Failure;
use super::line::{Frame, Line};
use super::pace::Pace;
use super::till::Till;
use super::wants::Lane;
use super::{Fetcher, Session, now_ms};
use crate::BLOCK_BYTES_MAX;
use crate::ddp::books::Pair;
use crate::ddp::wire::{Offer, Open, ToClient, ToServer, VERSION, relay_root};

/// An open session.
pub(super) struct Agreed {
    pub node: PublicKey,
    pub line: Line,
    pub account: Account,
    pub till: Till,
    pub offer: Offer,
    /// Who pays; `None` if there is nothing to pay.
    pub pair: Option<Pair>,
    /// What was asked for with the open.
    pub asked: Asked,
}

/// What is known before the offer comes.
#[derive(Default)]
struct First<'a> {
    /// Whether the ledger splits what deliveries of the root earn.
    is_split: bool,
    /// Sent with the open.
    early: Option<&'a ToServer>,
    /// The quote that was taken last.
    known: Option<&'a Signed<Quote>>,
}

/// A session whose offer came.
struct Opened {
    line: Line,
    offer: Offer,
    /// What this side has drawn.
    nonce: Hash,
}

/// Opens a session with `node`. Which escrow pays is asked for when the price is known, and the session opened again with
/// it, unless it is the one that paid last.
///
/// Of a server whose terms are known and were kept, the first blocks are asked for without waiting for its offer: that is
/// one way there and back less until they come.
pub(super) async fn agree(
    fetcher: &Fetcher,
    session: &Session,
    connection: &Connection,
    node: PublicKey,
    lane: Lane,
) -> Result<Agreed, Failure> {
    let (root, mut asked) = (&session.root, Asked::default());
    let known = fetcher.quote(&node, now_ms());
    if let Some(quote) = &known {
        check_budget(fetcher, root, &quote.body)?;
    }
    let early = match &known {
        Some(_) => asked.next(fetcher, session, lane, Pace::default().room())?,
        None => None,
    };
    // Who delivers for nothing has nothing to split.
    let is_free = known.as_ref().is_some_and(|quote| quote.body.price.is_zero());
    let is_split = !is_free && is_split(fetcher, root).await?;
    let first = First {
        is_split,
        early: early.as_ref(),
        known: known.as_ref(),
    };
    let (mut escrow, mut is_said) = fetcher.last_escrow();
    let mut is_remembered = escrow.is_some();
    for _ in 0..3 {
        let price_max = fetcher.config.price_max;
        let opened = match open(fetcher, connection, node, root, escrow, price_max, &first).await {
            // It was closed since it paid last.
            Err(failure) if is_remembered && failure.is_no_escrow() => {
                (escrow, is_remembered, is_said) = (None, false, false);
                continue;
            }
            opened => opened?,
        };
        let quote = &opened.offer.quote.body;
        if quote.price.is_zero() {
            fetcher.take_quote(node, &opened.offer.quote);
            return Ok(agreed(fetcher, node, root, opened, None, asked));
        }
        check_budget(fetcher, root, quote)?;
        let asset = is_split.then_some(*root);
        let right = match escrow.filter(|_| is_said) {
            Some(said) => said,
            None => payers_word(fetcher, quote).await?,
        };
        if escrow == Some(right) {
            let pair = Pair::new(&right, &quote.payee).with_asset(asset);
            fetcher.take_quote(node, &opened.offer.quote);
            return Ok(agreed(fetcher, node, root, opened, Some(pair), asked));
        }
        (escrow, is_remembered) = (Some(right), false);
    }
    Err(Failure::own("could not be paid: the escrow changes all the time"))
}

/// Opens a session with a relay, in which nothing is wanted.
pub(super) async fn agree_with_relay(
    fetcher: &Fetcher,
    connection: &Connection,
    node: PublicKey,
) -> Result<Agreed, Failure> {
    let (root, nothing) = (relay_root(), First::default());
    let price_max = fetcher.config.relay_price_max;
    let mut escrow = None;
    for _ in 0..3 {
        let opened = open(fetcher, connection, node, &root, escrow, price_max, &nothing).await?;
        let quote = &opened.offer.quote.body;
        if quote.price.is_zero() {
            return Ok(agreed(fetcher, node, &root, opened, None, Asked::default()));
        }
        check_budget(fetcher, &root, quote)?;
        let right = payers_word(fetcher, quote).await?;
        if escrow == Some(right) {
            let pair = Pair::new(&right, &quote.payee);
            return Ok(agreed(fetcher, node, &root, opened, Some(pair), Asked::default()));
        }
        escrow = Some(right);
    }
    Err(Failure::own("could not be paid: the escrow changes all the time"))
}

/// Whether the ledger splits what deliveries of `root` earn.
async fn is_split(fetcher: &Fetcher, root: &Cid) -> Result<bool, Failure> {
    let said = fetcher.payer.is_split(root).await;
    said.map_err(|why| Failure::own(format!("could not be paid: {why}")))
}

/// The escrow that the payer names.
async fn payers_word(fetcher: &Fetcher, quote: &Quote) -> Result<Hash, Failure> {
    let asked = fetcher.payer.escrow(&quote.payee, quote.price);
    let escrow = timeout(fetcher.config.timeout, asked)
        .await
        .unwrap_or_else(|_| Err("no escrow was ready in time".to_owned()))
        .map_err(|why| Failure::own(format!("could not be paid: {why}")))?;
    fetcher.set_last_escrow(escrow);
    Ok(escrow)
}

/// Nothing is paid for beyond the budget.
fn check_budget(fetcher: &Fetcher, root: &Cid, quote: &Quote) -> Result<(), Failure> {
    if quote.price.is_zero() {
        return Ok(());
    }
    let allowance = fetcher.allowance(root, quote.payee);
    match allowance.exhausted(&fetcher.books, now_ms())? {
        Some(why) => Err(Failure::own(why)),
        None => Ok(()),
    }
}

async fn open(
    fetcher: &Fetcher,
    connection: &Connection,
    node: PublicKey,
    root: &Cid,
    escrow: Option<Hash>,
    price_max: Amount,
    first: &First<'_>,
) -> Result<Opened, Failure> {
    let mut nonce = Hash([0; 32]);
    getrandom::fill(&mut nonce.0).map_err(|error| Failure::own(format!("was left: {error}")))?;
    let mut line = Line::open(connection, fetcher.config.silence).await?;
    let open = Open {
        version: VERSION,
        chain: fetcher.config.chain.clone(),
        root: Link(*root),
        nonce,
        escrow,
        split: first.is_split,
    };
    line.send(&ToServer::Open(open)).await?;
    if let Some(early) = first.early {
        line.send(early).await?;
    }
    let answer = match line.next_in_time(fetcher.patience()).await? {
        Frame::Other(answer) => Some(*answer),
        Frame::Block(..) => None,
    };
    let offer = match answer {
        Some(ToClient::Offer(offer)) => offer,
        Some(ToClient::Refuse(refuse)) => return Err(Failure::refused(refuse)),
        _ => return Err(Failure::lied("sent something else in the place of an offer")),
    };
    let config = &fetcher.config;
    let is_known = first.known == Some(&offer.quote);
    check_quote(&offer.quote, is_known, &node, &config.chain, price_max, now_ms())?;
    Ok(Opened { line, offer, nonce })
}

fn agreed(
    fetcher: &Fetcher,
    node: PublicKey,
    root: &Cid,
    Opened { line, offer, nonce }: Opened,
    pair: Option<Pair>,
    asked: Asked,
) -> Agreed {
    let terms = SessionTerms {
        client: fetcher.config.key.public(),
        server: node,
        quote: offer.quote.hash(),
        client_nonce: nonce,
        server_nonce: offer.nonce,
    };
    let quote = &offer.quote.body;
    let shared = (
        fetcher.store.clone(),
        fetcher.books.clone(),
        fetcher.payer.clone(),
        fetcher.allowance(root, quote.payee),
    );
    // Whatever the first window is, the largest block can be had.
    let window = fetcher.config.credit.first_window.max(BLOCK_BYTES_MAX as u64);
    Agreed {
        node,
        line,
        account: Account::new(&terms, Link(*root), pair.map(|pair| pair.escrow)),
        till: Till::new(shared, pair, quote.price, window),
        offer,
        pair,
        asked,
    }
}
