//! From a request to its answer.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use named::dap::Zones;
use serde::Serialize;
use storage::FileReader;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::admission::{Asker, Gate, Note};
use super::clock;
use super::request::Usual;
use super::tunnel::Tunnel;
use crate::ask::format::wants_html;
use crate::ask::host::Hosts;
use crate::ask::{self, Ask, Decision};
use crate::backend::Backend;
use crate::body::{Body, Held};
use crate::config::{Card, Config, Limits};
use crate::deny::{Allowed, Denylists};
use crate::desk::{Desk, Rules, Tried};
use crate::domains::{Domains as _, KnownDomains};
use crate::door::{Doors, Provider, nearest, provider};
use crate::escape;
use crate::fast::{Again, Asked, Basis, Fast, Found, Sent, Way};
use crate::fetches::{Fetches, Place};
use crate::flights::{Lead, Turn};
use crate::guard::hops::CDN_LOOP;
use crate::guard::trace::TRACEPARENT;
use crate::guard::{Admitted, Seat};
use crate::journal::Line;
use crate::labour::Labour;
use crate::metrics::Metrics;
use crate::origin::{Origins, Site, Want};
use crate::pac;
use crate::pack::Packer;
use crate::page::landing::{self, Door};
use crate::problem::Problem;
use crate::reply;
use crate::trail::Trail;

use super::upgrade::Upgrade;

/// The body of a request, whatever it came by. Few questions have one.
pub(crate) type Upload = UnsyncBoxBody<Bytes, BoxError>;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who asks, and how its request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether it came to the listener that is for other nodes.
    pub is_node: bool,
}

/// Answers requests; a clone shares everything.
#[derive(Clone)]
pub(super) struct Service(Arc<Shared>);

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Served {
    shared: Arc<Shared>,
    client: Client,
    seat: Seat,
    /// Where a tunnel may be asked for.
    tunnel: Option<Tunnel>,
}

/// An answer from memory that may be given now.
pub(super) struct Quick {
    /// The answer.
    pub found: Found,
    /// What it holds until it is sent, if that may take time.
    pub held: Option<Held>,
}

struct Shared {
    hosts: Arc<Hosts>,
    card: Card,
    desk: Arc<Desk>,
    fast: Fast,
    doors: Doors,
    provider: Provider,
    gate: Gate,
    limits: Limits,
    upgrade: Option<Upgrade>,
    /// Whether readers are sent to the edge that should serve them.
    sends_on: bool,
    origins: Option<Origins>,
    metrics: Arc<Metrics>,
}

impl Service {
    pub(super) fn new(
        config: &Config,
        backend: Backend,
        gate: Gate,
        labour: Labour,
        denylists: Arc<Denylists>,
        upgrade: Option<Upgrade>,
        stop: CancellationToken,
    ) -> Self {
        let Backend {
            blocks,
            names,
            ipns,
            domains,
            node,
            dns,
            upstream,
            origins,
        } = backend;
        let (limits, metrics) = (&config.limits, gate.metrics());
        let hosts = Hosts {
            gateways: config
                .hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            tlds: names.tlds().clone(),
            zones: Zones::new(names.tlds(), &config.alias_zones),
        };
        let fast = Fast::new(config.memory_bytes, Arc::clone(&blocks), Arc::clone(&names));
        let desk = Desk {
            source: Arc::new(Allowed {
                source: fast.over(blocks),
                lists: Arc::clone(&denylists),
            }),
            fast: fast.clone(),
            denylists,
            packer: Packer::new(limits.compressions_max, labour.clone()),
            labour,
            fills: Arc::default(),
            names,
            ipns,
            domains: KnownDomains::new(&config.dnslinks, domains),
            listing_entries_max: limits.listing_entries_max,
            listings: Semaphore::new(limits.listings_max),
            cars: Arc::new(Semaphore::new(limits.cars_max)),
            fetches: Fetches::new(
                limits.fetches_max,
                limits.absent_ttl,
                upstream,
                Arc::clone(&metrics),
            ),
            rules: Rules::default(),
        };
        let (desk, hosts) = (Arc::new(desk), Arc::new(hosts));
        let face = &config.provider;
        Self(Arc::new(Shared {
            doors: Doors::new(node, dns, Arc::clone(&desk), Arc::clone(&hosts), stop),
            provider: Provider::new(Arc::clone(&desk), face.allowance, &face.hosts),
            hosts,
            card: config.card.clone(),
            desk,
            fast,
            gate,
            limits: limits.clone(),
            upgrade,
            sends_on: config.sends_on,
            origins: origins.map(|backend| Origins::new(&config.origins, backend)),
            metrics,
        }))
    }
}

