//! Providers that cheat: nothing is paid for it, the next one is used, and in the end each is named with what it did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::Amount;
use storage::Error;

use crate::ddp_fetch_world::{CHAIN, Coins, Node, PRICE, blocks_below, cost, until, villain};
use crate::support::Generator;
use adversary::Deed;

/// What is said of each deed, whether it is a lie, and what is paid to who does it, in bytes of what it did deliver.
struct Row(Deed, &'static str, bool, Paid);

enum Paid {
    Nothing,
    /// What was delivered and stated before the deed.
    Delivered,
    /// One window.
    Ahead,
}

use Paid::{Ahead, Delivered, Nothing};

const ROWS: [Row; 29] = [
    Row(Deed::SilentAtOpen, "did not answer within ", false, Nothing),
    Row(Deed::SilentAtWant, "sent nothing within ", false, Nothing),
    Row(Deed::SilentAfterABlock, "sent nothing within ", false, Delivered),
    Row(Deed::Dribbles, "sent no block within ", false, Nothing),
    Row(Deed::HangsUpAtOpen, "was lost: ", false, Nothing),
    Row(Deed::HangsUpAtWant, "was lost: ", false, Nothing),
    Row(Deed::HasNothing, "refused: not here", false, Nothing),
    Row(Deed::Refuses, "refused: goaway", false, Nothing),
    Row(Deed::Garbage, "sent a malformed frame", true, Nothing),
    Row(Deed::HugeFrame, "sent a frame of 4294967295 bytes", true, Nothing),
    Row(Deed::HugeBlock, "sent a block of 4294967295 bytes", true, Nothing),
    Row(Deed::TwoOffers, "sent two offers", true, Nothing),
    Row(Deed::WrongBytes, "sent wrong bytes for block ", true, Nothing),
    Row(Deed::Unwanted, "which was not asked for", true, Nothing),
    Row(Deed::UnwantedAbsence, "which was not asked for", true, Nothing),
    Row(
        Deed::UnwantedEnd,
        "ended a path that was not asked for",
        true,
        Nothing,
    ),
    Row(
        Deed::PriceAboveMax,
        "asks 10.00003 coins a MiB, more than the 0.02000006",
        false,
        Nothing,
    ),
    Row(Deed::ForeignQuote, "sent a quote of another node", true, Nothing),
    Row(
        Deed::ForgedQuote,
        "sent a quote whose signature is wrong",
        true,
        Nothing,
    ),
    Row(
        Deed::ExpiredQuote,
        "sent a quote that has expired",
        false,
        Nothing,
    ),
    Row(
        Deed::ForeignVoucher,
        "shows a voucher that is not this node's",
        true,
        Nothing,
    ),
    Row(Deed::OverCounts, "states 1 blocks of ", true, Nothing),
    Row(Deed::OverCountsBlocks, "states 2 blocks of ", true, Nothing),
    Row(
        Deed::ForgedStatement,
        "sent a statement that it did not sign",
        true,
        Nothing,
    ),
    Row(
        Deed::ForeignStatement,
        "sent a statement of another session",
        true,
        Nothing,
    ),
    Row(
        Deed::SkipsANumber,
        "sent statement 2 in the place of 1",
        true,
        Nothing,
    ),
    Row(
        Deed::Equivocates,
        "signed two different statements of number 1",
        true,
        Delivered,
    ),
    Row(
        Deed::AsksAheadTooMuch,
        "asks 0.02000007 coins in all, but 0 are owed",
        false,
        Nothing,
    ),
    Row(Deed::AsksAheadForNothing, "sent nothing within ", false, Ahead),
];

/// Much longer than the silence after which most are left, also where all of them have two cores.
const TIMEOUT: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_provider_is_used_and_the_cheat_is_not_paid() {
    let coins = Arc::new(Coins::default());
    let honest = Node::start(&coins, 1).await;
    let root = honest
        .scratch
        .import(&[("large", &Generator::bytes(1, 2 << 20)), ("small", b"small")]);
    let blocks = blocks_below(&honest.scratch.store, &root);
    let checks = ROWS.into_iter().zip(100..).map(|(row, seed)| {
        let (coins, honest, blocks) = (&coins, &honest, &blocks);
        async move {
            let Row(deed, what, lied, paid) = row;
            let villain = villain(seed, deed, &honest.scratch.store).await;
            let client = Node::start_with(coins, seed + 50, |config| config.timeout = TIMEOUT).await;
            client.knows(&[villain.provider(), honest.provider()]);
            let read = client.read_all(&root).await;
            assert!(read.is_ok(), "{deed:?}: {read:?}");
            assert_eq!(blocks_below(&client.scratch.store, &root), *blocks, "{deed:?}");
            until("what is told", || !client.guide.told(&villain.node()).is_empty()).await;
            let told = client.guide.told(&villain.node());
            assert_eq!(told.len(), 1, "{deed:?}: it is tried once: {told:?}");
            let failure = told[0].failure.clone().unwrap_or_default();
            // Not to have something is no failure.
            let what = if deed == Deed::HasNothing { "" } else { what };
            assert!(failure.contains(what), "{deed:?}: {failure}");
            assert_eq!(failure.is_empty(), what.is_empty(), "{deed:?}: {failure}");
            assert_eq!(told[0].lied, lied, "{deed:?}: {failure}");
            let convicted = client.wallet.convicted.lock().unwrap().clone();
            assert_eq!(
                convicted.len(),
                usize::from(deed == Deed::Equivocates),
                "{deed:?}"
            );
            let proves = |proof: &ledger::FraudProof| proof.holds(CHAIN) && *proof.node() == villain.node();
            assert!(convicted.iter().all(proves), "{convicted:?}");
            let most = match paid {
                Nothing => Amount::ZERO,
                Delivered => cost(told[0].bytes),
                Ahead => PRICE,
            };
            assert!(
                villain.earned() <= most,
                "{deed:?}: {} of {most}",
                villain.earned()
            );
            assert!(told[0].bytes <= blocks.iter().map(|(_, block)| block.len() as u64).sum());
        }
    });
    all(checks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_none_left_each_is_named_with_what_it_did() {
    let coins = Arc::new(Coins::default());
    let scratch = crate::support::Scratch::new();
    // So deep that those who deliver a block before they cheat do not deliver all of it.
    let root = scratch.import(&[("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/file", b"x")]);
    let mut villains = Vec::new();
    for (Row(deed, what, ..), seed) in ROWS.into_iter().zip(100..) {
        // It would take half of the time.
        if !matches!(deed, Deed::Dribbles) {
            villains.push((villain(seed, deed, &scratch.store).await, what));
        }
    }
    let checks = villains.chunks(8).zip(2..).map(|(some, seed)| {
        let coins = &coins;
        async move {
            let client =
                Node::start_with(coins, seed, |config| config.silence = Duration::from_secs(1)).await;
            let providers: Vec<_> = some.iter().map(|(villain, _)| villain.provider()).collect();
            client.knows(&providers);
            let began = Instant::now();
            let error = client.read_all(&root).await.unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
            let Error::Unavailable { tried, .. } = error else {
                panic!("{error}")
            };
            let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
            assert_eq!(tried.len(), some.len(), "{tried:#?}");
            for (villain, what) in some {
                let node = villain.node().to_string();
                let line = tried.iter().find(|line| line.starts_with(&node));
                assert!(line.is_some_and(|line| line.contains(what)), "{what}: {tried:#?}");
            }
        }
    });
    all(checks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_ends_in_time_however_many_are_silent() {
    let coins = Arc::new(Coins::default());
    let scratch = crate::support::Scratch::new();
    let root = scratch.import(&[("a", b"a")]);
    let client = Node::start_with(&coins, 2, |config| {
        config.timeout = Duration::from_millis(2500);
        config.silence = Duration::from_secs(1);
    })
    .await;
    let mut providers = Vec::new();
    for seed in 100..106 {
        providers.push(villain(seed, Deed::SilentAtOpen, &scratch.store).await.provider());
    }
    client.knows(&providers);
    let began = Instant::now();
    let error = client.read_all(&root).await.unwrap_err();
    assert!(
        began.elapsed() < Duration::from_millis(3500),
        "{:?}",
        began.elapsed()
    );
    let Error::Unavailable { tried, .. } = error else {
        panic!("{error}")
    };
    let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
    // One after the other, three would have been asked in that time.
    assert!(tried.len() >= 4, "several are asked at once: {tried:?}");
    let is_told = |line: &String| {
        line.contains("did not answer within 1.0 s") || line.ends_with("has not answered yet")
    };
    assert!(tried.iter().all(is_told), "{tried:?}");
}

/// Runs all at once.
async fn all<F: Future<Output = ()>>(checks: impl Iterator<Item = F>) {
    let mut checks: Vec<_> = checks.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        checks.retain_mut(|check| check.as_mut().poll(context).is_pending());
        match checks.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}
