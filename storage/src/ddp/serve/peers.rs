//! One connection for each peer, the newest: a peer that was killed and came back does not wait for its ghost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::endpoint::{Connection, VarInt, WeakConnectionHandle};
use ledger::PublicKey;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Who is connected.
#[derive(Default)]
pub(super) struct Peers(Mutex<HashMap<PublicKey, Arc<Talk>>>);

/// One connection, while its sessions go on.
pub(super) struct Talk {
    connection: WeakConnectionHandle,
    over: CancellationToken,
}

impl Peers {
    /// A peer has connected: ends its earlier connection, and waits until the sessions on that are over.
    pub async fn begin(&self, peer: PublicKey, connection: &Connection) -> Arc<Talk> {
        let talk = Arc::new(Talk {
            connection: connection.weak_handle(),
            over: CancellationToken::new(),
        });
        let earlier = self.lock().insert(peer, Arc::clone(&talk));
        if let Some(earlier) = earlier {
            if let Some(connection) = earlier.connection.upgrade() {
                connection.close(REPLACED, b"this peer has connected anew");
            }
            let _ = timeout(OVER_TIME_MAX, earlier.over.cancelled()).await;
        }
        talk
    }

    /// The sessions of a connection are over.
    pub fn end(&self, peer: &PublicKey, talk: &Arc<Talk>) {
        talk.over.cancel();
        let mut peers = self.lock();
        if peers.get(peer).is_some_and(|known| Arc::ptr_eq(known, talk)) {
            peers.remove(peer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublicKey, Arc<Talk>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long sessions of an earlier connection may take to end.
const OVER_TIME_MAX: Duration = Duration::from_secs(1);
/// The close code of a connection whose peer has a newer one.
const REPLACED: VarInt = VarInt::from_u32(2);