impl Service {
    /// The same service, for one connection.
    pub(super) fn to(&self, client: Client) -> Served {
        Served {
            shared: Arc::clone(&self.0),
            seat: self.0.gate.guard.seat(client.address.ip()),
            client,
            tunnel: None,
        }
    }

    /// Fetches more of large files while readers take parts of them, until `stop`.
    pub(super) fn fill(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let desk = &self.0.desk;
        Arc::clone(&desk.fills).run(Arc::clone(desk), stop)
    }

    /// Whether the other end of a connection is a reader. A trusted proxy is not, its readers are behind it; and other nodes
    /// are no readers.
    pub(super) fn measures(&self, client: &Client) -> bool {
        !client.is_node && !self.0.gate.came(client).trusted
    }

    /// Takes note of how far a reader is, in microseconds.
    pub(super) fn measured(&self, client: &Client, rtt_us: u32) {
        self.0.doors.measured(client.address.ip().to_canonical(), rtt_us);
    }

    /// From now on no answer counts that was kept before: other denylists hold.
    pub(super) fn forget(&self) {
        self.0.fast.forget();
    }
}

impl hyper::service::Service<Request<Incoming>> for Served {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let served = self.clone();
        let tunnel = self
            .tunnel
            .clone()
            .filter(|_| request.method() == Method::CONNECT);
        if let Some(tunnel) = &tunnel {
            tunnel.ask(&mut request);
        }
        let request = request.map(|body| body.map_err(BoxError::from).boxed_unsync());
        Box::pin(async move {
            let response = served.answer(request).await;
            if let Some(tunnel) = tunnel.filter(|_| !response.status().is_success()) {
                tunnel.refuse();
            }
            Ok(response)
        })
    }
}

impl Served {
    /// The answer to a request from memory, if it is there as a whole. Every answer that does not go through
    /// [`Served::answer`] goes through here.
    pub(super) fn quick(&self, asked: &Asked<'_>) -> Option<Quick> {
        // What other nodes take is counted.
        if self.client.is_node {
            return None;
        }
        self.shared.quick(asked, Version::HTTP_11, self.seat, u64::MAX)
    }

    /// Whether an answer that [`Served::quick`] has given may be given again as it was; it is counted then.
    pub(super) fn again(&self, again: &Again) -> bool {
        let shared = &self.shared;
        // Who is written down, is so by `note`.
        let may = shared.gate.journal.is_none() && shared.fast.counts(again);
        let goes = may && shared.gate.guard.count(self.seat).is_ok();
        if goes {
            shared.metrics.remembered();
            shared
                .metrics
                .at_once(Version::HTTP_11, again.status, again.bytes);
        }
        goes
    }

    /// Notes in the access log what was answered from memory: at once, or when it has been sent.
    pub(super) fn note(&self, usual: &Usual<'_, '_>, quick: &mut Quick) {
        let Some(journal) = &self.shared.gate.journal else {
            return;
        };
        let line = Line {
            client: self.client.address.ip().to_canonical(),
            at: SystemTime::now(),
            host: usual.header("host"),
            target: usual.target().as_bytes(),
            status: quick.found.status().as_u16(),
            bytes: quick.found.sent.length(),
            referer: usual.header("referer"),
            agent: usual.header("user-agent"),
            ..Line::default()
        };
        match &mut quick.held {
            Some(held) => held.note = Some(Note::of(journal, &line)),
            None => journal.note(&line),
        }
    }

