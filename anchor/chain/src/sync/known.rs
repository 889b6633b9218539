//! What a follower knows of its peers: what each said, whom to ask next, and who was refused and why.
//!
//! Nothing here acts. The clock and the height of the tip come in as arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::SyncStatus;

/// Peers that are looked at; of more, the rest waits until some are gone.
const PEERS_MAX: usize = 256;
/// Questions for the height that are under way at once.
const ASKED_AT_ONCE: usize = 8;
/// Peers that one refresh asks.
const ASKED_BY_REFRESH: usize = 8;
/// Refused peers that are remembered, the newest.
const REFUSED_KEPT: usize = 64;
/// After this a refused peer that is in reach again gets another chance.
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// A peer that is silent is asked again after the usual time, doubled with each silence up to so many times.
const DOUBLINGS_MAX: u32 = 5;
/// A peer that did not have the next block yet is asked for it again after this.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// The first word of a new peer is waited for so long.
const FIRST_WORD_WITHIN: Duration = Duration::from_secs(1);
/// After the last peer was refused, another one may appear within this.
const OTHERS_WITHIN: Duration = Duration::from_secs(2);
/// Without an answer, a chain that has blocks is used as it is after this.
const OFFLINE_AFTER: Duration = Duration::from_secs(5);
/// Without an answer, a chain that has no block yet is given up after this.
pub(crate) const UNANSWERED_AFTER: Duration = Duration::from_secs(30);

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    peers: BTreeMap<String, Peer>,
    refused: Vec<Refused>,
    /// The newest header with a good certificate that was heard of, and from whom.
    announced: Option<(u64, String)>,
    refreshes: u64,
}

#[derive(Debug)]
struct Peer {
    word: Word,
    met: Instant,
    /// When it was last asked for its height.
    asked: Option<Instant>,
    is_asked: bool,
    /// Since when a refresh waits for its word.
    owes_refresh: Option<Instant>,
    /// When it was last asked for blocks.
    fetched: Option<Instant>,
    /// When it did not have the next block yet.
    had_none: Option<Instant>,
    /// Questions in a row without an answer.
    silences: u32,
}

/// What a peer said last.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Nothing,
    Height(u64),
    Silence(String),
}

#[derive(Debug)]
struct Refused {
    peer: String,
    reason: String,
    at: Instant,
}

/// Where blocks are to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) peer: String,
    /// Whether it said that it has them.
    pub(crate) claims: bool,
}

/// How a wait for the tip ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At the tip of the peers that answer.
    Level,
    /// Nobody answers, but there are blocks.
    Offline,
    /// Every peer was refused.
    Refused,
    /// Nobody answers, and there is no block.
    Unanswered,
}

impl Known {
    /// Takes note of who is in reach.
    pub(crate) fn meet(&mut self, in_reach: Vec<String>, now: Instant) {
        self.refused
            .retain(|refused| now.duration_since(refused.at) < REFUSED_FOR);
        let in_reach: BTreeSet<String> = in_reach.into_iter().filter(|id| !self.is_refused(id)).collect();
        self.peers.retain(|id, _| in_reach.contains(id));
        for id in in_reach {
            if self.peers.len() == PEERS_MAX {
                break;
            }
            self.peers.entry(id).or_insert_with(|| Peer::new(now));
        }
        self.end_refresh();
    }

    /// The peers that are to be asked for their height now; they count as asked. `every` is the usual time between two
    /// questions; as long as blocks come, those who answered before are left alone.
    pub(crate) fn due(&mut self, now: Instant, every: Duration, blocks_come: bool) -> Vec<String> {
        let under_way = self.peers.values().filter(|peer| peer.is_asked).count();
        let mut due: Vec<(&String, &mut Peer)> = self
            .peers
            .iter_mut()
            .filter(|(_, peer)| peer.is_due(now, every, blocks_come))
            .collect();
        due.sort_by_key(|(_, peer)| (peer.owes_refresh.is_none(), peer.asked));
        due.truncate(ASKED_AT_ONCE.saturating_sub(under_way));
        let asked = due.into_iter().map(|(id, peer)| {
            (peer.is_asked, peer.asked) = (true, Some(now));
            id.clone()
        });
        asked.collect()
    }

