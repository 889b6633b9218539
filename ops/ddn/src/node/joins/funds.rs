//! What others can pay, as the ledger says at the tip.

use chain::Chain;
use cid::Cid;
use ledger::{Address, Escrow, Hash, Line, State as _};
use storage::ddp::Funds;

/// The escrows of the chain.
pub struct ChainFunds(pub Chain);

impl Funds for ChainFunds {
    fn height(&self) -> u64 {
        self.0.tip().height
    }

    fn is_split(&self, root: &Cid) -> Result<bool, String> {
        let asset = self.0.state().asset(root).map_err(|error| error.to_string())?;
        Ok(asset.is_some_and(|asset| !asset.split.is_empty()))
    }

    fn escrow(&self, id: &Hash, payee: &Address) -> Result<(Option<Escrow>, Option<Line>), String> {
        let view = self.0.state();
        let escrow = view.escrow(id).map_err(|error| error.to_string())?;
        let line = view.line(id, payee).map_err(|error| error.to_string())?;
        Ok((escrow, line))
    }
}