    /// A small answer from memory, for a version of HTTP in which it is one of several on a connection.
    pub(super) fn at_once<B>(&self, request: &Request<B>) -> Option<(Response<()>, Bytes)> {
        let version = request.version();
        let way = self.way(version);
        let asked = Asked::of(request.method(), request.uri(), version, request.headers(), way)?;
        // Who is written down, is so in the usual way.
        if self.client.is_node || self.shared.gate.journal.is_some() {
            return None;
        }
        let quick = self.shared.quick(&asked, version, self.seat, AT_ONCE_BYTES_MAX)?;
        let found = quick.found;
        let (mut head, ()) = found.respond(()).into_parts();
        head.headers.insert(header::DATE, clock::date());
        let body = match found.sent {
            Sent::Bytes(bytes) => bytes,
            // A small range over the end of a block.
            Sent::Several(parts) => parts.concat().into(),
            Sent::Nothing | Sent::Blocks { .. } => Bytes::new(),
        };
        Some((Response::from_parts(head, ()), body))
    }

    /// Its client broke the protocol, or went beyond a bound: the connection is over.
    pub(super) fn blame(&self) {
        // A proxy may not suffer for one of those behind it.
        if !self.shared.gate.came(&self.client).trusted {
            self.shared.gate.guard.blame(self.seat);
        }
    }

    /// How long its client may open no connection.
    pub(super) fn barred(&self) -> Option<Duration> {
        self.shared.gate.guard.barred(self.seat)
    }

    /// Who asks.
    pub(super) fn client(&self) -> Client {
        self.client
    }

    /// How requests of this version come here: what one may say of itself is a part of that.
    pub(super) fn way(&self, version: Version) -> Way {
        Way::of(version, self.shared.gate.came(&self.client))
    }

    /// The same, for a connection that may become a tunnel.
    pub(super) fn offering(self, tunnel: Tunnel) -> Self {
        Self {
            tunnel: Some(tunnel),
            ..self
        }
    }

    /// Answers a request, by whichever version of HTTP it came.
    pub(super) async fn answer(&self, request: Request<Upload>) -> Response<Body> {
        let (parts, upload) = request.into_parts();
        if parts.method == Method::CONNECT && self.tunnel.is_none() {
            return refuse(&Problem::method(&parts.method), &parts);
        }
        let asker = self.shared.gate.asker(self.client, self.seat, &parts.headers);
        self.shared.answer(&parts, upload, &asker).await
    }
}

