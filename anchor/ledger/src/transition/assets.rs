//! Assets: anchor, set, transfer, license, tombstone.

use super::money::Bill;
use super::{Refusal, Transition};
use crate::codec::Link;
use crate::keys::Address;
use crate::payment::Split;
use crate::records::content_fault;
use crate::state::{Asset, AssetMeta, Licence, Ownership, State, StateError, Tagged, key};

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
        self.write_asset(cid, &asset)?;
        Ok(())
    }

    pub(super) fn set_asset(
        &mut self,
        sender: &Address,
        cid: &Link,
        meta: &AssetMeta,
    ) -> Result<(), Refusal> {
        meta.check()?;
        let mut asset = self.own_live_asset(sender, cid)?;
        if let Some(field) = fixed_field_changed(&asset.meta, meta) {
            let cid = cid.to_string();
            return Err(Refusal::AssetFixed { cid, field });
        }
        asset.meta = meta.clone();
        self.write_asset(cid, &asset)?;
        Ok(())
    }

    pub(super) fn transfer_asset(
        &mut self,
        sender: &Address,
        cid: &Link,
        to: &Address,
    ) -> Result<(), Refusal> {
        let mut asset = self.own_live_asset(sender, cid)?;
        if to == sender {
            return Err(Refusal::OwnAlready {
                object: cid.to_string(),
                owner: self.show(to),
            });
        }
        asset.push_owner(self.height, *to);
        self.write_asset(cid, &asset)?;
        Ok(())
    }

    /// Pays the owner for a licence.
    pub(super) fn license(&mut self, sender: &Address, cid: &Link, bill: Bill) -> Result<(), Refusal> {
        let asset = self.known_asset(cid)?;
        check_live(&asset, cid)?;
        let (text, holder) = (cid.to_string(), self.show(sender));
        if asset.owner == *sender {
            return Err(Refusal::LicenceOwner { cid: text, holder });
        }
        if let Some(Licence { height, .. }) = self.overlay.licence(&cid.0, sender)? {
            return Err(Refusal::LicenceHeld {
                cid: text,
                holder,
                height,
            });
        }
        let Some(price) = asset.meta.price else {
            return Err(Refusal::LicenceNone { cid: text });
        };
        if price != bill.price {
            let offered = bill.price;
            return Err(Refusal::LicencePrice {
                cid: text,
                price,
                offered,
            });
        }
        self.pay_price(sender, bill)?;
        self.credit(&asset.owner, price)?;
        let licence = Licence {
            height: self.height,
            price,
            licence: asset.meta.licence,
        };
        self.overlay.write(key::licence(&cid.0, sender), &licence);
        Ok(())
    }

    pub(super) fn tombstone(&mut self, sender: &Address, cid: &Link) -> Result<(), Refusal> {
        let mut asset = self.own_live_asset(sender, cid)?;
        asset.tombstone = Some(self.height);
        self.write_asset(cid, &asset)?;
        Ok(())
    }

    /// Writes an asset, and the index by tag so that it says the same.
    fn write_asset(&mut self, cid: &Link, asset: &Asset) -> Result<(), StateError> {
        if let Some(before) = self.overlay.asset(&cid.0)? {
            for tag in before.indexed_tags() {
                self.overlay.remove(key::tag(tag, &cid.0));
            }
        }
        for tag in asset.indexed_tags() {
            self.overlay.write(key::tag(tag, &cid.0), &Tagged {});
        }
        self.overlay.write(key::asset(&cid.0), asset);
        Ok(())
    }

    fn known_asset(&self, cid: &Link) -> Result<Asset, Refusal> {
        self.overlay
            .asset(&cid.0)?
            .ok_or_else(|| Refusal::AssetUnknown { cid: cid.to_string() })
    }

    /// The sender's asset that is not withdrawn.
    fn own_live_asset(&self, sender: &Address, cid: &Link) -> Result<Asset, Refusal> {
        let asset = self.known_asset(cid)?;
        if asset.owner != *sender {
            let (object, owner) = (cid.to_string(), self.show(&asset.owner));
            return Err(Refusal::NotOwner {
                object,
                owner,
                sender: self.show(sender),
            });
        }
        check_live(&asset, cid)?;
        Ok(asset)
    }
}

fn check_live(asset: &Asset, cid: &Link) -> Result<(), Refusal> {
    match asset.tombstone {
        None => Ok(()),
        Some(height) => Err(Refusal::AssetWithdrawn {
            cid: cid.to_string(),
            height,
        }),
    }
}

/// The first field that an owner cannot change and that is another one now: these say how the CID came about.
fn fixed_field_changed(before: &AssetMeta, now: &AssetMeta) -> Option<&'static str> {
    [
        ("profile", before.profile == now.profile),
        ("bytes", before.bytes == now.bytes),
        ("files", before.files == now.files),
    ]
    .into_iter()
    .find_map(|(field, is_same)| (!is_same).then_some(field))
}
