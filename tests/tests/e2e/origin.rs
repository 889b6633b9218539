//! A site of another origin, served by an edge, and paid by the owner of its name out of a metered allotment.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::{Launch, Node, wait_until};

use crate::paid::{balance, fee, units};
use crate::{number, text};

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);
/// Units per MiB that the edge asks: 0.1 coins.
const PRICE: u64 = 10_000_000;
/// Bytes of a page.
const PAGE: u64 = 650_000;
/// The price of three pages.
const COINS: &str = "0.1859665";

/// An origin with one page, which may be kept.
struct Origin {
    address: SocketAddr,
    pages: Arc<AtomicU64>,
}

impl Origin {
    fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, pages) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&pages);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever leaves early leaves no more than its connection.
                let _ = answer(stream, &counted);
            }
        });
        Ok(Self { address, pages })
    }
}

fn answer(mut stream: TcpStream, pages: &AtomicU64) -> Result<()> {
    let mut head = [0; 4096];
    let length = stream.read(&mut head)?;
    let head = std::str::from_utf8(&head[..length])?;
    let body = match head.split(' ').nth(1) {
        Some("/.well-known/ddn-origin") => b"# names that may serve this site\nshop.ddn our-token\n".to_vec(),
        _ => {
            pages.fetch_add(1, Ordering::SeqCst);
            vec![b'x'; usize::try_from(PAGE)?]
        }
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nCache-Control: max-age=600\r\n\r\n"
    )?;
    Ok(stream.write_all(&body)?)
}

#[test]
fn an_edge_serves_an_origin_and_claims_what_it_counted() -> Result<()> {
    let origin = Origin::new()?;
    let owner = Node::dev()?;
    let mut args = owner.invitation()?;
    for set in [
        format!("gateway.origin_allow={}", origin.address),
        "delivery.price=0.1".to_owned(),
    ] {
        args.extend(["--set".to_owned(), set]);
    }
    let mut edge = Node::launch(Launch {
        args,
        ..Launch::default()
    })?;
    let url = format!("http://{}", origin.address);
    let register = [
        "name",
        "register",
        "shop.ddn",
        "--origin",
        &url,
        "--txt",
        "ddn-origin=our-token",
    ];
    owner.ddn().ok(&register)?;
    let shown = owner.ddn().json(&["name", "show", "shop.ddn"])?;
    ensure!(shown["records"][""]["origin"] == url.as_str(), "{shown}");

    // Nobody pays yet.
    let read = |edge: &Node| edge.gateway()?.get("shop.ddn", "/page");
    let refused = wait_for(&edge, 503)?;
    ensure!(refused.contains("nothing is set aside"), "{refused}");
    ensure!(
        origin.pages.load(Ordering::SeqCst) == 0,
        "nothing is fetched for nobody"
    );

    ensure!(price(3 * PAGE) == 18_596_650, "three pages cost {COINS} coins");
    let payee = text(&edge.ddn().json(&["earn", "status"])?, "/payee")?;
    owner.ddn().ok(&["pay", "open", "1"])?;
    owner.ddn().ok(&["pay", "allot", &payee, COINS, "--metered"])?;
    wait_for(&edge, 200)?;
    ensure!(read(&edge)?.body.len() as u64 == PAGE, "a whole page");
    ensure!(
        origin.pages.load(Ordering::SeqCst) == 1,
        "the second came from the cache"
    );
    claims(&owner, &edge, 2 * PAGE)?;

    // What was counted and not claimed survives a restart.
    ensure!(read(&edge)?.body.len() as u64 == PAGE, "a third page fits");
    edge.restart()?;
    let refused = wait_for(&edge, 503)?;
    ensure!(refused.contains("used up"), "{refused}");
    claims(&owner, &edge, 3 * PAGE)?;
    let again = edge.ddn().json(&["earn", "claim"])?;
    ensure!(number(&again, "/transactions")? == 0, "{again}");

    // More coins, more pages; the owner sees where they went.
    owner.ddn().ok(&["pay", "allot", &payee, "0.3", "--metered"])?;
    wait_for(&edge, 200)?;
    claims(&owner, &edge, 4 * PAGE)?;
    let line = paid_by(&owner)?;
    ensure!(units(&line, "/claimed")? == price(4 * PAGE), "{line}");
    for node in [&owner, &edge] {
        let status = node.ddn().json(&["chain", "status"])?;
        ensure!(status["supply"] == status["accounted"], "{status}");
    }
    Ok(())
}

/// Waits until the page is answered so. A page that is cut since nobody pays for the rest is no answer.
fn wait_for(edge: &Node, status: u16) -> Result<String> {
    let mut text = String::new();
    wait_until(&format!("the page is answered {status}"), BLOCK_DEADLINE, || {
        let Ok(reply) = edge.gateway()?.get("shop.ddn", "/page") else {
            return Ok(false);
        };
        text = reply.text();
        Ok(reply.status == status)
    })?;
    Ok(text)
}

/// Claims what was counted in all for `bytes`, and sees that exactly the new part of it moves.
fn claims(owner: &Node, edge: &Node, bytes: u64) -> Result<()> {
    let status = edge.ddn().json(&["earn", "status"])?;
    let (earned, claimed) = (units(&status, "/earned")?, units(&status, "/claimed")?);
    ensure!(
        earned == price(bytes) && number(&status, "/bytes")? == bytes,
        "{bytes} bytes: {status}"
    );
    ensure!(status["escrows"][0]["metered"] == true, "{status}");
    let fresh = earned - claimed;
    let (had, left) = (balance(edge)?, units(&paid_by(owner)?, "/reserved")?);
    let claim = edge.ddn().json(&["earn", "claim"])?;
    ensure!(units(&claim, "/amount")? == fresh, "{claim}");
    let fees = number(&claim, "/transactions")? * fee(edge)?;
    ensure!(
        balance(edge)? == had + fresh - fees,
        "{had} then {}",
        balance(edge)?
    );
    let height = number(&claim, "/height")?;
    wait_until("the owner sees the claim", BLOCK_DEADLINE, || {
        Ok(number(&owner.ddn().json(&["chain", "status"])?, "/height")? >= height)
    })?;
    let after = units(&paid_by(owner)?, "/reserved")?;
    ensure!(after == left - fresh, "{left} then {after}");
    Ok(())
}

/// What the owner has set aside for counts, and paid.
fn paid_by(owner: &Node) -> Result<Value> {
    let status = owner.ddn().json(&["pay", "status"])?;
    let payees = status["escrows"][0]["payees"].as_array().context("payees")?;
    let metered = payees.iter().find(|payee| payee["metered"] == true);
    metered
        .cloned()
        .with_context(|| format!("no metered payee: {status}"))
}

fn price(bytes: u64) -> u64 {
    (u128::from(bytes) * u128::from(PRICE)).div_ceil(1 << 20) as u64
}