impl Shared {
    /// Answers, and keeps the request's place until the last byte of the answer is handed over.
    async fn answer(&self, request: &Parts, upload: Upload, asker: &Asker) -> Response<Body> {
        let receipt = self.metrics.request();
        let admission = self.gate.admit(asker, &request.headers);
        // A body that nobody reads would have to be skipped before the next request.
        let unread = !upload.is_end_stream();
        let mut response = match &admission {
            Ok(_) => self.remembered(request, upload, asker).await,
            Err(problem) => self.refused(problem, request, asker),
        };
        let streaming = response
            .body()
            .is_stream()
            .then(|| self.gate.stream(asker))
            .transpose();
        let streaming = streaming.unwrap_or_else(|problem| {
            response = self.refused(&problem, request, asker);
            None
        });
        if unread && request.version < Version::HTTP_2 {
            response
                .headers_mut()
                .insert(header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        asker.stamp(&request.headers, &mut response);
        self.metrics.spoken(request.version);
        receipt.answered(response.status());
        let note = self.gate.note(asker, request, &response);
        let head_only = request.method == Method::HEAD;
        let end = Instant::now() + self.limits.request_timeout;
        response.map(|body| {
            debug_assert!(!head_only || hyper::body::Body::is_end_stream(&body));
            let held = Held {
                receipt,
                note,
                _places: (admission.ok(), streaming),
            };
            body.holding(held).within(self.limits.silence_timeout, end)
        })
    }

    /// Answers from memory, or in the usual way; then what was answered is kept.
    async fn remembered(&self, request: &Parts, upload: Upload, asker: &Asker) -> Response<Body> {
        let asked = Asked::of(
            &request.method,
            &request.uri,
            request.version,
            &request.headers,
            Way::of(request.version, asker.came),
        );
        let Some(asked) = asked.filter(|_| !asker.client.is_node) else {
            return self.in_time(request, upload, asker).await;
        };
        if let Some(found) = self.fast.find(&asked) {
            self.metrics.remembered();
            return self.recall(found);
        }
        let response = self.in_time(request, upload, asker).await;
        self.fast.keep(&asked, &response);
        response
    }

    fn recall(&self, mut found: Found) -> Response<Body> {
        let body = match std::mem::replace(&mut found.sent, Sent::Nothing) {
            Sent::Nothing => Body::empty(),
            Sent::Bytes(bytes) => Body::whole(bytes),
            Sent::Several(parts) => Body::several(parts),
            Sent::Blocks { first, leaves, rest } => {
                let gone = CancellationToken::new();
                let trail = self.desk.trail(*found.root(), true, gone.clone());
                let pieces = FileReader::over(Arc::clone(&trail), &leaves, rest);
                trail.forget();
                self.desk.pieces(first, pieces, &trail).guarded(gone.drop_guard())
            }
        };
        found.respond(body)
    }

    /// An answer of at most `bytes_max`; none also for a client that asks too much: it is told so in the usual way.
    fn quick(&self, asked: &Asked<'_>, version: Version, seat: Seat, bytes_max: u64) -> Option<Quick> {
        let found = self.fast.find(asked)?;
        let bytes = match &found.sent {
            Sent::Blocks { .. } => return None,
            sent => sent.length(),
        };
        if bytes > bytes_max {
            return None;
        }
        let held = match bytes > AT_ONCE_BYTES_MAX {
            true => Some(Held {
                _places: (Some(self.gate.place(seat).ok()?), None),
                receipt: self.metrics.request(),
                note: None,
            }),
            false => {
                self.gate.guard.count(seat).ok()?;
                None
            }
        };
        self.metrics.remembered();
        self.metrics.at_once(version, found.status(), bytes);
        Some(Quick { found, held })
    }

    /// Answers, if that begins in time; to who came another way and may be told, with where HTTP/3 is: a plain answer
    /// could be anybody's.
    async fn in_time(&self, request: &Parts, upload: Upload, asker: &Asker) -> Response<Body> {
        let decided = timeout(
            self.limits.first_byte_timeout,
            self.decide(request, upload, asker),
        );
        let late = |_| self.refused(&Problem::late(), request, asker);
        let mut response = decided.await.unwrap_or_else(late);
        let alt_svc = self.upgrade.as_ref().and_then(Upgrade::alt_svc);
        let may_be_told = asker.client.secure && request.version < Version::HTTP_3;
        if let Some(alt_svc) = alt_svc.filter(|_| may_be_told) {
            response.headers_mut().insert(header::ALT_SVC, alt_svc.clone());
        }
        response
    }

    async fn decide(&self, request: &Parts, upload: Upload, asker: &Asker) -> Response<Body> {
        // Other nodes follow no redirects.
        if self.is_for_provider(request, asker) {
            return self.provider.answer(request, asker.client).await;
        }
        let better = self.upgrade.as_ref().filter(|_| !asker.client.secure);
        if let Some(to) = better.and_then(|upgrade| upgrade.target(request, asker.came)) {
            let status = StatusCode::PERMANENT_REDIRECT;
            return reply::redirect(status, &to, reply::REVALIDATE);
        }
        let (came, uri, headers) = (asker.came, &request.uri, &request.headers);
        if let Some(door) = ask::door(&self.hosts, came, uri, request.version, headers) {
            return self.doors.answer(door, request, upload, asker.client).await;
        }
        drop(upload);
        let decision = ask::decide(&self.hosts, came, &request.method, uri, request.version, headers);
        self.carry_out(decision, request, asker).await
    }

    async fn carry_out(&self, decision: Decision, request: &Parts, asker: &Asker) -> Response<Body> {
        let head = request.method == Method::HEAD;
        match decision {
            Decision::Content(ask) => self.content_or_onward(ask, request, asker).await,
            Decision::Landing { host, secure } => {
                let scheme = if secure { "https" } else { "http" };
                self.landing(&self.hosts.public(&host), scheme, head).await
            }
            Decision::Card => self.card(head).await,
            Decision::Redirect { status, to } => reply::redirect(status, &to, reply::REVALIDATE),
            Decision::Stranger {
                domain,
                site,
                otherwise,
            } => {
                let decision = match self.is_site(domain).await {
                    Ok(true) => *site,
                    Ok(false) => *otherwise,
                    Err(problem) => Decision::Refuse(problem),
                };
                let mut response = Box::pin(self.carry_out(decision, request, asker)).await;
                // It follows from more than content: from what the DNS says now.
                response.extensions_mut().remove::<Basis>();
                response
            }
            Decision::Pac { authority, secure } => {
                let script = pac::script(&self.hosts.tlds, &authority, secure);
                reply::text(StatusCode::OK, pac::MEDIA, script.into(), head)
            }
            Decision::Tunnel => Response::new(Body::empty()),
            Decision::Options => reply::options(),
            Decision::Refuse(problem) => refuse(&problem, request),
        }
    }

    /// Whether a domain is a site. If nobody knows, neither is served: other content on the host of a site would have the
    /// rights of that site in its readers' browsers.
    async fn is_site(&self, domain: String) -> Result<bool, Problem> {
        let domains = self.desk.domains.clone();
        let asked = domain.clone();
        match spawn_blocking(move || domains.dnslink(&asked)).await {
            Ok(Ok(link)) => Ok(link.is_some()),
            Ok(Err(error)) => Err(Problem::no_record(&domain, &error.to_string())),
            Err(_) => Err(Problem::internal()),
        }
    }

    /// Whether another node asks: at its own listener, or under a name of the face that is for it.
    fn is_for_provider(&self, request: &Parts, asker: &Asker) -> bool {
        let host = asker
            .came
            .authority(&request.uri, request.version, &request.headers);
        asker.client.is_node || host.is_ok_and(|host| self.provider.is_host(&host))
    }

    /// The answer to a request that is not let in, or not answered in time.
    fn refused(&self, problem: &Problem, request: &Parts, asker: &Asker) -> Response<Body> {
        match self.is_for_provider(request, asker) {
            true => provider::refuse(problem),
            false => refuse(problem, request),
        }
    }

    /// Content, or the way to the edge that should serve it.
    async fn content_or_onward(&self, ask: Box<Ask>, request: &Parts, asker: &Asker) -> Response<Body> {
        if self.sends_on
            && nearest::may_go_on(&ask, request)
            && let Some(onward) = self.doors.onward(&ask, asker.client).await
        {
            return onward;
        }
        let is_for_one = self.sends_on && nearest::is_page(&ask, &request.headers);
        let name = ask.address.ledger_name().map(str::to_owned);
        let mut response = self.content(ask, request, asker).await;
        if is_for_one {
            // Another reader may be sent on.
            response.extensions_mut().remove::<Basis>();
        }
        self.doors.accompany(&request.headers, name.as_deref(), response)
    }

    /// Reads for the client as long as it is there.
    async fn content(&self, mut ask: Box<Ask>, request: &Parts, asker: &Asker) -> Response<Body> {
        ask.seat = asker.seat;
        let gone = CancellationToken::new();
        let reading = gone.clone().drop_guard();
        let response = self.read(&Arc::from(ask), request, asker, gone).await;
        response.map(|body| body.guarded(reading))
    }

    /// Reads what is here; if a block is wanting, waits with all others who want it, or fetches it for them.
    async fn read(
        &self,
        ask: &Arc<Ask>,
        request: &Parts,
        asker: &Asker,
        gone: CancellationToken,
    ) -> Response<Body> {
        let told = |problem| self.desk.told(ask, Err(problem));
        for _ in 0..TURNS_MAX {
            let (desk, asked, gone) = (Arc::clone(&self.desk), Arc::clone(ask), gone.clone());
            let (settled, trail, wanted) = match spawn_blocking(move || desk.here(&asked, gone)).await {
                Ok(Tried::Answered(response)) => return *response,
                Ok(Tried::Elsewhere(settled, trail, wanted)) => (settled, trail, wanted),
                Ok(Tried::Origin(site)) => return self.origin(ask, request, asker, *site).await,
                Err(error) => return panicked(ask, &error),
            };
            if self.desk.fetches.is_absent(&wanted) {
                return told(Problem::not_here(&wanted.block, false));
            }
            match self.desk.fetches.turn(wanted) {
                Turn::Lead(lead) => {
                    return match self.place(asker).await {
                        Ok(place) => self.elsewhere(&settled, trail, lead, place).await,
                        Err(problem) => told(problem),
                    };
                }
                Turn::Follow(follow) => {
                    if let Err(problem) = follow.end().await {
                        return told(problem);
                    }
                }
            }
        }
        told(Problem::busy_fetching())
    }

    /// A place to wait for others, if there is one for this client.
    async fn place(&self, asker: &Asker) -> Result<(Place, Admitted), Problem> {
        let counted = self.gate.guard.fetch(asker.seat).map_err(Problem::too_much)?;
        let place = self.desk.fetches.place_soon().await;
        place
            .map(|place| (place, counted))
            .ok_or_else(Problem::busy_fetching)
    }

    async fn elsewhere(
        &self,
        ask: &Arc<Ask>,
        trail: Arc<Trail>,
        lead: Lead,
        place: (Place, Admitted),
    ) -> Response<Body> {
        let (desk, asked) = (Arc::clone(&self.desk), Arc::clone(ask));
        let answered = spawn_blocking(move || {
            let response = desk.elsewhere(&asked, &trail, Some(lead));
            drop(place);
            response
        });
        answered.await.unwrap_or_else(|error| panicked(ask, &error))
    }

    async fn origin(&self, ask: &Ask, request: &Parts, asker: &Asker, site: Site) -> Response<Body> {
        let want = Want {
            head: ask.head,
            target: request
                .uri
                .path_and_query()
                .map_or("/", PathAndQuery::as_str)
                .to_owned(),
            headers: ask.headers.clone(),
            marks: vec![
                (CDN_LOOP, self.gate.hops.onward(&request.headers)),
                (TRACEPARENT, asker.trace.value()),
            ],
            only_if_cached: ask.only_if_cached,
        };
        let answered = match &self.origins {
            Some(origins) => origins.answer(site, &want).await,
            None => Err(Problem::name_empty(&site.name)),
        };
        answered.unwrap_or_else(|problem| reply::problem(&problem, wants_html(&ask.headers), ask.head))
    }

    async fn landing(&self, host: &str, scheme: &str, head: bool) -> Response<Body> {
        let html = landing::render(&Door {
            scheme,
            host,
            tld: self.hosts.tlds.own(),
            height: self.height().await,
            card: &self.card,
        });
        let mut response = reply::page(StatusCode::OK, html, head);
        let policy = escape::header(&landing::policy(host));
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    }

    async fn height(&self) -> u64 {
        let names = Arc::clone(&self.desk.names);
        spawn_blocking(move || names.height()).await.unwrap_or_default()
    }

    async fn card(&self, head: bool) -> Response<Body> {
        let card = LiveCard {
            card: &self.card,
            tld: self.hosts.tlds.own(),
            height: self.height().await,
        };
        match serde_json::to_vec(&card) {
            Ok(json) => reply::text(StatusCode::OK, "application/json", json.into(), head),
            Err(_) => reply::problem(&Problem::internal(), false, head),
        }
    }
}

/// What a socket takes at once even from a client that reads nothing, so that nothing is held for it.
const AT_ONCE_BYTES_MAX: u64 = 16 << 10;

/// Blocks that a request waits for while others fetch them, at most: a path through deep folders has some dozens.
const TURNS_MAX: usize = 256;

fn panicked(ask: &Ask, error: &JoinError) -> Response<Body> {
    tracing::error!(%error, "a request made the gateway panic");
    reply::problem(&Problem::internal(), wants_html(&ask.headers), ask.head)
}

#[derive(Serialize)]
struct LiveCard<'a> {
    #[serde(flatten)]
    card: &'a Card,
    tld: &'a str,
    height: u64,
}

fn refuse(problem: &Problem, request: &Parts) -> Response<Body> {
    reply::problem(
        problem,
        wants_html(&request.headers),
        request.method == Method::HEAD,
    )
}
