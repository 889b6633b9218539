//! The reveals of this delegate, from which it takes one for each block that it makes.

use ledger::{Hash, Reveals, SecretKey};

use crate::Error;

/// Generations of reveals that are looked through for a tip: a chain of reveals lasts for years.
pub const REVEAL_GENERATIONS: u32 = 8;

/// Makes the reveals of a key when they are needed.
pub(crate) struct OwnReveals {
    key: SecretKey,
    chain_id: String,
    made: Option<Reveals>,
}

impl OwnReveals {
    pub(crate) fn new(key: &SecretKey, chain_id: &str) -> OwnReveals {
        OwnReveals {
            key: key.clone(),
            chain_id: chain_id.to_owned(),
            made: None,
        }
    }

    /// The reveal that hashes to the delegate's tip.
    ///
    /// # Errors
    /// If the tip was not made with this key, or its chain of reveals is used up: this delegate can make no block.
    pub(crate) fn before(&mut self, tip: &Hash) -> Result<Hash, Error> {
        if let Some(reveal) = self.made.as_ref().and_then(|made| made.before(tip)) {
            return Ok(reveal);
        }
        for generation in 0..REVEAL_GENERATIONS {
            let reveals = Reveals::new(&self.key, &self.chain_id, generation);
            if let Some(reveal) = reveals.before(tip) {
                self.made = Some(reveals);
                return Ok(reveal);
            }
        }
        Err(Error::Ledger {
            operation: "make a block",
            reason: format!(
                "the tip {tip} of this delegate is not of a chain of reveals of its key, or that is used up: register another one"
            ),
        })
    }
}
