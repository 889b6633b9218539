//! Who fetches for a session: one provider, and others beside it while readers need more than it brings.
//!
//! * What is done soon needs nobody else. As long as more is wanted than there is room for, the next provider is asked too,
//!   one at a time. Each takes as much as it brings ([`Pace`](super::pace::Pace)): that is how the work is split.
//! * A block that a reader waits for, and that takes longer than 95 of 100 do, is asked for once more elsewhere
//!   ([`nearest::hedge`]); for this the next provider is asked too, if there is no other lane.
//! * Who fails is left, and the others go on with what it had under way.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::provider::{self, End};
use super::reach::{Reach, Reached};
use super::transfer::micros;
use super::wants::Answer;
use super::{Fetcher, Session};
use crate::ddp::Provider;

/// The lanes of one session.
pub(super) struct Lanes<'a> {
    fetcher: &'a Fetcher,
    session: &'a Session,
    reach: Reach<'a>,
    open: FuturesUnordered<BoxFuture<'a, (Provider, End)>>,
    /// Another one is wanted.
    is_more_wanted: bool,
    /// When it is looked whether readers wait too long.
    look: Instant,
    /// The last one has until then to show what it brings.
    patience: Instant,
    /// As far as is known.
    nobody_has_it: bool,
}

impl<'a> Lanes<'a> {
    pub fn new(fetcher: &'a Fetcher, session: &'a Session, providers: VecDeque<Provider>) -> Self {
        let now = Instant::now();
        Self {
            fetcher,
            session,
            reach: Reach::new(fetcher, session, providers),
            open: FuturesUnordered::new(),
            is_more_wanted: true,
            look: now,
            patience: now,
            nobody_has_it: true,
        }
    }

    /// Goes on until nothing is needed any more, or nobody is left.
    pub async fn run(mut self) -> Answer {
        loop {
            self.session.set_unasked(self.reach.left());
            let may_begin = self.is_more_wanted && !self.reach.is_over();
            let may_look = !self.open.is_empty() && !self.is_more_wanted;
            tokio::select! {
                Some((provider, end)) = self.open.next() => {
                    if !self.ended(provider, end).await {
                        break;
                    }
                }
                Some(reached) = self.reach.next(), if may_begin => self.begin(reached),
                () = sleep_until(self.look), if may_look => self.look_at_the_readers(),
                else => break,
            }
        }
        match self.nobody_has_it && self.reach.is_over() {
            true => Answer::NoProvider,
            false => Answer::Failed(self.session.tried()),
        }
    }

    fn begin(&mut self, (provider, connected): Reached) {
        self.session.begin(provider.node);
        if !self.open.is_empty() {
            self.fetcher.metrics.lanes.inc();
        }
        let (fetcher, session) = (self.fetcher, self.session);
        let asking = session.ask_another();
        self.open.push(Box::pin(async move {
            let end = provider::fetch(fetcher, session, asking, provider.node, connected).await;
            (provider, end)
        }));
        self.is_more_wanted = false;
        self.patience = Instant::now() + PATIENCE;
    }

    /// Takes note of what became of a provider. Returns whether to go on.
    async fn ended(&mut self, provider: Provider, end: End) -> bool {
        let End::Failed {
            what,
            may_try_again,
            lacks_root,
            is_ours,
        } = end
        else {
            self.nobody_has_it = false;
            self.session.end(&provider.node);
            return !self.open.is_empty();
        };
        self.nobody_has_it &= lacks_root;
        tracing::debug!(root = %self.session.root, node = %provider.node, what, "provider left");
        self.session.leave(provider.node, &what, is_ours);
        if may_try_again {
            self.reach.again(provider);
        }
        if !self.open.is_empty() {
            return true;
        }
        self.is_more_wanted = true;
        !self.reach.is_over() && self.fetcher.is_needed(self.session).await
    }

    fn look_at_the_readers(&mut self) {
        let now = Instant::now();
        self.look = now + LOOK;
        let has_others = !self.reach.is_over();
        if self.open.len() > 1 || has_others {
            self.is_more_wanted = self.hedge(now) && self.open.len() == 1;
        }
        let is_late = now >= self.patience && self.open.len() < LANES_MAX;
        if is_late && has_others && self.session.wants().is_behind() {
            self.is_more_wanted = true;
        }
    }

    /// Has the block asked for once more that readers wait for longest, if it takes too long.
    fn hedge(&self, now: Instant) -> bool {
        let mut wants = self.session.wants();
        let Some((cid, took)) = wants.latest(now.into_std()) else {
            return false;
        };
        let mut hedge = self.fetcher.hedge();
        if !hedge.may(micros(took)) {
            return false;
        }
        wants.hedge(&cid);
        self.fetcher.metrics.hedges.inc();
        for (cid, since) in wants.beside(&cid) {
            let took = now.into_std().saturating_duration_since(since);
            if !hedge.may(micros(took)) {
                break;
            }
            wants.hedge(&cid);
            self.fetcher.metrics.hedges.inc();
        }
        drop((hedge, wants));
        self.session.changed();
        true
    }
}

/// Providers that are asked at the same time.
const LANES_MAX: usize = 4;
/// How long one is given before the next is asked too: what comes within that needs no other.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often it is looked whether readers wait too long.
const LOOK: Duration = Duration::from_millis(10);
