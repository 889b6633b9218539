//! How a page is had: from what is kept, with others who ask for the same, or alone.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::download::{Rest, next, part};
use super::exchange::Reply;
use super::fault::Fault;
use super::flight::{self, Coming, How, Outcome, Pilot, Seat};
use super::head;
use super::policy::Terms;
use super::store::{Known, Page, Stored, Variant};
use super::{COMING_UNIT, Got, Marks, Origins, Site, Want};

impl Origins {
    /// The page in the variant of this reader. What it varies by is known from its answers alone: if one says more than
    /// was known, it is asked for once more, now with what the reader sends.
    pub(super) async fn page(&self, site: &Arc<Site>, want: &Want) -> Result<Got, Fault> {
        let page = Page {
            site: format!("{} {}", site.name, site.origin).into(),
            target: want.target.as_str().into(),
        };
        let mut varies = self.0.kept.varies(&page);
        loop {
            let variant = Variant {
                selected: head::select(&varies, &want.headers),
                page: page.clone(),
            };
            let got = self.variant(site, want, &variant).await?;
            let more = head::varies(got.headers());
            self.0.kept.learn(&page, &more);
            let before = varies.len();
            varies = merge(&varies, &more);
            let same = head::select(&varies, &want.headers) == variant.selected;
            if same || varies.len() == before {
                return Ok(got);
            }
        }
    }

    async fn variant(&self, site: &Arc<Site>, want: &Want, variant: &Variant) -> Result<Got, Fault> {
        let known = self.0.kept.look(variant);
        if let Known::Answer(stored) = &known
            && stored.terms.is_fresh(SystemTime::now())
        {
            return Ok(Got::Stored(Arc::clone(stored), How::Hit));
        }
        if want.only_if_cached {
            return Err(Fault::NotCached);
        }
        let shareable =
            !want.head && !want.headers.contains_key(header::RANGE) && !matches!(known, Known::Pass);
        if !shareable {
            return self.alone(site, want, variant).await;
        }
        match self.0.flights.join(variant) {
            Seat::First(pilot) => {
                let stale = match known {
                    Known::Answer(stored) => Some(stored),
                    _ => None,
                };
                let (origins, site, marks) = (self.clone(), Arc::clone(site), want.marks.clone());
                let fetch = async move { origins.fetch(&site, pilot, stale, marks).await };
                let fetched = tokio::spawn(fetch).await;
                fetched.unwrap_or_else(|_| Err(Fault::Unreachable("the node has a fault".into())))
            }
            Seat::Other(passenger) => match passenger.outcome().await {
                Outcome::Stored(stored, how) => Ok(Got::Stored(stored, how)),
                Outcome::Coming(coming) => Ok(Got::Coming(coming)),
                Outcome::Failed(fault) => Err(fault),
                Outcome::Alone => self.alone(site, want, variant).await,
            },
        }
    }

    /// A request for one reader, whose answer is not kept.
    async fn alone(&self, site: &Site, want: &Want, variant: &Variant) -> Result<Got, Fault> {
        let mut with = variant.selected.clone();
        with.extend_from_slice(&want.marks);
        if !want.head {
            let named = [header::RANGE, header::IF_RANGE];
            with.extend(named.into_iter().filter_map(|name| {
                let value = want.headers.get(&name)?.clone();
                Some((name, value))
            }));
        }
        let method = if want.head { Method::HEAD } else { Method::GET };
        let request = head::request(site, &method, &variant.page.target, &with);
        let reply = self.0.exchanges.send(&site.origin, request).await?;
        Ok(self.piped(site, reply, Vec::new()))
    }

    /// The fetch that others may share.
    async fn fetch(
        &self,
        site: &Site,
        pilot: Pilot,
        stale: Option<Arc<Stored>>,
        marks: Marks,
    ) -> Result<Got, Fault> {
        let variant = pilot.variant().clone();
        let asked = self.ask(site, &variant, stale.as_deref(), &marks).await;
        let ill = match &asked {
            Ok(Asked::Reply(reply)) => reply.head.status.is_server_error(),
            Ok(Asked::Renewed(_)) => false,
            Err(fault) => fault.is_illness(),
        };
        if let Some(stored) = stale.filter(|stored| ill && stored.terms.may_stand_in(SystemTime::now())) {
            pilot.tell(Outcome::Stored(Arc::clone(&stored), How::Stale));
            return Ok(Got::Stored(stored, How::Stale));
        }
        match asked {
            Err(fault) => {
                pilot.tell(Outcome::Failed(fault.clone()));
                Err(fault)
            }
            Ok(Asked::Renewed(stored)) => {
                self.0.kept.keep(&variant, Arc::clone(&stored));
                pilot.tell(Outcome::Stored(Arc::clone(&stored), How::Renewed));
                Ok(Got::Stored(stored, How::Renewed))
            }
            Ok(Asked::Reply(reply)) => self.take(site, pilot, *reply).await,
        }
    }

    /// Asks the origin, first whether what is here has changed.
    async fn ask(
        &self,
        site: &Site,
        variant: &Variant,
        stale: Option<&Stored>,
        marks: &Marks,
    ) -> Result<Asked, Fault> {
        let mut with = variant.selected.clone();
        with.extend_from_slice(marks);
        let plain = with.len();
        with.extend(stale.into_iter().flat_map(Stored::validators));
        let reply = self.send(site, variant, &with).await?;
        let (Some(stale), StatusCode::NOT_MODIFIED) = (stale, reply.head.status) else {
            return Ok(Asked::Reply(Box::new(reply)));
        };
        let shown = head::outgoing(site, &reply.head.headers);
        match stale.renewed(&reply.head.headers, &shown, reply.sent, reply.received) {
            Some(stored) => Ok(Asked::Renewed(Arc::new(stored))),
            None => {
                drop(reply);
                let reply = self.send(site, variant, &with[..plain]).await?;
                Ok(Asked::Reply(Box::new(reply)))
            }
        }
    }

