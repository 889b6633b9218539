//! Reads that wait for other nodes: their places, who waits for whom, and what need not be asked for again.
//!
//! Such a read occupies one of the runtime's blocking threads until its block has come or nobody has it, which may take
//! seconds; a read from the disk takes one for less than a millisecond. So the first are counted, and the second always
//! find a thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::absent::{Absences, Outcome, Upstream};
use crate::flights::{Flights, Lead, Turn, Wanted};
use crate::metrics::{Counting, Metrics};
use crate::problem::{Lack, Problem};

/// How long a request waits for a place before it is refused: long enough for a burst to pass, too short for a queue to
/// hide an overload.
const PATIENCE: Duration = Duration::from_millis(500);

/// The places and what is known of the fetches; a clone shares it all.
#[derive(Clone)]
pub(crate) struct Fetches {
    places: Arc<Semaphore>,
    flights: Flights,
    absences: Arc<Absences>,
    upstream: Arc<dyn Upstream>,
    metrics: Arc<Metrics>,
}

/// One place. It is held by the thread that waits, not by the request: a client that leaves frees its thread only when
/// the block that it wanted has come or is given up.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Counting,
}

impl Fetches {
    /// `absent_ttl`: how long it is remembered that nobody has a block.
    pub(crate) fn new(
        places: usize,
        absent_ttl: Duration,
        upstream: Arc<dyn Upstream>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            flights: Flights::default(),
            absences: Arc::new(Absences::new(absent_ttl)),
            upstream,
            metrics,
        }
    }

    /// The next free place, if one becomes free soon.
    pub(crate) async fn place_soon(&self) -> Option<Place> {
        timeout(PATIENCE, self.place()).await.ok().flatten()
    }

    /// The next free place, in the order of asking.
    pub(crate) async fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(self.counted(permit))
    }

    /// What to do about a block that is not here.
    pub(crate) fn turn(&self, wanted: Wanted) -> Turn {
        self.flights.turn(wanted)
    }

    /// Who waits for what.
    pub(crate) fn flights(&self) -> Flights {
        self.flights.clone()
    }

    /// Whether nobody had it a moment ago, as far as that can be believed.
    pub(crate) fn is_absent(&self, wanted: &Wanted) -> bool {
        self.absences.is_known(wanted, Instant::now())
    }

    /// A fetch for what `lead` leads to ended, if that is still wanting, with `problem` in its way.
    pub(crate) fn ended(&self, root: cid::Cid, lead: Option<Lead>, problem: Option<&Problem>) {
        let lack = problem.and_then(|problem| problem.lack.as_deref());
        let (block, outcome) = match lack {
            Some(Lack::Missing(block)) => (*block, Outcome::Absent),
            Some(Lack::Withheld(block)) => (*block, Outcome::Failed),
            None => (root, Outcome::Came),
        };
        let wanted = Wanted { root, block };
        self.absences
            .note(wanted, outcome, self.upstream.is_there(), Instant::now());
        if let (Some(lead), Some(problem)) = (lead, problem)
            && *lead.wanted() == wanted
            && outcome != Outcome::Came
        {
            lead.fail(problem.clone());
        }
    }

    fn counted(&self, permit: OwnedSemaphorePermit) -> Place {
        Place {
            _permit: permit,
            _counted: self.metrics.fetching(),
        }
    }
}
