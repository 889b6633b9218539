//! The hash table: who provides which root, and where the delivery plane reaches a node.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use ledger::{PublicKey, Signed};
use libp2p::kad::store::RecordStore;
use libp2p::kad::{
    Event, GetProvidersOk, GetRecordOk, InboundRequest, ProviderRecord, QueryId, QueryResult, Quorum, Record,
    RecordKey,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::actor::Actor;
use super::book;
use super::gossip::Checked;
use super::message::{self, Endpoint, Flaw, MESSAGE_BYTES_MAX};
use super::shared::now_ms;
use super::standing::REFUSED;
use super::store::{endpoint_key, endpoint_node};

/// The most results of one look-up that wait for their reader: as many nodes as a look-up asks.
pub const RESULTS_MAX: usize = 32;
/// The least time that others get once somebody is found.
const MORE: Duration = Duration::from_millis(50);
/// The most announcements under way; the others wait.
const ANNOUNCING_MAX: usize = 16;

/// Look-ups and announcements under way.
#[derive(Debug, Default)]
pub struct Lookups {
    running: HashMap<QueryId, Found>,
    announcing: HashSet<QueryId>,
    waiting: VecDeque<RecordKey>,
    endpoint: Option<Record>,
}

/// Where results go. Whoever asked has a deadline of its own, and drops the other end when it has enough.
#[derive(Debug)]
enum Found {
    Providers(mpsc::Sender<Vec<PeerId>>),
    Records(mpsc::Sender<Vec<u8>>),
}

impl Found {
    fn is_unwanted(&self) -> bool {
        match self {
            Self::Providers(sender) => sender.is_closed(),
            Self::Records(sender) => sender.is_closed(),
        }
    }
}

/// Hands results to `take` until there are no more, or for `within`. Once `take` says that something is found, the rest
/// gets as long again as that took, since a node that does not answer must not make a fetch wait.
pub async fn collect<T>(mut results: mpsc::Receiver<T>, within: Duration, mut take: impl FnMut(T) -> bool) {
    let start = Instant::now();
    let mut deadline = start + within;
    let mut is_found = false;
    while let Ok(Some(result)) = timeout_at(deadline, results.recv()).await {
        if take(result) && !is_found {
            is_found = true;
            deadline = deadline.min(Instant::now() + start.elapsed() + MORE);
        }
    }
}

impl Actor {
    pub(super) fn on_kad(&mut self, event: Event) {
        match event {
            Event::InboundRequest {
                request: InboundRequest::AddProvider { record: Some(record) },
            } => self.provider_offered(record),
            Event::InboundRequest {
                request:
                    InboundRequest::PutRecord {
                        source,
                        record: Some(record),
                        ..
                    },
            } => self.endpoint_offered(source, record),
            Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.progressed(id, result);
                if step.last {
                    self.lookups.running.remove(&id);
                    self.lookups.announcing.remove(&id);
                    self.announce();
                }
            }
            _ => {}
        }
    }

    pub(super) fn find_providers(&mut self, key: RecordKey, found: mpsc::Sender<Vec<PeerId>>) {
        if self.lookups.running.len() < self.limits.lookups_max {
            let id = self.swarm.behaviour_mut().kad.get_providers(key);
            self.lookups.running.insert(id, Found::Providers(found));
        }
    }

    pub(super) fn find_endpoint(&mut self, node: &PublicKey, found: mpsc::Sender<Vec<u8>>) {
        if self.lookups.running.len() < self.limits.lookups_max {
            let id = self.swarm.behaviour_mut().kad.get_record(endpoint_key(node));
            self.lookups.running.insert(id, Found::Records(found));
        }
    }

    /// A reader that is too slow misses results; a look-up without reader ends.
    fn progressed(&mut self, id: QueryId, result: QueryResult) {
        match (self.lookups.running.get(&id), result) {
            (
                Some(Found::Providers(found)),
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })),
            ) => {
                let _ = found.try_send(providers.into_iter().collect());
            }
            (
                Some(Found::Records(found)),
                QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found_record))),
            ) => {
                let _ = found.try_send(found_record.record.value);
            }
            _ => {}
        }
    }

    /// Ends look-ups that nobody waits for.
    pub(super) fn stop_unwanted_lookups(&mut self) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        self.lookups.running.retain(|id, found| {
            if found.is_unwanted()
                && let Some(mut query) = kad.query_mut(id)
            {
                query.finish();
            }
            !found.is_unwanted()
        });
    }

    /// Somebody says that it has a root. Nobody can say so for others.
    fn provider_offered(&mut self, mut record: ProviderRecord) {
        let Some(link) = self.links.get(&record.provider).filter(|link| !link.is_refused()) else {
            return;
        };
        record.addresses.retain(book::is_dialable);
        record.addresses.truncate(book::ADDRESSES_MAX);
        if record.addresses.is_empty() {
            // Without addresses the provider would be left out of answers, unless it happens to be in our table.
            record.addresses = link
                .addresses()
                .iter()
                .map(|a| book::full(a, &record.provider))
                .collect::<Vec<Multiaddr>>();
        }
        if self
            .swarm
            .behaviour_mut()
            .kad
            .store_mut()
            .add_provider(record)
            .is_err()
        {
            self.metrics.records_refused.inc();
        }
    }

    /// Somebody hands us a record to keep. Only endpoint records are kept, after a look at the signature.
    fn endpoint_offered(&mut self, source: PeerId, record: Record) {
        if self.is_refused(&source) || self.checks.len() >= self.limits.checks_max {
            return;
        }
        let Some(node) = endpoint_node(&record.key).filter(|_| record.value.len() <= MESSAGE_BYTES_MAX)
        else {
            let result = Err(Flaw::Wrong("not an endpoint record".into()));
            return self.endpoint_checked(record, source, result);
        };
        let chain = self.network.chain.clone();
        self.checks.spawn(async move {
            let result = match message::read::<Endpoint>(&record.value, &chain, now_ms()) {
                Ok(endpoint) if endpoint.node == node => Ok(endpoint.until_ms),
                Ok(_) => Err(Flaw::Wrong(
                    "the endpoint of another node than its key says".into(),
                )),
                Err(flaw) => Err(flaw),
            };
            Checked::Endpoint {
                record,
                source,
                result,
            }
        });
    }

    pub(super) fn endpoint_checked(&mut self, mut record: Record, source: PeerId, result: Result<u64, Flaw>) {
        match result {
            Ok(until_ms) => {
                record.expires = record
                    .expires
                    .min(Some(instant(until_ms)))
                    .or_else(|| Some(instant(until_ms)));
                if self.swarm.behaviour_mut().kad.store_mut().put(record).is_err() {
                    self.metrics.records_refused.inc();
                }
            }
            Err(Flaw::Stale { .. }) => {}
            Err(Flaw::Wrong(reason)) => {
                self.metrics.records_refused.inc();
                self.fault(source, REFUSED, &format!("a record to keep: {reason}"));
            }
        }
    }

    /// Announces a root, or stops.
    pub(super) fn provide(&mut self, key: RecordKey, wanted: bool) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        if !wanted {
            kad.stop_providing(&key);
            return;
        }
        if kad.store_mut().is_own(&key) {
            return;
        }
        // In the store at once, so that we answer for it before the announcement had its turn.
        let own = ProviderRecord::new(key.clone(), *self.swarm.local_peer_id(), Vec::new());
        if self
            .swarm
            .behaviour_mut()
            .kad
            .store_mut()
            .add_provider(own)
            .is_err()
        {
            let max = self.limits.provided_max;
            tracing::warn!(
                max,
                "a root is not announced: there are too many; others find it on this node only by chance"
            );
            return;
        }
        self.lookups.waiting.push_back(key);
        self.announce();
    }

    /// Announces everything again: what was announced to nobody is known to nobody.
    pub(super) fn announce_all(&mut self) {
        let provided = self.swarm.behaviour_mut().kad.store_mut().provided();
        self.lookups.waiting = provided.map(|record| record.key.clone()).collect();
        if let Some(record) = self.lookups.endpoint.clone() {
            self.put_endpoint(record);
        }
        self.announce();
    }

    /// A few at a time, since each is a look-up and twenty messages.
    fn announce(&mut self) {
        while self.lookups.announcing.len() < ANNOUNCING_MAX
            && let Some(key) = self.lookups.waiting.pop_front()
        {
            let kad = &mut self.swarm.behaviour_mut().kad;
            if kad.store_mut().is_own(&key)
                && let Ok(id) = kad.start_providing(key)
            {
                self.lookups.announcing.insert(id);
            }
        }
    }

    /// Takes our own endpoint record.
    pub(super) fn set_endpoint(&mut self, endpoint: Signed<Endpoint>) {
        let value = endpoint.encode();
        match message::check(endpoint, &self.network.chain, now_ms()) {
            Ok(endpoint) => {
                let mut record = Record::new(endpoint_key(&endpoint.node), value);
                record.expires = Some(instant(endpoint.until_ms));
                self.lookups.endpoint = Some(record.clone());
                self.put_endpoint(record);
            }
            Err(flaw) => tracing::error!(?flaw, "our own endpoint record is not good, and not published"),
        }
    }

    fn put_endpoint(&mut self, record: Record) {
        if let Err(error) = self.swarm.behaviour_mut().kad.put_record(record, Quorum::One) {
            tracing::warn!(%error, "our endpoint record is not published");
        }
    }
}

/// The monotonic clock's time for a time of day.
fn instant(until_ms: u64) -> std::time::Instant {
    std::time::Instant::now() + Duration::from_millis(until_ms.saturating_sub(now_ms()))
}