    async fn send(
        &self,
        site: &Site,
        variant: &Variant,
        with: &[(HeaderName, HeaderValue)],
    ) -> Result<Reply, Fault> {
        let request = head::request(site, &Method::GET, &variant.page.target, with);
        self.0.exchanges.send(&site.origin, request).await
    }

    /// Keeps an answer if that is allowed and it fits, and shares it if it is kept.
    async fn take(&self, site: &Site, pilot: Pilot, reply: Reply) -> Result<Got, Fault> {
        let Reply {
            head, sent, received, ..
        } = &reply;
        let terms = Terms::of(head.status, &head.headers, *sent, *received);
        let length = head::length(&head.headers);
        let room = self.room(length.unwrap_or(self.0.answer_bytes_max));
        match (terms, room, length) {
            (Some(terms), Some(room), Some(length)) => {
                let shown = head::outgoing(site, &reply.head.headers);
                let coming = Arc::new(Coming::new(reply.head.status, shown, length));
                pilot.tell(Outcome::Coming(Arc::clone(&coming)));
                tokio::spawn(fill(self.clone(), pilot, Arc::clone(&coming), terms, reply, room));
                Ok(Got::Coming(coming))
            }
            // What ends with its connection may have been cut off: nobody can tell.
            (Some(terms), Some(room), None) if reply.head.headers.contains_key(header::TRANSFER_ENCODING) => {
                self.gather(site, pilot, terms, reply, room).await
            }
            _ => Ok(self.single(site, &pilot, reply, Vec::new())),
        }
    }

    /// An answer that does not say how long it is: it is kept and shared once all of it is here.
    async fn gather(
        &self,
        site: &Site,
        pilot: Pilot,
        terms: Terms,
        mut reply: Reply,
        room: OwnedSemaphorePermit,
    ) -> Result<Got, Fault> {
        let (mut parts, mut bytes) = (Vec::new(), 0);
        let deadline = Instant::now() + self.0.exchanges.patience;
        loop {
            match timeout_at(deadline, part(&mut reply.body)).await {
                Ok(Ok(None)) => break,
                Ok(Ok(Some(part))) => {
                    bytes += part.len() as u64;
                    parts.push(part);
                    if bytes > self.0.answer_bytes_max {
                        return Ok(self.single(site, &pilot, reply, parts));
                    }
                }
                // It trickles: nobody waits for its end.
                Err(_) => return Ok(self.single(site, &pilot, reply, parts)),
                Ok(Err(error)) => {
                    let fault = Fault::Malformed(error.to_string());
                    pilot.tell(Outcome::Failed(fault.clone()));
                    return Err(fault);
                }
            }
        }
        drop(room);
        let stored = Arc::new(Stored {
            status: reply.head.status,
            headers: head::outgoing(site, &reply.head.headers),
            body: parts.concat().into(),
            terms,
        });
        self.0.kept.keep(pilot.variant(), Arc::clone(&stored));
        pilot.tell(Outcome::Stored(Arc::clone(&stored), How::Miss));
        Ok(Got::Stored(stored, How::Miss))
    }

    /// An answer for the one reader who asked; who comes next need not wait to see that.
    fn single(&self, site: &Site, pilot: &Pilot, reply: Reply, first: Vec<Bytes>) -> Got {
        // An origin that is ill may be well again with the next request.
        if !reply.head.status.is_server_error() {
            self.0.kept.pass(pilot.variant());
        }
        pilot.tell(Outcome::Alone);
        self.piped(site, reply, first)
    }

    fn piped(&self, site: &Site, reply: Reply, first: Vec<Bytes>) -> Got {
        let mut head = reply.head;
        head.headers = head::outgoing(site, &head.headers);
        let parts = flight::pipe(Rest {
            first: first.into_iter(),
            body: reply.body,
            patience: self.0.exchanges.patience,
            _line: reply.line,
        });
        Got::Piped(head, parts)
    }

    /// Room in memory for a body on its way into the cache.
    fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        if bytes > self.0.answer_bytes_max {
            return None;
        }
        let units = u32::try_from(bytes.div_ceil(COMING_UNIT)).ok()?;
        Arc::clone(&self.0.coming).try_acquire_many_owned(units).ok()
    }
}

/// What the origin said.
enum Asked {
    Reply(Box<Reply>),
    /// What was here is good again.
    Renewed(Arc<Stored>),
}

/// Reads a body to its end for all who wait for it, and keeps it if it is whole.
async fn fill(
    origins: Origins,
    pilot: Pilot,
    coming: Arc<Coming>,
    terms: Terms,
    mut reply: Reply,
    room: OwnedSemaphorePermit,
) {
    let mut left = coming.length;
    let whole = loop {
        match next(&mut reply.body, origins.0.exchanges.patience).await {
            Ok(None) => break left == 0,
            Ok(Some(part)) if part.len() as u64 <= left => {
                left -= part.len() as u64;
                coming.push(part);
            }
            Ok(Some(_)) | Err(_) => break false,
        }
    };
    if whole {
        let stored = Stored {
            status: coming.status,
            headers: coming.headers.clone(),
            body: coming.parts().concat().into(),
            terms,
        };
        origins.0.kept.keep(pilot.variant(), Arc::new(stored));
    }
    coming.end(whole);
    drop((pilot, room));
}

fn merge(known: &[HeaderName], more: &[HeaderName]) -> Arc<[HeaderName]> {
    let mut names: Vec<HeaderName> = known.iter().chain(more).cloned().collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names.into()
}
