//! One node fetches from another: everything comes, once, and is paid for exactly.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cid::Cid;
use ledger::Amount;
use storage::{Attempt, Blocks, Error, FileReader, Profile, Walk, export, list, resolve};
use tempfile::TempDir;

use crate::ddp_fetch_world::{CHAIN, Coins, Node, PRICE, blocks_below, cost, is_here, provider, until};
use crate::support::{Generator, describe, write_files};

/// A server that has something, and a client that knows it.
async fn pair() -> (Arc<Coins>, Node, Node) {
    let coins = Arc::new(Coins::default());
    let server = Node::start(&coins, 1).await;
    let client = Node::start(&coins, 2).await;
    client.knows(&[server.provider()]);
    (coins, server, client)
}

/// Lets the client end its sessions, then sees that all was paid for, and nothing twice.
async fn assert_paid(server: &Node, client: &Node, bytes: u64) {
    client.delivery.shutdown().await;
    until("the end of the sessions", || server.delivery.load() == 0).await;
    assert_settled(server, client, bytes).await;
}

/// Sees that all was paid for, and nothing twice.
async fn assert_settled(server: &Node, client: &Node, bytes: u64) {
    until("the last payment", || server.earned() == cost(bytes)).await;
    assert_eq!(client.promised(server), cost(bytes));
    assert_eq!(server.earned(), cost(bytes));
    let purse = client.purse(server).unwrap().purse;
    assert_eq!(purse.verified.amount(), cost(bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_trees_come_and_are_paid_for_exactly() {
    let (_coins, server, client) = pair().await;
    let source = TempDir::new().unwrap();
    let large = Generator::bytes(1, 8 << 20);
    write_files(
        source.path(),
        &[
            ("index.html", b"<p>hello"),
            ("empty", b""),
            ("none/", b""),
            ("deep/er/still/file", b"below"),
            ("large", &large),
        ],
    );
    std::os::unix::fs::symlink("deep/er", source.path().join("link")).unwrap();
    for at in 0..3000 {
        let name = format!("many/a-name-that-fills-the-block-{at}");
        fs::create_dir_all(source.path().join("many")).unwrap();
        fs::write(source.path().join(name), at.to_string()).unwrap();
    }
    let imported = server
        .scratch
        .store
        .import_path(source.path(), Profile::V1_2025, &mut |_| {});
    let root = imported.unwrap().root;
    let out = client.scratch.folder.path().join("out");
    let at = out.clone();
    client
        .read(&root, move |remote| export(&remote, &root, &at, &mut |_| {}))
        .await
        .unwrap();
    assert_eq!(describe(&out), describe(source.path()));
    let bytes = blocks_below(&client.scratch.store, &root)
        .iter()
        .map(|(_, block)| block.len() as u64)
        .sum();
    // Sessions end by themselves too.
    until("the end of the session", || server.delivery.load() == 0).await;
    assert_settled(&server, &client, bytes).await;
    assert_eq!(*client.guide.fetched.lock().unwrap(), [root]);
    until("what is told", || !client.guide.told(&server.node()).is_empty()).await;
    let told = client.guide.told(&server.node());
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].bytes, &told[0].failure, told[0].lied),
        (bytes, &None, false)
    );
    assert!(told[0].rtt_us.is_some_and(|rtt| rtt > 0) && !told[0].took.is_zero());
    let receipts = server.delivery.receipts(1, 10).unwrap();
    let stated: u64 = receipts.iter().map(|row| row.receipt.statement.body.bytes).sum();
    assert_eq!(stated, bytes);
}

