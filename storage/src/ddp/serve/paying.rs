//! The money of a session: what may leave, what was stated, what was promised for it.

use std::sync::Arc;

use ledger::{Amount, Link, Owed, PublicKey, Receipt, Signed, Voucher, VoucherError};
use tokio::sync::watch;

use super::Server;
use super::line::{End, Line, refuse};
use super::now_ms;
use super::open::{RETRY_LEDGER_MS, funds};
use super::pairs::{Charge, Halt, Live, Member, Paid, fitting};
use super::session::{Session, blocking};
use crate::ddp::books::Pair;
use crate::ddp::wire::{Code, Refuse, ToClient};

/// Who pays for a session.
pub(super) struct Payer {
    pub pair: Pair,
    member: Member,
    changes: watch::Receiver<()>,
    /// The highest voucher that this session knows of.
    last: Amount,
    /// What was asked for last, and not paid.
    due: Option<Amount>,
    /// A voucher has crossed with what was asked for, so the answer to that may repeat it.
    may_repeat: bool,
}

impl Payer {
    /// `vouched` is the highest voucher on the tab.
    pub fn new(pair: Pair, member: Member, vouched: Amount) -> Payer {
        Payer {
            pair,
            changes: member.changes(),
            member,
            last: vouched,
            due: None,
            may_repeat: false,
        }
    }

    /// On what terms the next blocks leave, at this price. `unacknowledged`: what the session has sent that no voucher
    /// acknowledges.
    pub fn bill(&mut self, server: &Server, peer: &PublicKey, price: Amount, unacknowledged: u64) -> Bill {
        self.changes.borrow_and_update();
        let is_proven = server.pairs.is_proven(&self.pair.escrow, peer);
        Bill {
            paid: Some(Paying {
                pair: self.pair,
                live: self.member.live(),
                price,
                last: self.last,
                stranger_had: (!is_proven).then_some(unacknowledged),
            }),
        }
    }

    /// Whether an earlier session of it has left something unpaid.
    pub fn has_left(&self) -> bool {
        self.member.live().has_left()
    }

    /// The pair, as all its sessions see it.
    pub fn live(&self) -> Arc<Live> {
        self.member.live()
    }

    /// Whether this is the payer's only session.
    pub fn is_alone(&self) -> bool {
        self.member.is_alone()
    }

    /// Resolves when another session of this payer has changed its tab.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// On what terms something leaves.
pub(super) struct Bill {
    /// `None` if nobody pays.
    paid: Option<Paying>,
}

struct Paying {
    pair: Pair,
    live: Arc<Live>,
    price: Amount,
    /// The highest voucher that the session knows of.
    last: Amount,
    /// What the session has sent that no voucher acknowledges, if the payer has not shown the escrow's key.
    stranger_had: Option<u64>,
}

impl Bill {
    /// Nobody pays.
    pub const FREE: Bill = Bill { paid: None };

    /// How many of these bytes may leave, from the front. Blocks on disk.
    pub fn charge(&self, server: &Server, mut sizes: Vec<u64>) -> Result<Charge, End> {
        let Some(paying) = &self.paid else {
            let (count, window) = (sizes.len(), server.config.credit.window_max);
            return Ok(Charge::Go { count, window });
        };
        if let Some(had) = paying.stranger_had {
            // Who names an escrow need not hold its key: its owner's window is not for strangers.
            let left = server.config.credit.first_window.saturating_sub(had);
            let fits = fitting(&sizes, left).0;
            if fits == 0 && had > 0 {
                let first = sizes.first().copied().unwrap_or_default();
                let next = Owed::ZERO.add(first, paying.price).amount();
                return Ok(Charge::Halt(Halt::Unpaid {
                    needed: paying.last.checked_add(next).unwrap_or(paying.last),
                    all_paid: false,
                }));
            }
            sizes.truncate(fits.max(1));
        }
        let (_, collectible) = funds(server, &paying.pair)?;
        Ok(server
            .pairs
            .charge(&paying.live, &sizes, paying.price, collectible)?)
    }
}

impl Session {
    /// On what terms the next blocks leave.
    pub(super) fn bill(&mut self) -> Bill {
        let (price, unacknowledged) = (self.quote.body.price, self.told.unacknowledged());
        match &mut self.payer {
            Some(payer) => payer.bill(&self.server, &self.peer.node, price, unacknowledged),
            None => Bill::FREE,
        }
    }

