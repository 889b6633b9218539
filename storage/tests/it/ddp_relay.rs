//! Relays: who is reached through one pays for each byte, and for no more; who does not pay is cut off after one window.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{Connection, presets};
use iroh::{EndpointAddr, EndpointId, RelayConfig as IrohRelay, RelayMap, RelayMode, RelayUrl};
use ledger::{Amount, Hash, Link, Owed, SecretKey};
use storage::ddp::wire::{self, ALPN, Code, Open, ToClient, ToServer, VERSION};
use storage::ddp::{RelayConfig, RelayNode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::ddp_fetch_world::{CHAIN, Coins, Node, PRICE, until, villain};
use crate::support::{Generator, Scratch};
use adversary::Deed;

const MIB: u64 = 1 << 20;
/// What a stranger may have unpaid.
const WINDOW: u64 = MIB;

/// A node that is a relay.
async fn relay(coins: &Arc<Coins>, seed: u8) -> (Node, RelayNode) {
    let node = Node::start_with(coins, seed, |config| {
        config.relay = Some(RelayConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            price: PRICE,
            nodes_max: 8,
        });
    })
    .await;
    let relay = RelayNode {
        provider: node.provider(),
        address: node.delivery.relay_addr().expect("a relay"),
    };
    (node, relay)
}

/// A node that is reached through relays, and delivers for nothing.
async fn homebody(coins: &Arc<Coins>, seed: u8) -> Node {
    Node::start_with(coins, seed, |config| {
        config.price = Amount::ZERO;
        config.relay_price_max = PRICE;
    })
    .await
}

fn url(relay: SocketAddr) -> RelayUrl {
    format!("http://{relay}").parse().unwrap()
}

/// An endpoint without a socket of its own: all that goes from it or to it goes through a relay, which is `home` if it is to
/// be reached too.
async fn indoors(seed: u8, home: Option<SocketAddr>) -> iroh::Endpoint {
    let homes = home.map(|home| Arc::new(IrohRelay::new(url(home), None)));
    iroh::Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(
            &SecretKey::from_seed([seed; 32]).seed(),
        ))
        .alpns(vec![ALPN.to_vec()])
        .relay_mode(RelayMode::Custom(RelayMap::from_iter(homes)))
        .clear_ip_transports()
        .bind()
        .await
        .unwrap()
}

/// Through the relay, to a node that may be there or not.
async fn call(from: &iroh::Endpoint, seed: u8, relay: SocketAddr) -> Option<Connection> {
    let key = SecretKey::from_seed([seed; 32]).public();
    let id = EndpointId::from_bytes(key.as_bytes()).unwrap();
    let address = EndpointAddr::new(id).with_relay_url(url(relay));
    let connected = timeout(Duration::from_secs(3), from.connect(address, ALPN)).await;
    connected.ok()?.ok()
}

fn open(root: &cid::Cid, escrow: Option<Hash>) -> ToServer {
    ToServer::Open(Open {
        version: VERSION,
        chain: CHAIN.to_owned(),
        root: Link(*root),
        nonce: Hash([9; 32]),
        escrow,
        split: false,
    })
}

