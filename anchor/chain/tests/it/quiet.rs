//! A chain that is dropped without a shutdown, as when the rest of a node cannot start: it lets go of everything and
//! alarms nobody.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Level;

use crate::world::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything of the engine runs on this thread, so the log is this test's alone.
fn logged(test: impl Future<Output = ()>) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::ERROR)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test);
    });
    log.text()
}

#[test]
fn a_dropped_chain_frees_its_folder_without_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis("dropped", &[]);
    let log = logged(async {
        for round in 0..5 {
            let chain = start_when_free(&genesis, dir.path()).await;
            reach(&chain, chain.tip().height + round % 3).await;
        }
    });
    assert_eq!(log, "");
}

#[test]
fn a_shutdown_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis("shutdown", &[]);
    let log = logged(async {
        for round in 0..5 {
            let chain = start(&genesis, dir.path()).await;
            reach(&chain, chain.tip().height + round % 3).await;
            chain.shutdown().await;
        }
    });
    assert_eq!(log, "");
}

async fn start_when_free(genesis: &ledger::Genesis, dir: &std::path::Path) -> chain::Chain {
    let free = async {
        loop {
            match try_start(genesis, delegate(), config(dir)).await {
                Ok(chain) => return chain,
                Err(chain::Error::InUse { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, free).await.unwrap()
}
