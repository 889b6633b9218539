//! A gateway in front of an origin that does as a test says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::{Backend, Config, Free, Gateway, Looked, Lookup, Meter, Meters, OriginBackend};
use ledger::{Address, Records};
use prometheus_client::registry::Registry;
use storage::Store;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Answer, raw, request};
use crate::site::{Book, backend};

/// The name that is served, and the host of its origin.
pub const NAME: &str = "shop.ddn";
pub const HOST: &str = "origin.example";
/// How long the gateways of these tests wait for an origin that says nothing.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// What an origin does with a request.
pub enum Step {
    /// Sends these bytes, and closes.
    Say(Vec<u8>),
    /// Sends these bytes, and leaves the connection open until the other end closes it.
    Hold(Vec<u8>),
    /// Sends these bytes again and again, as long as they are taken.
    Repeat(Vec<u8>, Vec<u8>),
}

/// `200` with this head and body.
pub fn ok(head: &str, body: impl AsRef<[u8]>) -> Step {
    answer("200 OK", head, body)
}

pub fn answer(status: &str, head: &str, body: impl AsRef<[u8]>) -> Step {
    let body = body.as_ref();
    let start = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{head}\r\n",
        body.len()
    );
    Step::Say([start.as_bytes(), body].concat())
}

pub fn say(text: &str) -> Step {
    Step::Say(text.into())
}

/// An origin that listens, and remembers what it was asked.
pub struct Origin {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    /// Connections whose other end has closed.
    closed: Arc<AtomicU64>,
}

impl Origin {
    /// Answers each request by its target and its whole head. It consents to [`NAME`].
    pub async fn new(answer: impl Fn(&str, &str) -> Step + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", move |target, head| match target {
            "/.well-known/ddn-origin" => ok("", "shop.ddn token\n"),
            _ => answer(target, head),
        })
        .await
    }

    /// The same without consent, at an address.
    pub async fn on(address: &str, answer: impl Fn(&str, &str) -> Step + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let origin = Self {
            address: listener.local_addr().expect("an address"),
            asked: Arc::default(),
            closed: Arc::default(),
        };
        let (asked, closed, answer) = (origin.asked.clone(), origin.closed.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, closed, answer) = (asked.clone(), closed.clone(), answer.clone());
                tokio::spawn(async move {
                    serve(stream, &asked, &*answer).await;
                    closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        origin
    }

    /// The heads of the requests so far, those for its consent left out.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.heads();
        asked.retain(|head| !head.starts_with("GET /.well-known/ddn-origin "));
        asked
    }

    /// All heads.
    pub fn heads(&self) -> Vec<String> {
        self.asked.lock().expect("no panic holds it").clone()
    }

    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::SeqCst)
    }

    /// As the record of a name has it.
    pub fn url(&self) -> String {
        format!("http://{HOST}:{}", self.address.port())
    }
}

async fn serve(
    mut stream: TcpStream,
    asked: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str, &str) -> Step + Send + Sync),
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).expect("a head of text");
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().expect("no panic holds it").push(head.clone());
    // Whoever was sent enough closes, and then there is nothing more to do.
    let _ = act(stream, answer(&target, &head)).await;
}

async fn act(mut stream: TcpStream, step: Step) -> std::io::Result<()> {
    match step {
        Step::Say(bytes) => stream.write_all(&bytes).await,
        Step::Hold(bytes) => {
            stream.write_all(&bytes).await?;
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Step::Repeat(first, again) => {
            stream.write_all(&first).await?;
            loop {
                stream.write_all(&again).await?;
            }
        }
    }
}

/// Host names of a test, and how often each was looked up. Of several lists the next is given each time, then the last.
#[derive(Default)]
pub struct Hosts {
    lists: Mutex<HashMap<String, Vec<Vec<SocketAddr>>>>,
    looked: AtomicU64,
}

impl Hosts {
    pub fn of(host: &str, lists: Vec<Vec<SocketAddr>>) -> Arc<Self> {
        Arc::new(Self {
            lists: Mutex::new([(host.to_owned(), lists)].into()),
            looked: AtomicU64::new(0),
        })
    }

    pub fn looked(&self) -> u64 {
        self.looked.load(Ordering::SeqCst)
    }
}

impl Lookup for Hosts {
    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Looked<'a> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        let mut lists = self.lists.lock().expect("no panic holds it");
        let found = lists.get_mut(host).map(|lists| match lists.len() {
            1 => lists[0].clone(),
            _ => lists.remove(0),
        });
        let with_port = |mut address: SocketAddr| {
            address.set_port(port);
            address
        };
        let found = found.map(|list| list.into_iter().map(with_port).collect());
        Box::pin(async move { found.ok_or_else(|| std::io::Error::other("no such host")) })
    }
}