/// All blocks below a root, over a connection to a node that asks nothing for them.
async fn read_free(connection: &Connection, root: &cid::Cid, blocks: &[cid::Cid]) -> u64 {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    wire::write(&mut send, &open(root, None)).await.unwrap();
    let wanted = blocks.iter().copied().map(Link).collect();
    wire::write(&mut send, &ToServer::Want { blocks: wanted })
        .await
        .unwrap();
    let (mut bytes, mut left) = (0, blocks.len());
    while left > 0 {
        match wire::read(&mut recv).await.unwrap() {
            ToClient::Block { cid, bytes: length } => {
                let block = wire::read_block(&mut recv, length).await.unwrap();
                storage::verify(&cid.0, &block).unwrap();
                (bytes, left) = (bytes + block.len() as u64, left - 1);
            }
            ToClient::Offer(_) | ToClient::Statement { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_byte_is_paid_and_no_more() {
    let coins = Arc::default();
    let (edge, relay) = relay(&coins, 1).await;
    let home = Arc::new(homebody(&coins, 2).await);
    let root = home
        .scratch
        .import(&[("file", &Generator::bytes(7, 8 * MIB as usize))]);
    let blocks: Vec<_> = crate::ddp_fetch_world::blocks_below(&home.scratch.store, &root)
        .into_iter()
        .map(|(cid, _)| cid)
        .collect();
    let (leave, left) = oneshot::channel::<()>();
    let staying = tokio::spawn({
        let (home, relay) = (Arc::clone(&home), relay.clone());
        async move {
            let leave = async { drop(left.await) };
            home.delivery.stay_at(&relay, leave).await
        }
    });
    let homed = home.delivery.home_relay();
    until("the node is reached through the relay", || {
        *homed.borrow() == Some(relay.address)
    })
    .await;

    let reader = indoors(3, None).await;
    let connection = call(&reader, 2, relay.address).await.expect("a connection");
    let bytes = read_free(&connection, &root, &blocks).await;
    assert!(bytes > 8 * MIB);
    connection.close(0u32.into(), b"done");
    reader.close().await;
    leave.send(()).unwrap();
    staying.await.unwrap().expect("in order");
    assert_eq!(*homed.borrow(), None);

    let tab = || edge.delivery.tabs().unwrap().remove(0).tab;
    until("all is paid, and nothing twice", || {
        tab().delivered.amount() == tab().vouched
    })
    .await;
    let tab = tab();
    assert_eq!(tab.forgiven, 0);
    let paid = Owed::ZERO.add(bytes, PRICE).amount();
    let overhead = Owed::ZERO.add(bytes + bytes / 8, PRICE).amount();
    assert!(
        (paid..overhead).contains(&tab.vouched),
        "{} for {paid}",
        tab.vouched
    );
    assert_eq!(home.promised(&edge), tab.vouched);
    // Provable as any delivery, up to the last voucher.
    let receipts = || edge.delivery.receipts(1, 10).unwrap();
    let promised = || {
        receipts()
            .first()?
            .receipt
            .voucher
            .as_ref()
            .map(|voucher| voucher.body.cumulative)
    };
    until("the receipt has the last voucher", || {
        promised() == Some(tab.vouched)
    })
    .await;
    let receipts = receipts();
    assert_eq!(receipts.len(), 1, "one session, one receipt");
    let receipt = &receipts[0].receipt;
    receipt.check(CHAIN).unwrap();
    assert_eq!(receipt.statement.body.root, Link(wire::relay_root()));
    assert_eq!(receipt.statement.body.blocks, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_have_no_use_of_a_relay() {
    let coins = Arc::default();
    let (_edge, relay) = relay(&coins, 1).await;
    let (one, _other) = (
        indoors(3, Some(relay.address)).await,
        indoors(4, Some(relay.address)).await,
    );
    assert!(call(&one, 4, relay.address).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_pays_gets_one_window() {
    let coins = Arc::default();
    let (edge, relay) = relay(&coins, 1).await;
    // The payer's endpoint is driven by hand. It has a socket for its session, and is called through the relay alone.
    let purse = homebody(&coins, 9).await;
    let key = SecretKey::from_seed([2; 32]);
    let payer = iroh::Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(&key.seed()))
        .bind()
        .await
        .unwrap();
    let escrow = storage::ddp::Payer::escrow(&*purse.wallet, &edge.key.address(), PRICE)
        .await
        .unwrap();
    let to = EndpointAddr::new(EndpointId::from_bytes(edge.node().as_bytes()).unwrap())
        .with_ip_addr(edge.delivery.local_addr());
    let paying = payer.connect(to, ALPN).await.unwrap();
    let (mut send, mut recv) = paying.open_bi().await.unwrap();
    wire::write(&mut send, &open(&wire::relay_root(), Some(escrow)))
        .await
        .unwrap();
    let offered = wire::read(&mut recv).await.unwrap();
    assert!(
        matches!(&offered, ToClient::Offer(offer) if offer.seen.is_some()),
        "{offered:?}"
    );

    // The same key, without a socket: whatever comes to it comes through the relay.
    let home = indoors(2, Some(relay.address)).await;
    let caller = indoors(3, None).await;
    let (connection, called) = tokio::join!(call(&caller, 2, relay.address), async {
        home.accept().await.unwrap().await.unwrap()
    });
    let connection = connection.expect("a connection, within the window");
    tokio::spawn(async move {
        let mut stream = connection.open_uni().await.unwrap();
        while stream.write_all(&[7; 16 << 10]).await.is_ok() {}
    });
    let mut stream = called.accept_uni().await.unwrap();
    let (mut came, mut buffer) = (0, vec![0; 64 << 10]);
    // It stalls, and then the session ends for want of a voucher.
    while let Ok(Ok(Some(bytes))) = timeout(Duration::from_secs(3), stream.read(&mut buffer)).await {
        came += bytes as u64;
    }
    assert!((WINDOW / 2..=WINDOW).contains(&came), "{came} bytes came");
    let refused = loop {
        match wire::read(&mut recv).await.unwrap() {
            ToClient::Refuse(refuse) => break refuse,
            ToClient::Statement { statement } => assert!(statement.body.bytes <= WINDOW),
            ToClient::Due { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused.code, Code::Unpaid, "{refused:?}");
    let tab = edge.delivery.tabs().unwrap().remove(0).tab;
    assert_eq!(tab.vouched, Amount::ZERO);
    assert!(tab.unpaid_bytes <= WINDOW, "{tab:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_counts_too_much_is_left() {
    let coins = Arc::default();
    let home = homebody(&coins, 2).await;
    let scratch = Scratch::new();
    let liar = villain(5, Deed::OverCounts, &scratch.store).await;
    let relay = RelayNode {
        provider: liar.provider(),
        address: ([127, 0, 0, 1], 9).into(),
    };
    let left = home.delivery.stay_at(&relay, std::future::pending()).await;
    let why = left.expect_err("it lies");
    assert!(
        why.contains("states 67108865 bytes passed on, of which 0 came"),
        "{why}"
    );
    assert_eq!(liar.earned(), Amount::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_relay_or_too_dear_or_cannot_be_paid_is_left() {
    let coins = Arc::default();
    let (edge, relay) = relay(&coins, 1).await;
    let check = |node: Node, relay: RelayNode, expected: &'static str| async move {
        let left = node.delivery.stay_at(&relay, std::future::pending()).await;
        let why = left.expect_err(expected);
        assert!(why.contains(expected), "{why}");
    };
    let plain = Node::start(&coins, 6).await;
    let no_relay = RelayNode {
        provider: plain.provider(),
        address: relay.address,
    };
    check(homebody(&coins, 2).await, no_relay, "this node is no relay").await;
    let poor = homebody(&coins, 3).await;
    *poor.wallet.balance.lock().unwrap() = Amount::ZERO;
    check(poor, relay.clone(), "the wallet is empty").await;
    let thrifty = Node::start_with(&coins, 4, |config| config.relay_price_max = Amount::from_units(1)).await;
    check(thrifty, relay.clone(), "more than the").await;
    assert_eq!(
        edge.delivery.relay_offer().expect("a relay").1,
        8,
        "all seats are free"
    );
}