/// What is delivered of an asset whose earnings are split is paid apart. A side whose ledger is a block behind is put right
/// before anything leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_are_split_are_paid_apart_once_both_ledgers_agree() {
    let (coins, server, client) = pair().await;
    let file = |seed| [("file", Generator::bytes(seed, 3 << 20))];
    let import = |seed| {
        let [(name, bytes)] = file(seed);
        server.scratch.import(&[(name, &bytes)])
    };
    let (split, plain) = (import(1), import(2));
    coins.split.lock().unwrap().insert(split);
    *client.wallet.behind.lock().unwrap() = 1;
    for root in [split, plain] {
        client.read_all(&root).await.unwrap();
    }
    assert_eq!(*client.wallet.behind.lock().unwrap(), 0);
    client.delivery.shutdown().await;
    until("the end of the sessions", || server.delivery.load() == 0).await;
    let bytes = |root: &Cid| {
        let blocks = blocks_below(&client.scratch.store, root);
        blocks.iter().map(|(_, block)| block.len() as u64).sum::<u64>()
    };
    for (asset, root) in [(Some(split), split), (None, plain)] {
        let tabs = server.delivery.tabs().unwrap();
        let tab = tabs.iter().find(|row| row.asset == asset).unwrap();
        let purses = client.delivery.purses().unwrap();
        let purse = purses.iter().find(|row| row.asset == asset).unwrap();
        assert_eq!(tab.tab.vouched, cost(bytes(&root)), "{asset:?}");
        assert_eq!(purse.purse.signed, cost(bytes(&root)), "{asset:?}");
        let voucher = &tab.voucher.as_ref().unwrap().body;
        assert_eq!(voucher.asset.map(|asset| asset.0), asset);
        assert_eq!((tab.payee, purse.payee), (voucher.payee, voucher.payee));
    }
    for row in server.delivery.receipts(0, 10).unwrap() {
        row.receipt.check(CHAIN).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_know_of_a_split_gets_nothing() {
    let (coins, server, client) = pair().await;
    let root = server.scratch.import(&[("file", &Generator::bytes(1, 3 << 20))]);
    coins.split.lock().unwrap().insert(root);
    *client.wallet.behind.lock().unwrap() = u32::MAX;
    let Err(Error::Unavailable { tried, .. }) = client.read_all(&root).await else {
        panic!("it came");
    };
    let said = format!("{tried:?}");
    assert!(
        said.contains("are split at height 100 of this node's ledger, at the client's they are not"),
        "{said}"
    );
    assert_eq!(server.delivery.tabs().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_costs_nothing_needs_no_escrow() {
    let coins = Arc::new(Coins::default());
    let server = Node::start_with(&coins, 1, |config| config.price = Amount::ZERO).await;
    let client = Node::start(&coins, 2).await;
    client.knows(&[server.provider()]);
    let root = server
        .scratch
        .import(&[("a", b"a"), ("b/c", &Generator::bytes(3, 3 << 20))]);
    client.read_all(&root).await.unwrap();
    assert_eq!(
        blocks_below(&client.scratch.store, &root),
        blocks_below(&server.scratch.store, &root)
    );
    assert!(!client.wallet.has_escrow());
    assert_eq!(client.delivery.purses().unwrap(), []);
    until("the receipt", || {
        server.delivery.receipts(1, 10).unwrap().len() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_escrow_that_was_closed_is_not_used_again() {
    let (_coins, server, client) = pair().await;
    for seed in [1, 2] {
        let root = server
            .scratch
            .import(&[("file", &Generator::bytes(seed, 3 << 20))]);
        client.read_all(&root).await.unwrap();
        until("the end of the session", || server.delivery.load() == 0).await;
        client.wallet.close_escrow();
    }
    assert_eq!(client.delivery.purses().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_brings_only_its_blocks() {
    let (_coins, server, client) = pair().await;
    let contents = Generator::bytes(5, 8 << 20);
    let path = server.scratch.folder.path().join("file");
    fs::write(&path, &contents).unwrap();
    let imported = server
        .scratch
        .store
        .import_path(&path, Profile::V1_2025, &mut |_| {});
    let root = imported.unwrap().root;
    let (from, to) = ((3 << 20) + 5, (5 << 20) - 5);
    let read = client
        .read(&root, move |remote| {
            let pieces = FileReader::new(remote, &root, from..to)?;
            pieces.collect::<Result<Vec<_>, Error>>()
        })
        .await
        .unwrap();
    assert!(read.concat() == contents[from as usize..to as usize]);
    let blocks = blocks_below(&server.scratch.store, &root);
    let here: Vec<usize> = (0..blocks.len())
        .filter(|&at| is_here(&client.scratch.store, &blocks[at].0))
        .collect();
    assert_eq!(here, [0, 4, 5], "the root, the fourth and the fifth MiB");
    let bytes = here.iter().map(|&at| blocks[at].1.len() as u64).sum();
    assert_paid(&server, &client, bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_comes_in_one_answer_and_a_listing_brings_no_contents() {
    let (_coins, server, client) = pair().await;
    let root = server.scratch.import(&[
        ("docs/guide/index.html", b"<p>"),
        ("docs/large", &Generator::bytes(5, 1 << 20)),
        ("other/file", b"not asked for"),
    ]);
    let path = ["docs", "guide", "index.html"];
    let node = client
        .read(&root, move |remote| resolve(&remote, &root, &path))
        .await
        .unwrap();
    let docs = node.roots[1];
    client
        .read(&root, move |remote| {
            list(&remote, &docs).collect::<Result<Vec<_>, Error>>()
        })
        .await
        .unwrap();
    let here = blocks_below(&server.scratch.store, &root)
        .into_iter()
        .filter(|(cid, _)| is_here(&client.scratch.store, cid));
    let here: HashSet<Cid> = here.map(|(cid, _)| cid).collect();
    assert_eq!(here, node.roots.iter().copied().collect());
    // What leads nowhere is fetched as far as it goes.
    let astray = client
        .read(&root, move |remote| {
            resolve(&remote, &root, &["other", "nothing"])
        })
        .await;
    assert!(matches!(astray, Err(Error::NoLink { .. })));
    let bytes = blocks_below(&server.scratch.store, &root)
        .iter()
        .filter(|(cid, _)| is_here(&client.scratch.store, cid))
        .map(|(_, block)| block.len() as u64)
        .sum();
    assert_paid(&server, &client, bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_share_each_block() {
    let (_coins, server, client) = pair().await;
    let root = server.scratch.import(&[
        ("a", &Generator::bytes(1, 3 << 20)),
        ("b/c", &Generator::bytes(2, 2 << 20)),
        ("d", b"small"),
    ]);
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let remote = client.delivery.below(&root);
            tokio::task::spawn_blocking(move || Walk::new(remote, &[root]).map(Result::unwrap).count())
        })
        .collect();
    for reader in readers {
        assert_eq!(
            reader.await.unwrap(),
            blocks_below(&server.scratch.store, &root).len()
        );
    }
    let blocks = blocks_below(&server.scratch.store, &root);
    assert_paid(
        &server,
        &client,
        blocks.iter().map(|(_, block)| block.len() as u64).sum(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_goes_on_where_it_was_cut_and_pays_nothing_twice() {
    let (_coins, server, mut client) = pair().await;
    let root = server
        .scratch
        .import(&[("large", &Generator::bytes(9, 12 << 20)), ("small", b"x")]);
    let blocks = blocks_below(&server.scratch.store, &root);
    let bytes: u64 = blocks.iter().map(|(_, block)| block.len() as u64).sum();
    for part in [2, 3, 5] {
        client
            .read(&root, move |remote| {
                Walk::new(remote, &[root])
                    .take(part)
                    .try_for_each(|block| block.map(drop))
            })
            .await
            .unwrap();
        client.restart().await;
    }
    assert!(client.promised(&server) <= cost(bytes));
    client.read_all(&root).await.unwrap();
    assert_paid(&server, &client, bytes).await;
    let told = client.guide.told(&server.node());
    assert_eq!(
        told.iter().map(|told| told.bytes).sum::<u64>(),
        bytes,
        "each block came once"
    );
    client.read_all(&root).await.unwrap();
    assert_eq!(
        client.guide.told(&server.node()).len(),
        told.len(),
        "nothing is fetched again"
    );
}

/// A provider with a thread of its own.
struct Mortal {
    node: Node,
    root: Cid,
    life: tokio::runtime::Runtime,
}

impl Mortal {
    async fn start(coins: &Arc<Coins>, seed: u8, files: &[(&str, &[u8])]) -> Self {
        let life = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let coins = Arc::clone(coins);
        let node = life.spawn(async move { Node::start(&coins, seed).await });
        let node = node.await.unwrap();
        let root = node.scratch.import(files);
        Self { node, root, life }
    }

    /// From now on it does nothing and says nothing, until what is returned is dropped.
    fn stop(self) -> std::sync::mpsc::Sender<()> {
        let (end, ended) = std::sync::mpsc::channel();
        self.life.spawn(async move { ended.recv() });
        self.life.shutdown_background();
        end
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_gone_is_not_waited_for_while_another_can_be_asked() {
    let coins = Arc::new(Coins::default());
    let large = Generator::bytes(9, 24 << 20);
    let files: &[(&str, &[u8])] = &[("large", &large)];
    let dead = Mortal::start(&coins, 10, files).await;
    let dying = Mortal::start(&coins, 11, files).await;
    let sound = Node::start(&coins, 12).await;
    sound.scratch.import(files);
    // Far longer than what is waited here.
    let patient = |config: &mut storage::ddp::Config| {
        config.silence = Duration::from_secs(20);
        config.timeout = Duration::from_secs(60);
    };
    let client = Node::start_with(&coins, 13, patient).await;
    client.knows(&[dead.node.provider(), dying.node.provider(), sound.provider()]);
    let (root, node) = (dying.root, dying.node.node());
    let _dead = dead.stop();
    let began = Instant::now();
    let some = client.read(&root, move |remote| {
        Walk::new(remote, &[root])
            .take(6)
            .try_for_each(|block| block.map(drop))
    });
    some.await.unwrap();
    assert!(!client.guide.told(&sound.node()).iter().any(|told| told.bytes > 0));
    let _dying = dying.stop();
    client.read_all(&root).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let failed = client.guide.told(&node);
    let why = failed.iter().find_map(|told| told.failure.as_deref());
    assert!(
        why.is_some_and(|why| why.starts_with("gave no sign of life within ")),
        "{failed:?}"
    );
    client.delivery.shutdown().await;
    until("the end of the session", || sound.delivery.load() == 0).await;
    let bytes = client
        .guide
        .told(&sound.node())
        .iter()
        .map(|told| told.bytes)
        .sum();
    assert_settled(&sound, &client, bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_dies_without_a_word_pays_the_same_in_the_end() {
    let (_coins, server, mut client) = pair().await;
    let root = server
        .scratch
        .import(&[("large", &Generator::bytes(9, 24 << 20)), ("small", b"x")]);
    let bytes: u64 = blocks_below(&server.scratch.store, &root)
        .iter()
        .map(|(_, block)| block.len() as u64)
        .sum();
    client.delivery.shutdown().await;
    for blocks in [1, 2, 5, 9, 17] {
        let short = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        client = short
            .spawn(async move {
                client.revive().await;
                client
            })
            .await
            .unwrap();
        client
            .read(&root, move |remote| {
                Walk::new(remote, &[root])
                    .take(blocks)
                    .try_for_each(|block| block.map(drop))
            })
            .await
            .unwrap();
        short.shutdown_background();
        let purse = client.purse(&server).unwrap().purse;
        let most = purse.verified.amount().units() + PRICE.units();
        assert!(server.earned().units() <= most, "one window ahead, no more");
    }
    client.revive().await;
    client.read_all(&root).await.unwrap();
    client.delivery.shutdown().await;
    assert_settled(&server, &client, bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_in_the_middle_is_gone_on_with_when_it_is_back() {
    let (_coins, mut server, client) = pair().await;
    let root = server
        .scratch
        .import(&[("large", &Generator::bytes(8, 24 << 20))]);
    let bytes: u64 = blocks_below(&server.scratch.store, &root)
        .iter()
        .map(|(_, block)| block.len() as u64)
        .sum();
    let remote = client.delivery.below(&root);
    let reading =
        tokio::task::spawn_blocking(move || Walk::new(remote, &[root]).try_for_each(|block| block.map(drop)));
    until("the first blocks", || {
        client
            .purse(&server)
            .is_some_and(|row| !row.purse.signed.is_zero())
    })
    .await;
    server.restart().await;
    // Its port is another one now: who was reading may have been told so.
    let _ = reading.await.unwrap();
    client.knows(&[server.provider()]);
    client.read_all(&root).await.unwrap();
    assert_paid(&server, &client, bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_that_are_read_at_once_are_paid_in_one_sum() {
    let (_coins, server, client) = pair().await;
    let roots: Vec<Cid> = (0..5)
        .map(|seed| {
            server
                .scratch
                .import(&[("file", &Generator::bytes(20 + seed, 3 << 20))])
        })
        .collect();
    let reads: Vec<_> = roots
        .iter()
        .map(|&root| {
            let remote = client.delivery.below(&root);
            tokio::task::spawn_blocking(move || {
                Walk::new(remote, &[root])
                    .map(|block| block.unwrap().1.len() as u64)
                    .sum::<u64>()
            })
        })
        .collect();
    let mut bytes = 0;
    for read in reads {
        bytes += read.await.unwrap();
    }
    assert_paid(&server, &client, bytes).await;
    let told = client.guide.told(&server.node());
    assert!(told.iter().all(|told| told.failure.is_none()), "{told:?}");
    let receipts = || server.delivery.receipts(1, 20).unwrap();
    until("the receipts are written", || {
        let stated = receipts()
            .iter()
            .map(|row| row.receipt.statement.body.bytes)
            .sum::<u64>();
        stated == bytes
    })
    .await;
    let of: HashSet<Cid> = receipts()
        .iter()
        .map(|row| row.receipt.statement.body.root.0)
        .collect();
    assert_eq!(of, roots.into_iter().collect(), "each tree has its receipt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_is_set_aside_when_the_float_is_used_up() {
    let coins = Arc::new(Coins::default());
    let server = Node::start_with(&coins, 1, |config| config.credit.float = cost(2 << 20)).await;
    let client = Node::start(&coins, 2).await;
    client.knows(&[server.provider()]);
    let root = server
        .scratch
        .import(&[("large", &Generator::bytes(7, 10 << 20))]);
    let bytes = client.read_all(&root).await.unwrap();
    assert_paid(&server, &client, bytes).await;
    assert!(!client.wallet.allotted.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_provider_goes_on_with_what_the_first_does_not_have() {
    let coins = Arc::new(Coins::default());
    let whole = Node::start(&coins, 1).await;
    let part = Node::start(&coins, 3).await;
    let client = Node::start(&coins, 2).await;
    client.knows(&[part.provider(), whole.provider()]);
    let root = whole
        .scratch
        .import(&[("a", &Generator::bytes(4, 2 << 20)), ("b", b"b"), ("c", b"c")]);
    let blocks = blocks_below(&whole.scratch.store, &root);
    let (some, rest) = blocks.split_at(3);
    for (cid, block) in some {
        part.scratch.store.put(cid, block).unwrap();
    }
    client.read_all(&root).await.unwrap();
    let sum = |blocks: &[(Cid, bytes::Bytes)]| blocks.iter().map(|(_, block)| block.len() as u64).sum();
    assert_paid(&part, &client, sum(some)).await;
    assert_eq!(
        part.delivery.tabs().unwrap()[0].tab.forgiven,
        0,
        "it was left in order"
    );
    assert_paid(&whole, &client, sum(rest)).await;
    let told = client.guide.told(&part.node());
    let failure = told[0].failure.clone().unwrap();
    assert!(failure.starts_with("does not have block"), "{failure}");
    assert!(!told[0].lied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_has_is_missing_and_what_nobody_gives_is_unavailable() {
    let (_coins, server, client) = pair().await;
    let root = server
        .scratch
        .import(&[("a", &Generator::bytes(4, 2 << 20)), ("b", b"b")]);
    let elsewhere: Cid = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
        .parse()
        .unwrap();
    let error = client
        .read(&root, move |remote| remote.block(&elsewhere))
        .await
        .unwrap_err();
    let Error::Unavailable { cid, tried } = error else {
        panic!("{error}")
    };
    assert_eq!(cid, elsewhere);
    let line = format!("{} does not have block {elsewhere}", server.node());
    assert_eq!(tried, [Attempt::theirs(line)]);
    assert!(client.read_all(&root).await.is_ok(), "all else is there");
    client.knows(&[]);
    let missing = client
        .read(&elsewhere, move |remote| remote.block(&elsewhere))
        .await;
    assert_eq!(missing.unwrap(), None);
    let missing = client.read_all(&elsewhere).await;
    assert!(matches!(missing, Err(Error::Missing(cid)) if cid == elsewhere));
    // Asked on the off chance: it does not have it either, which is no failure of its own.
    client.knows(&[server.provider()]);
    let missing = client.read_all(&elsewhere).await;
    assert!(matches!(missing, Err(Error::Missing(cid)) if cid == elsewhere));
    let told = client.guide.told(&server.node());
    assert!(told.iter().all(|told| told.failure.is_none()), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_pays_without_coins_and_no_provider_is_blamed() {
    let (_coins, server, client) = pair().await;
    *client.wallet.balance.lock().unwrap() = Amount::ZERO;
    let root = server.scratch.import(&[("a", b"a")]);
    let error = client.read_all(&root).await.unwrap_err().to_string();
    assert!(
        error.ends_with("could not be paid: the wallet is empty"),
        "{error}"
    );
    let told = client.guide.told(&server.node());
    assert!(
        told.iter().all(|told| told.failure.is_none() && !told.lied),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_fetched_for_a_reader_that_is_gone() {
    let (_coins, server, client) = pair().await;
    // 160 blocks of 256 KiB, of which a reader tells 64 in advance.
    let path = server.scratch.folder.path().join("file");
    fs::write(&path, Generator::bytes(3, 40 << 20)).unwrap();
    let imported = server
        .scratch
        .store
        .import_path(&path, Profile::V0_2015, &mut |_| {});
    let root = imported.unwrap().root;
    client
        .read(&root, move |remote| {
            Walk::new(remote, &[root])
                .take(4)
                .for_each(|block| drop(block.unwrap()));
        })
        .await;
    until("the end of the session", || {
        !client.guide.told(&server.node()).is_empty()
    })
    .await;
    let told = client.guide.told(&server.node());
    assert!(told[0].bytes < 24 << 20, "{} of 40 MiB", told[0].bytes);
    assert_paid(&server, &client, told[0].bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_ends_in_time_though_the_other_end_is_dead() {
    let coins = Arc::new(Coins::default());
    let client = Node::start_with(&coins, 2, |config| config.timeout = Duration::from_secs(3)).await;
    // A socket that nobody answers at.
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let key = ledger::SecretKey::from_seed([9; 32]);
    client.knows(&[provider(&key, deaf.local_addr().unwrap())]);
    let root: Cid = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
        .parse()
        .unwrap();
    let began = Instant::now();
    let error = client.read_all(&root).await.unwrap_err().to_string();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(
        error.contains(&format!("{} could not be reached", key.public())),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_many_roots_one_after_the_other_is_not_turned_away() {
    let (_coins, server, client) = pair().await;
    let roots: Vec<Cid> = (0..100u8)
        .map(|at| {
            server
                .scratch
                .import(&[("file", &Generator::bytes(at.into(), 2000))])
        })
        .collect();
    let mut bytes = 0;
    for root in &roots {
        bytes += client.read_all(root).await.unwrap();
    }
    let told = client.guide.told(&server.node());
    assert!(told.iter().all(|outcome| !outcome.turned_away), "{told:?}");
    assert_paid(&server, &client, bytes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_beyond_the_month_and_what_left_is_paid() {
    let coins = Arc::new(Coins::default());
    let mut server = Node::start_with(&coins, 1, |config| config.month_max = 3 << 20).await;
    let root = server.scratch.import(&[("file", &Generator::bytes(3, 8 << 20))]);
    let client = Node::start_with(&coins, 2, |config| config.timeout = Duration::from_secs(4)).await;
    client.knows(&[server.provider()]);
    let error = client.read_all(&root).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("all that it may this month"),
        "{error:?}"
    );
    assert_eq!(
        server.delivery.load(),
        u32::MAX,
        "others are told that it is full"
    );
    let left = server.delivery.traffic().bytes;
    // A batch that has begun to leave is sent to its end.
    assert!((3 << 20..5 << 20).contains(&left), "{left} bytes left");
    until("the last payment", || server.earned() == cost(left)).await;
    server.restart().await;
    assert_eq!(
        server.delivery.traffic().bytes,
        left,
        "a new start is no new month"
    );
    client.knows(&[server.provider()]);
    assert!(client.read_all(&root).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_much_leaves_half_of_the_line_to_another() {
    let coins = Arc::new(Coins::default());
    // Patient: a slow line is no silence.
    let patient = |config: &mut storage::ddp::Config| {
        (config.silence, config.timeout) = (Duration::from_secs(20), Duration::from_secs(60));
    };
    let server = Node::start_with(&coins, 1, |config| {
        patient(config);
        config.rate_max = 4 << 20;
    })
    .await;
    // The first has begun with four trees, the second wants one.
    let trees: Vec<Cid> = (0..5u8)
        .map(|at| {
            server
                .scratch
                .import(&[("file", &Generator::bytes(50 + u32::from(at), 4 << 20))])
        })
        .collect();
    let much = Node::start_with(&coins, 2, patient).await;
    let little = Node::start_with(&coins, 3, patient).await;
    for client in [&much, &little] {
        client.knows(&[server.provider()]);
    }
    let all_of_much = futures::future::try_join_all(trees[..4].iter().map(|root| much.read_all(root)));
    let one = async {
        until("the first is served", || server.delivery.traffic().bytes > 0).await;
        little.read_all(&trees[4]).await.unwrap();
        server.delivery.traffic().bytes
    };
    let (all, left) = tokio::join!(all_of_much, one);
    let (all, own): (u64, u64) = (all.unwrap().iter().sum(), 4 << 20);
    // While the second had its 4 MiB, the first had as much, and a batch of each of its sessions that was under way.
    assert!(
        left <= 2 * own + (6 << 20),
        "{left} of {} had left by then",
        all + own
    );
}
