//! What names of other chains point to. The nodes of another chain are in another mesh, so their gateways are asked for the
//! blocks, as any IPFS client would (trustless gateway), and each is checked against its CID.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use storage::BLOCK_BYTES_MAX;

use super::{Asked, OtherChains, plain, read};

/// Roots whose chain is remembered.
pub const ROOTS_MAX: usize = 16_384;
/// Blocks that are fetched at once.
pub const FETCHES_MAX: usize = 64;
/// How long one gateway may take for a block.
const BLOCK_WITHIN: Duration = Duration::from_secs(10);

impl OtherChains {
    /// What is below `root` is read under this name: if it is one of another chain, that chain's gateways have it.
    pub fn named(&self, root: &Cid, name: &str) {
        let name = name.to_lowercase();
        let tld = self.tlds.above(name.trim_end_matches('.'));
        let chain = tld.and_then(|tld| self.chains.iter().position(|chain| chain.genesis.tld == tld));
        if let Some(chain) = chain {
            self.roots.insert(*root, chain);
        }
    }

    /// Whether a name of another chain led to `root`.
    pub fn has_led_to(&self, root: &Cid) -> bool {
        self.roots.get(root).is_some()
    }

    /// A block below `root` from a gateway of the chain whose name led there. `None` if no such name did, or none of them
    /// gives it. Waits for them; never to be asked on a thread of the runtime.
    pub fn block(&self, root: &Cid, cid: &Cid) -> Option<Bytes> {
        let chain = self.chains.get(self.roots.get(root)?)?;
        let _place = self.fetches.try_acquire().ok()?;
        self.runtime.block_on(chain.block(cid))
    }
}

impl Asked {
    /// Asks one gateway after the other, the one that proved a name last first.
    async fn block(&self, cid: &Cid) -> Option<Bytes> {
        let (first, count) = (self.good.load(Ordering::Relaxed), self.gateways.len());
        for at in (first..first + count).map(|at| at % count) {
            let gateway = &self.gateways[at];
            match tokio::time::timeout(BLOCK_WITHIN, self.block_of(gateway, cid)).await {
                Ok(Ok(bytes)) => return Some(bytes),
                Ok(Err(reason)) => {
                    tracing::debug!(gateway, %cid, reason, "a gateway of another chain gives no block");
                }
                Err(_) => tracing::debug!(gateway, %cid, "a gateway of another chain does not answer"),
            }
        }
        None
    }

    async fn block_of(&self, gateway: &str, cid: &Cid) -> Result<Bytes, String> {
        let asked = self.http.get(format!("{gateway}/ipfs/{cid}?format=raw")).send();
        let answer = asked.await.map_err(|error| plain(&error))?;
        let bytes = read(answer, BLOCK_BYTES_MAX).await?;
        storage::verify(cid, &bytes).map_err(|error| error.to_string())?;
        Ok(bytes.into())
    }
}