/// A gateway that serves [`NAME`] from an origin.
pub struct Front {
    pub gateway: Gateway,
    pub book: Arc<Book>,
    pub store: Store,
    _folder: TempDir,
}

impl Front {
    /// In front of this origin, which it may connect to.
    pub async fn of(origin: &Origin) -> Self {
        Self::with(origin, |_| {}).await
    }

    pub async fn with(origin: &Origin, configure: impl FnOnce(&mut Config)) -> Self {
        let hosts = Hosts::of(HOST, vec![vec![origin.address]]);
        let front = Self::new(hosts, Arc::new(Free), |config| {
            config.origins.allow = vec![origin.address];
            configure(config);
        })
        .await;
        front.name(&origin.url(), &["ddn-origin=token"]);
        front
    }

    pub async fn metered(origin: &Origin, meters: Arc<dyn Meters>) -> Self {
        let hosts = Hosts::of(HOST, vec![vec![origin.address]]);
        let front = Self::new(hosts, meters, |config| {
            config.origins.allow = vec![origin.address];
        })
        .await;
        front.name(&origin.url(), &["ddn-origin=token"]);
        front
    }

    pub async fn new(
        lookup: Arc<dyn Lookup>,
        meters: Arc<dyn Meters>,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let store = Store::open(folder.path()).expect("a store");
        let book = Arc::new(Book::default());
        let mut config = Config {
            listen: "127.0.0.1:0".parse().expect("an address"),
            ..Config::default()
        };
        config.origins.patience = PATIENCE;
        configure(&mut config);
        let backend = Backend {
            origins: Some(OriginBackend { lookup, meters }),
            ..backend(Arc::new(store.clone()), book.clone())
        };
        let gateway = Gateway::bind(config, backend, &mut Registry::default()).await;
        Self {
            gateway: gateway.expect("a free port"),
            book,
            store,
            _folder: folder,
        }
    }

    /// Says where [`NAME`] is served from.
    pub fn name(&self, url: &str, texts: &[&str]) {
        let records = Records {
            origin: Some(url.parse().expect("an origin")),
            txt: texts.iter().map(|text| (*text).to_owned()).collect(),
            ..Records::default()
        };
        self.book.set("shop", "", records);
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[]).await
    }

    pub async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        raw(self.address(), &request(method, NAME, target, headers)).await
    }
}

/// Coins for so many bytes.
pub struct Purse {
    left: Mutex<u64>,
    pub counted: AtomicU64,
}

impl Purse {
    pub fn of(bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            left: Mutex::new(bytes),
            counted: AtomicU64::new(0),
        })
    }
}

/// A purse that several requests spend from.
pub struct Shared(pub Arc<Purse>);

impl Meters for Shared {
    fn open(&self, _owner: &Address) -> Result<Arc<dyn Meter>, String> {
        match *self.0.left.lock().expect("no panic holds it") {
            0 => Err("what is set aside for it is used up".into()),
            _ => Ok(self.0.clone()),
        }
    }
}

impl Meter for Purse {
    fn covers(&self, bytes: u64) -> bool {
        *self.left.lock().expect("no panic holds it") >= bytes
    }

    fn count(&self, bytes: u64) -> bool {
        let mut left = self.left.lock().expect("no panic holds it");
        let Some(rest) = left.checked_sub(bytes) else {
            return false;
        };
        *left = rest;
        self.counted.fetch_add(bytes, Ordering::SeqCst);
        true
    }
}
