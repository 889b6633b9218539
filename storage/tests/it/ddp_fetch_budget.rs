//! What a day may cost: readers hear of it, what was asked for is paid, and what costs nothing still comes.

use std::sync::Arc;

use cid::Cid;
use ledger::Amount;
use storage::Error;
use storage::ddp::Purpose;

use crate::ddp_fetch_world::{Coins, Node, PRICE, cost, until};
use crate::support::Generator;

/// A server with three files of 16 MiB, and a client.
struct World {
    coins: Arc<Coins>,
    server: Node,
    client: Node,
    files: Vec<Cid>,
}

const FILE_MIB: u64 = 16;

async fn world(adjust: impl FnOnce(&mut storage::ddp::Config)) -> World {
    let coins = Arc::new(Coins::default());
    let server = Node::start(&coins, 1).await;
    let client = Node::start_with(&coins, 2, adjust).await;
    client.knows(&[server.provider()]);
    let files = (0..3).map(|seed| {
        let bytes = Generator::bytes(seed, (FILE_MIB as usize) << 20);
        server.scratch.import(&[("file", &bytes)])
    });
    let files = files.collect();
    World {
        coins,
        server,
        client,
        files,
    }
}

impl World {
    /// The file does not come, for this reason.
    async fn is_refused(&self, file: &Cid, reason: &str) {
        match self.client.read_all(file).await {
            Err(Error::Unavailable { tried, .. }) => {
                assert!(format!("{tried:?}").contains(reason), "{tried:?}");
            }
            other => panic!("{other:?}"),
        }
    }

    /// All that came is paid for, and no more.
    async fn settled(&self) -> Amount {
        let purse = || self.client.purse(&self.server).unwrap().purse;
        let is_paid = || self.server.earned() == purse().verified.amount();
        until("the last payment", is_paid).await;
        purse().verified.amount()
    }
}

/// What so many MiB cost.
fn mib(count: u64) -> Amount {
    Amount::from_units(count * PRICE.units())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_costs_no_more_than_its_budget_and_a_restart_changes_nothing() {
    let mut world = world(|config| config.budget.all = mib(FILE_MIB + 1)).await;
    world.client.read_all(&world.files[0]).await.unwrap();
    // It is reached in the middle of the next one: what is on its way is taken and paid for.
    world
        .is_refused(&world.files[1], "coins were spent today on deliveries")
        .await;
    let spent = world.settled().await;
    assert!(spent > mib(FILE_MIB) && spent < mib(2 * FILE_MIB), "{spent}");
    assert_eq!(world.client.delivery.spent(&Purpose::All).unwrap(), spent);
    world.client.restart().await;
    world
        .is_refused(&world.files[2], "coins were spent today on deliveries")
        .await;
    assert_eq!(world.settled().await, spent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_paid_enough_makes_room_for_others() {
    let world = world(|config| config.budget.payee = mib(1)).await;
    world.client.read_all(&world.files[0]).await.unwrap_err();
    let first = world.settled().await;
    assert!(first >= mib(1), "{first}");
    let free = Node::start_with(&world.coins, 3, |config| config.price = Amount::ZERO).await;
    let other = Node::start(&world.coins, 4).await;
    let bytes = |seed| Generator::bytes(seed, (FILE_MIB as usize) << 20);
    free.scratch.import(&[("file", &bytes(1))]);
    other
        .scratch
        .import(&[("file", &b"small"[..]), ("other", &bytes(2))]);
    world.client.knows(&[world.server.provider(), free.provider()]);
    world.client.read_all(&world.files[1]).await.unwrap();
    assert_eq!(world.settled().await, first, "it is paid nothing more today");
    let root = other.scratch.import(&[("own", b"of the other")]);
    world.client.knows(&[other.provider()]);
    world.client.read_all(&root).await.unwrap();
    assert!(
        !world
            .client
            .purse(&other)
            .unwrap()
            .purse
            .verified
            .amount()
            .is_zero()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_costs_no_more_than_its_budget_and_others_go_on() {
    let world = world(|config| config.budget.name = mib(FILE_MIB)).await;
    for file in &world.files[..2] {
        world.client.delivery.named(file, "alice.ddn");
    }
    world.client.read_all(&world.files[0]).await.unwrap();
    world
        .is_refused(&world.files[1], "on what is read as alice.ddn")
        .await;
    assert!(
        world
            .client
            .delivery
            .spent(&Purpose::Name("alice.ddn".to_owned()))
            .unwrap()
            >= mib(FILE_MIB)
    );
    world.client.delivery.named(&world.files[2], "bob.ddn");
    world.client.read_all(&world.files[2]).await.unwrap();
    assert!(world.settled().await >= cost((2 * FILE_MIB) << 20));
}