    /// States what was delivered, if that is more than was stated.
    pub(super) async fn state(&mut self, line: &mut Line) -> Result<(), End> {
        if self.told.unstated() == 0 {
            return Ok(());
        }
        let (server, mut body) = (&self.server, self.told.next());
        body.height = server.funds.height();
        let statement = Signed::sign(body, &server.config.chain, &server.config.key);
        self.told.stated(statement.clone());
        line.write(&ToClient::Statement { statement }).await
    }

    /// Asks for a voucher ahead, once.
    pub(super) async fn ask(&mut self, line: &mut Line, cumulative: Amount) -> Result<(), End> {
        match &mut self.payer {
            Some(payer) if payer.due != Some(cumulative) => {
                payer.due = Some(cumulative);
                line.write(&ToClient::Due { cumulative }).await
            }
            _ => Ok(()),
        }
    }

    /// Forgives what an earlier session of this payer lost on the way; see [`super::pairs`].
    pub(super) async fn write_off(&self) -> Result<bool, End> {
        let Some(payer) = &self.payer else {
            return Ok(false);
        };
        let live = payer.member.live();
        if !live.has_left() {
            return Ok(false);
        }
        let has_nothing_to_pay = self.told.unacknowledged() == 0;
        blocking(&self.server, move |server| {
            Ok(server.pairs.write_off(&live, has_nothing_to_pay)?)
        })
        .await
    }

    pub(super) async fn pay(&mut self, voucher: Signed<Voucher>) -> Result<(), End> {
        let Some(payer) = &mut self.payer else {
            return Err(refuse(Code::Protocol, "there is nothing to pay in this session"));
        };
        let (pair, live, peer) = (payer.pair, payer.member.live(), self.peer.node);
        let (last, may_repeat) = (payer.last, payer.may_repeat);
        let Voucher {
            cumulative,
            statement,
            ..
        } = voucher.body;
        // A statement of this session that is acknowledged is its receipt so far.
        let acknowledged = statement.as_ref().and_then(|statement| self.told.open(statement));
        let receipt = acknowledged.map(|statement| Receipt {
            quote: self.quote.clone(),
            statement: statement.clone(),
            voucher: Some(voucher.clone()),
        });
        let at = self.receipt;
        let (paid, written) = blocking(&self.server, move |server| {
            let (escrow, collectible) = funds(server, &pair)?;
            let (chain, asset) = (&server.config.chain, pair.asset.map(Link));
            voucher
                .check(
                    chain,
                    &pair.escrow,
                    &pair.payee,
                    asset.as_ref(),
                    &escrow.voucher_key,
                )
                .map_err(|error| not_honoured(&error))?;
            let paid = if may_repeat && cumulative == last {
                Paid::Overtaken
            } else {
                let honoured = server.pairs.honour(&live, &peer, voucher, last, collectible)?;
                honoured.map_err(|error| not_honoured(&error))?
            };
            let written = receipt.map(|receipt| server.books.write_receipt(at, receipt, now_ms()));
            Ok((paid, written.transpose()?))
        })
        .await?;
        payer.last = cumulative;
        payer.may_repeat = payer.due.take().is_some();
        if paid == Paid::Fresh {
            self.unpaid_since = None;
        }
        if let (Some(statement), Some(number)) = (statement, written) {
            self.told.acknowledge(&statement);
            self.receipt = Some(number);
        }
        Ok(())
    }

    pub(super) async fn write_receipt(&mut self, receipt: Receipt) -> Result<(), End> {
        let at = self.receipt;
        let written = blocking(&self.server, move |server| {
            Ok(server.books.write_receipt(at, receipt, now_ms())?)
        });
        self.receipt = Some(written.await?);
        Ok(())
    }
}

impl Drop for Session {
    /// However it ended, a panic too.
    fn drop(&mut self) {
        if let Some(payer) = self.payer.as_ref().filter(|_| self.told.unacknowledged() > 0) {
            self.server.pairs.broke(&payer.member.live());
        }
    }
}

/// What must be said of a voucher that does not count.
fn not_honoured(error: &VoucherError) -> End {
    let reason = format!("the voucher is not honoured: {error}");
    match error {
        VoucherError::Overdrawn {
            cumulative,
            collectible,
        } => no_allotment(&reason, cumulative.checked_sub(*collectible).unwrap_or_default()),
        _ => refuse(Code::Voucher, reason),
    }
}

pub(super) fn no_allotment(reason: &str, missing: Amount) -> End {
    End::Refused(Refuse {
        code: Code::NoAllotment,
        reason: format!("{reason}: allot at least {missing} coins more to it"),
        retry_ms: RETRY_LEDGER_MS,
        missing,
    })
}
