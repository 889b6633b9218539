//! A follower's process that is killed between blocks, again and again: it goes on where it was.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use chain::{Fault, Gossip, Peers};
use ledger::{Action, Genesis, decode, encode};
use serde::{Deserialize, Serialize};

use crate::wire::{Answer, Request, Sealed};
use crate::world::*;

const NAME: &str = "killed::a_follower_that_is_killed_goes_on_where_it_was";
/// Set in the process that is to be killed: the folder with everything that it needs.
const FOLDER: &str = "DDN_TEST_FOLLOWER";
const HISTORY: &str = "history";
const BLOCKS: u64 = 30;
/// After so many new blocks each of the processes is killed.
const KILLED_AFTER: [u64; 6] = [1, 2, 4, 1, 5, 3];

/// What a delegate made, for a process that has no delegate.
#[derive(Serialize, Deserialize)]
struct History {
    genesis: Genesis,
    blocks: Vec<Sealed>,
}

/// Gives the history, a block at a time.
struct Recorded(History);

#[async_trait]
impl Peers for Recorded {
    fn peers(&self) -> Vec<String> {
        vec!["recorded".into()]
    }

    async fn ask(&self, _: &str, request: Vec<u8>) -> Result<Vec<u8>, String> {
        let History { genesis, blocks } = &self.0;
        Ok(encode(&match decode(&request).unwrap() {
            Request::Status {} => Answer::Status {
                chain: genesis.chain_id.clone(),
                genesis: genesis.cid().into(),
                height: blocks.len() as u64,
                header: blocks.last().unwrap().header().id(),
            },
            Request::Blocks { from, .. } => Answer::Blocks {
                blocks: blocks.get(from as usize - 1).into_iter().cloned().collect(),
            },
            Request::Submit { .. } => Answer::Taken {},
        }))
    }

    fn fault(&self, _: &str, fault: Fault) {
        panic!("{fault:?}");
    }

    fn publish(&self, _: Gossip, _: Vec<u8>) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_killed_goes_on_where_it_was() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return follow(Path::new(&folder)).await;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("killed", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    for number in 20..30 {
        include(&one, next(&one, &secret(number), Action::Faucet {})).await;
    }
    reach(&one, BLOCKS).await;
    let sealed = |height| {
        let (block, certificate) = one.block(height).unwrap().unwrap();
        Sealed::new(&block, &certificate)
    };
    let history = History {
        genesis: genesis.clone(),
        blocks: (1..=BLOCKS).map(sealed).collect(),
    };
    std::fs::write(dirs[1].path().join(HISTORY), encode(&history)).unwrap();

    let dir = dirs[1].path().to_owned();
    tokio::task::spawn_blocking(move || kill_again_and_again(&dir))
        .await
        .unwrap();
    let two = start_follower(&genesis, dirs[1].path()).await;
    assert_eq!(two.tip().height, BLOCKS);
    agree(&one, &two);
    check_history(&two);
    one.shutdown().await;
    two.shutdown().await;
}

fn kill_again_and_again(dir: &Path) {
    let mut reached = 0;
    for blocks in KILLED_AFTER {
        let (mut child, mut heights) = spawn(dir);
        let begins = heights.next().unwrap();
        assert!(begins >= reached, "it was at {reached} and begins at {begins}");
        reached = heights.find(|height| *height >= begins + blocks).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (mut child, heights) = spawn(dir);
    assert_eq!(heights.last(), Some(BLOCKS));
    assert!(child.wait().unwrap().success());
}

/// A process that tells its heights.
fn spawn(dir: &Path) -> (Child, impl Iterator<Item = u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let heights = lines.filter_map(|line| line.unwrap().strip_prefix("height ")?.parse().ok());
    (child, heights)
}

async fn follow(dir: &Path) {
    let history: History = decode(&std::fs::read(dir.join(HISTORY)).unwrap()).unwrap();
    let chain = start_follower(&history.genesis, dir).await;
    let mut tips = chain.watch();
    println!("\nheight {}", chain.tip().height);
    chain.connect(Arc::new(Recorded(history)));
    while chain.tip().height < BLOCKS {
        tips.changed().await.unwrap();
        println!("height {}", tips.borrow_and_update().height);
    }
    chain.shutdown().await;
}
