//! Reads that wait for the same block wait together: one of them fetches it, in one place, and the others hold neither a
//! place nor a thread until it has come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cid::Cid;
use tokio::sync::watch;

use crate::problem::Problem;

/// A block, and the root that it is read below, which decides who is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub root: Cid,
    pub block: Cid,
}

/// All blocks that are waited for; a clone shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<Wanted, watch::Receiver<Option<Problem>>>>>);

/// What a read that lacks a block has to do.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Fetch it: nobody does so yet.
    Lead(Lead),
    /// Wait until somebody else has it.
    Follow(Follow),
}

/// The right to fetch a block for all who want it. When it is dropped, the others try again.
#[derive(Debug)]
pub(crate) struct Lead {
    wanted: Wanted,
    flights: Flights,
    told: watch::Sender<Option<Problem>>,
}

/// A read that waits for another.
#[derive(Debug)]
pub(crate) struct Follow(watch::Receiver<Option<Problem>>);

impl Flights {
    pub(crate) fn turn(&self, wanted: Wanted) -> Turn {
        let mut flights = self.lock();
        if let Some(told) = flights.get(&wanted) {
            return Turn::Follow(Follow(told.clone()));
        }
        let (told, hears) = watch::channel(None);
        flights.insert(wanted, hears);
        drop(flights);
        Turn::Lead(Lead {
            wanted,
            flights: self.clone(),
            told,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Wanted, watch::Receiver<Option<Problem>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// What is being fetched.
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// It does not come: the others need not try the same again.
    pub(crate) fn fail(self, problem: Problem) {
        self.told.send_replace(Some(problem));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.wanted);
    }
}

impl Follow {
    /// Waits for the end.
    ///
    /// # Errors
    /// Why it does not come. Without one it is here now, or whoever fetched it has left: then it is to be tried again.
    pub(crate) async fn end(mut self) -> Result<(), Problem> {
        // That its other half is gone is the other end that there is.
        let told = self.0.wait_for(Option::is_some).await;
        told.ok().and_then(|told| told.clone()).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::codec;

    fn wanted(block: u8) -> Wanted {
        let cid = |byte| Cid::new_v1(codec::RAW, cid::multihash::Multihash::wrap(0, &[byte]).unwrap());
        Wanted {
            root: cid(0),
            block: cid(block),
        }
    }

    fn lead(flights: &Flights, block: u8) -> Lead {
        match flights.turn(wanted(block)) {
            Turn::Lead(lead) => lead,
            Turn::Follow(_) => panic!("somebody leads"),
        }
    }

    fn follow(flights: &Flights, block: u8) -> Follow {
        match flights.turn(wanted(block)) {
            Turn::Follow(follow) => follow,
            Turn::Lead(_) => panic!("nobody leads"),
        }
    }

    #[tokio::test]
    async fn one_leads_and_all_hear_of_the_end() {
        let flights = Flights::default();
        let first = lead(&flights, 1);
        let others: Vec<_> = (0..10).map(|_| follow(&flights, 1)).collect();
        let _other_block = lead(&flights, 2);
        drop(first);
        for other in others {
            assert_eq!(other.end().await, Ok(()));
        }
        let again = lead(&flights, 1);
        let late = follow(&flights, 1);
        again.fail(Problem::busy());
        assert_eq!(late.end().await, Err(Problem::busy()));
        lead(&flights, 1);
        assert_eq!(flights.lock().len(), 1, "nothing stays behind");
    }
}