    /// A peer said how far it is.
    pub(crate) fn said(&mut self, id: &str, height: u64) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.word = Word::Height(height);
            peer.silences = 0;
        }
        self.answered(id);
    }

    /// A peer did not answer, or could not.
    pub(crate) fn was_silent(&mut self, id: &str, reason: String) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.word = Word::Silence(reason);
            peer.silences += 1;
        }
        self.answered(id);
    }

    /// A peer is asked nothing more.
    pub(crate) fn refuse(&mut self, id: &str, reason: String, now: Instant) {
        self.peers.remove(id);
        self.refused.retain(|refused| refused.peer != id);
        self.refused.push(Refused {
            peer: id.to_owned(),
            reason,
            at: now,
        });
        if self.refused.len() > REFUSED_KEPT {
            self.refused.remove(0);
        }
        self.end_refresh();
    }

    pub(crate) fn is_refused(&self, id: &str) -> bool {
        self.refused.iter().any(|refused| refused.peer == id)
    }

    /// The height of a certified header that was heard of. Returns whether it is the highest.
    pub(crate) fn announce(&mut self, height: u64, from: &str) -> bool {
        let newer = self.announced_height() < height;
        if newer {
            self.announced = Some((height, from.to_owned()));
        }
        newer
    }

    pub(crate) fn announced_height(&self) -> u64 {
        self.announced.as_ref().map_or(0, |(height, _)| *height)
    }

    /// A peer gave the blocks up to a height.
    pub(crate) fn gave(&mut self, id: &str, height: u64) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.silences = 0;
            peer.word = match peer.word {
                Word::Height(said) => Word::Height(said.max(height)),
                _ => Word::Height(height),
            };
        }
    }

    /// A peer that did not claim it has not the next block.
    pub(crate) fn had_none(&mut self, id: &str, now: Instant) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.had_none = Some(now);
        }
    }

    /// Who gives the block after the tip; that peer counts as asked. Those who say that they have it come first, then
    /// who told of it, then anybody; among equals, who was asked longest ago.
    pub(crate) fn source(&mut self, tip: u64, now: Instant) -> Option<Source> {
        let announced = self.announced.as_ref().filter(|(height, _)| *height > tip);
        let rank = |id: &str, peer: &Peer| match peer.word {
            Word::Height(height) if height > tip => Some(0),
            Word::Silence(_) => None,
            _ if peer.had_none.is_some_and(|at| now < at + RETRY_AFTER) => None,
            _ if announced.is_some_and(|(_, from)| from == id) => Some(1),
            Word::Height(_) => announced.map(|_| 2),
            Word::Nothing => None,
        };
        let ranked = self
            .peers
            .iter()
            .filter_map(|(id, peer)| Some((rank(id, peer)?, peer.fetched, id)));
        let (rank, _, id) = ranked.min()?;
        let source = Source {
            peer: id.clone(),
            claims: rank == 0,
        };
        self.peers.get_mut(&source.peer)?.fetched = Some(now);
        Some(source)
    }

    /// Up to `count` peers that answer or have not been asked yet, from place `turn` on.
    pub(crate) fn some(&self, count: usize, turn: usize) -> Vec<String> {
        let able = |peer: &Peer| !matches!(peer.word, Word::Silence(_));
        let able: Vec<&String> = self
            .peers
            .iter()
            .filter(|(_, peer)| able(peer))
            .map(|(id, _)| id)
            .collect();
        let count = count.min(able.len());
        (turn..turn + count)
            .map(|place| able[place % able.len()].clone())
            .collect()
    }

    /// The highest block that somebody shows.
    pub(crate) fn best(&self, tip: u64) -> u64 {
        let said = self.peers.values().filter_map(Peer::height).max().unwrap_or(0);
        tip.max(said).max(self.announced_height())
    }

    /// Whether somebody answers, and nobody who does has a newer block.
    pub(crate) fn is_level(&self, tip: u64, now: Instant) -> bool {
        let waits = |peer: &Peer| peer.word == Word::Nothing && now < peer.met + FIRST_WORD_WITHIN;
        self.answering() > 0 && self.best(tip) == tip && !self.peers.values().any(waits)
    }

    /// How a wait of `waited` for the tip ends, if it does.
    pub(crate) fn outcome(&self, tip: u64, waited: Duration, now: Instant) -> Option<Outcome> {
        if self.is_level(tip, now) {
            return Some(Outcome::Level);
        }
        if self.answering() > 0 {
            return None;
        }
        let last_refused = self.refused.iter().map(|refused| refused.at).max();
        if self.peers.is_empty() && last_refused.is_some_and(|at| now >= at + OTHERS_WITHIN) {
            return Some(Outcome::Refused);
        }
        match tip {
            0 => (waited >= UNANSWERED_AFTER).then_some(Outcome::Unanswered),
            _ => (waited >= OFFLINE_AFTER).then_some(Outcome::Offline),
        }
    }

    /// What came of each peer, in words.
    pub(crate) fn sayings(&self) -> String {
        let refused = self
            .refused
            .iter()
            .map(|refused| format!("{}: {}", refused.peer, refused.reason));
        let others = self.peers.iter().map(|(id, peer)| match &peer.word {
            Word::Nothing => format!("{id}: it has not answered yet"),
            Word::Height(height) => format!("{id}: it is at height {height}"),
            Word::Silence(reason) => format!("{id}: {reason}"),
        });
        let all: Vec<String> = refused.chain(others).collect();
        if all.is_empty() {
            "no peer is in reach".into()
        } else {
            all.join("; ")
        }
    }

    /// The same in numbers.
    pub(crate) fn status(&self, tip: u64) -> SyncStatus {
        let refused = self
            .refused
            .iter()
            .map(|refused| (refused.peer.clone(), refused.reason.clone()));
        SyncStatus {
            best: self.best(tip),
            peers: self.answering(),
            refused: refused.collect(),
        }
    }

    /// Begins to ask for newer tips, or joins those who are asking. Returns the number that [`Known::refreshes`] is
    /// above when all have answered.
    pub(crate) fn refresh(&mut self, now: Instant) -> u64 {
        if !self.is_refreshing() {
            let able = self.peers.values_mut().filter(|peer| peer.silences == 0);
            let mut able: Vec<&mut Peer> = able.collect();
            able.sort_by_key(|peer| std::cmp::Reverse(peer.height()));
            for peer in able.into_iter().take(ASKED_BY_REFRESH) {
                peer.owes_refresh = Some(now);
            }
        }
        let number = self.refreshes;
        self.end_refresh();
        number
    }

    pub(crate) fn refreshes(&self) -> u64 {
        self.refreshes
    }

    /// Peers whose last word was a height.
    pub(crate) fn answering(&self) -> usize {
        self.peers.values().filter_map(Peer::height).count()
    }

    fn answered(&mut self, id: &str) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.is_asked = false;
            // A question that was put before may have been answered before.
            peer.owes_refresh = peer.owes_refresh.filter(|since| peer.asked < Some(*since));
        }
        self.end_refresh();
    }

    fn end_refresh(&mut self) {
        if !self.is_refreshing() {
            self.refreshes += 1;
        }
    }

    fn is_refreshing(&self) -> bool {
        self.peers.values().any(|peer| peer.owes_refresh.is_some())
    }
}

impl Peer {
    fn new(now: Instant) -> Peer {
        Peer {
            word: Word::Nothing,
            met: now,
            asked: None,
            is_asked: false,
            owes_refresh: None,
            fetched: None,
            had_none: None,
            silences: 0,
        }
    }

    fn height(&self) -> Option<u64> {
        match self.word {
            Word::Height(height) => Some(height),
            Word::Nothing | Word::Silence(_) => None,
        }
    }

    fn is_due(&self, now: Instant, every: Duration, blocks_come: bool) -> bool {
        let Some(asked) = self.asked else {
            return !self.is_asked;
        };
        let over = now >= asked + every * (1 << self.silences.min(DOUBLINGS_MAX));
        let idle = blocks_come && self.height().is_some();
        !self.is_asked && (self.owes_refresh.is_some() || over && !idle)
    }
}

#[cfg(test)]
mod tests;
