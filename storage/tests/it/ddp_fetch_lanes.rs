//! One node fetches from several at the same time.

use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use storage::Profile;

use crate::ddp_fetch_link::Link;
use crate::ddp_fetch_world::{Coins, Node, blocks_below, cost, until, villain};
use crate::support::Generator;
use adversary::Deed;

/// Servers that have the same file, each behind a line of its own.
struct Servers {
    servers: Vec<Node>,
    links: Vec<Link>,
    root: Cid,
    bytes: u64,
}

impl Servers {
    /// One for each of these rates, in bytes a second.
    async fn start(coins: &Arc<Coins>, rates: &[u64], length: usize) -> Servers {
        let contents = Generator::bytes(21, length);
        let (mut servers, mut links, mut root) = (Vec::new(), Vec::new(), None);
        for (at, rate) in rates.iter().enumerate() {
            let server = Node::start(coins, 30 + at as u8).await;
            let path = server.scratch.folder.path().join("file");
            std::fs::write(&path, &contents).unwrap();
            let imported = server
                .scratch
                .store
                .import_path(&path, Profile::V0_2015, &mut |_| {});
            root = Some(imported.unwrap().root);
            links.push(Link::to(&server.provider(), *rate));
            servers.push(server);
        }
        let root = root.unwrap();
        let blocks = blocks_below(&servers[0].scratch.store, &root);
        Servers {
            bytes: blocks.iter().map(|(_, block)| block.len() as u64).sum(),
            servers,
            links,
            root,
        }
    }

    fn providers(&self) -> Vec<storage::ddp::Provider> {
        let pairs = self.servers.iter().zip(&self.links);
        pairs
            .map(|(server, link)| link.provider(&server.provider()))
            .collect()
    }

    /// What each has delivered, by what the client has told.
    fn delivered(&self, client: &Node) -> Vec<u64> {
        let told = |server: &Node| client.guide.told(&server.node());
        self.servers
            .iter()
            .map(|server| told(server).iter().map(|told| told.bytes).sum())
            .collect()
    }

    /// Lets the client end its sessions, then sees that each server has what it delivered paid.
    async fn assert_paid(&self, client: &Node, gone: Option<usize>) -> Vec<u64> {
        client.delivery.shutdown().await;
        let delivered = self.delivered(client);
        for (at, server) in self
            .servers
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != gone)
        {
            until("the last payment", || server.earned() == cost(delivered[at])).await;
            assert_eq!(client.promised(server), cost(delivered[at]));
        }
        delivered
    }
}

/// Silence is found out late here: whoever waits for it fails.
fn patient(config: &mut storage::ddp::Config) {
    config.silence = Duration::from_secs(20);
    config.timeout = Duration::from_secs(60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_comes_from_several_and_each_is_paid_for_what_it_brought() {
    let coins = Arc::new(Coins::default());
    let servers = Servers::start(&coins, &[4 << 20, 4 << 20, 1 << 20], 16 << 20).await;
    // A machine that stands still must not make the fast ones look dead.
    let client = Node::start_with(&coins, 2, patient).await;
    client.knows(&servers.providers());
    assert_eq!(client.read_all(&servers.root).await.unwrap(), servers.bytes);
    let delivered = servers.assert_paid(&client, None).await;
    assert!(delivered.iter().all(|bytes| *bytes > 0), "{delivered:?}");
    assert!(
        delivered[2] < delivered[0].max(delivered[1]),
        "the slow one brings less: {delivered:?}"
    );
    // A slow one has little under way, so hardly anybody waits for it until a block is asked for twice.
    let twice = delivered.iter().sum::<u64>() - servers.bytes;
    assert!(
        twice <= servers.bytes / 8,
        "{twice} of {} bytes came twice",
        servers.bytes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_when_one_is_cut_off() {
    let coins = Arc::new(Coins::default());
    let servers = Servers::start(&coins, &[3 << 20, 3 << 20, 3 << 20], 16 << 20).await;
    let client = Node::start_with(&coins, 2, patient).await;
    client.knows(&servers.providers());
    let begun = || {
        let tabs = |server: &Node| server.delivery.tabs().unwrap();
        servers.servers.iter().all(|server| !tabs(server).is_empty())
    };
    let cut = async {
        until("all of them bring something", begun).await;
        servers.links[1].cut();
    };
    let (read, ()) = tokio::join!(client.read_all(&servers.root), cut);
    assert_eq!(read.unwrap(), servers.bytes);
    let delivered = servers.assert_paid(&client, Some(1)).await;
    let others = delivered[0] + delivered[2];
    assert!(
        delivered[1] < servers.bytes / 2 && others > servers.bytes / 2,
        "{delivered:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_the_transport_and_sends_nothing_keeps_nobody_waiting() {
    let coins = Arc::new(Coins::default());
    let sound = Node::start(&coins, 1).await;
    let root = sound.scratch.import(&[("file", &Generator::bytes(7, 6 << 20))]);
    let idle = villain(9, Deed::SilentAfterABlock, &sound.scratch.store).await;
    let client = Node::start_with(&coins, 2, patient).await;
    client.knows(&[idle.provider(), sound.provider()]);
    client.read_all(&root).await.unwrap();
    let told = client.guide.told(&idle.node());
    assert!(told.is_empty(), "nobody waited until it was given up: {told:?}");
    let blocks = blocks_below(&client.scratch.store, &root);
    assert_eq!(blocks, blocks_below(&sound.scratch.store, &root));
}
