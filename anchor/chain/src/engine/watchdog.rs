//! Looks at the engine from outside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::{ConsensusRequest, NetworkRequest};
use consensus::Chain;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::monitor::Monitor;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// An engine that lives answers at once; one that is busy with a full block, within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Watches until it is aborted.
pub(crate) async fn watch(
    monitor: Arc<Monitor>,
    consensus: mpsc::Sender<ConsensusRequest<Chain>>,
    network: mpsc::Sender<NetworkRequest>,
) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(Ok(Some(dump))) = timeout(ANSWER_WITHIN, NetworkRequest::dump_state(&network)).await {
            monitor.connected(dump.peers.keys().map(ToString::to_string));
        }
        if monitor.is_overdue(Instant::now()) {
            let answer = timeout(ANSWER_WITHIN, ConsensusRequest::dump_state(&consensus)).await;
            let answers = matches!(answer, Ok(Ok(Some(_))));
            monitor.judge(Instant::now(), answers);
        }
    }
}
