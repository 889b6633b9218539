//! Assets: anchor, transfer, tombstone.

use super::{Refusal, Transition};
use crate::codec::Link;
use crate::keys::Address;
use crate::payment::Split;
use crate::records::content_fault;
use crate::state::{Asset, AssetMeta, Ownership, State, key};

impl Transition<'_> {
    pub(super) fn anchor(
        &mut self,
        sender: &Address,
        cid: &Link,
        meta: &AssetMeta,
        split: &Split,
        committed: u64,
    ) -> Result<(), Refusal> {
        if let Some(reason) = content_fault(cid) {
            return Err(Refusal::Content { reason });
        }
        meta.check()?;
        split.check()?;
        if let Some(asset) = self.overlay.asset(&cid.0)?
            && (asset.owner == *sender || committed >= asset.committed)
        {
            let (owner, height) = (self.show(&asset.owner), asset.anchored);
            return Err(Refusal::AssetTaken {
                cid: cid.to_string(),
                owner,
                height,
            });
        }
        let asset = Asset {
            owner: *sender,
            anchored: self.height,
            committed,
            meta: meta.clone(),
            split: split.clone(),
            history: vec![Ownership {
                height: self.height,
                owner: *sender,
            }],
            dropped: 0,
            tombstone: None,
        };
        self.overlay.write(key::asset(&cid.0), &asset);
        Ok(())
    }

    pub(super) fn transfer_asset(
        &mut self,
        sender: &Address,
        cid: &Link,
        to: &Address,
    ) -> Result<(), Refusal> {
        let mut asset = self.live_asset(sender, cid)?;
        if to == sender {
            return Err(Refusal::OwnAlready {
                object: cid.to_string(),
                owner: self.show(to),
            });
        }
        asset.push_owner(self.height, *to);
        self.overlay.write(key::asset(&cid.0), &asset);
        Ok(())
    }

    pub(super) fn tombstone(&mut self, sender: &Address, cid: &Link) -> Result<(), Refusal> {
        let mut asset = self.live_asset(sender, cid)?;
        asset.tombstone = Some(self.height);
        self.overlay.write(key::asset(&cid.0), &asset);
        Ok(())
    }

    /// The sender's asset that is not withdrawn.
    fn live_asset(&self, sender: &Address, cid: &Link) -> Result<Asset, Refusal> {
        let asset = self
            .overlay
            .asset(&cid.0)?
            .ok_or_else(|| Refusal::AssetUnknown { cid: cid.to_string() })?;
        if asset.owner != *sender {
            let (object, owner) = (cid.to_string(), self.show(&asset.owner));
            return Err(Refusal::NotOwner {
                object,
                owner,
                sender: self.show(sender),
            });
        }
        if let Some(height) = asset.tombstone {
            return Err(Refusal::AssetWithdrawn {
                cid: cid.to_string(),
                height,
            });
        }
        Ok(asset)
    }
}
