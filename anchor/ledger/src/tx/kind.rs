//! The kinds of actions.

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Action;

/// The kind of an [`Action`]; a genesis lists those that its chain allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`Action::Transfer`]
    Transfer,
    /// [`Action::Faucet`]
    Faucet,
    /// [`Action::Commit`]
    Commit,
    /// [`Action::NameRegister`]
    NameRegister,
    /// [`Action::NameSet`]
    NameSet,
    /// [`Action::NameRenew`]
    NameRenew,
    /// [`Action::NameTransfer`]
    NameTransfer,
    /// [`Action::NameRelease`]
    NameRelease,
    /// [`Action::AssetAnchor`]
    AssetAnchor,
    /// [`Action::AssetSet`]
    AssetSet,
    /// [`Action::AssetTransfer`]
    AssetTransfer,
    /// [`Action::AssetLicense`]
    AssetLicense,
    /// [`Action::AssetTombstone`]
    AssetTombstone,
    /// [`Action::EscrowOpen`]
    EscrowOpen,
    /// [`Action::EscrowTopUp`]
    EscrowTopUp,
    /// [`Action::EscrowAllot`]
    EscrowAllot,
    /// [`Action::EscrowExit`]
    EscrowExit,
    /// [`Action::EscrowClose`]
    EscrowClose,
    /// [`Action::Claim`]
    Claim,
    /// [`Action::EdgeRegister`]
    EdgeRegister,
    /// [`Action::EdgeSet`]
    EdgeSet,
    /// [`Action::EdgeLeave`]
    EdgeLeave,
    /// [`Action::DelegateRegister`]
    DelegateRegister,
    /// [`Action::DelegateUpdate`]
    DelegateUpdate,
    /// [`Action::DelegateResign`]
    DelegateResign,
    /// [`Action::DelegateReturn`]
    DelegateReturn,
    /// [`Action::Vote`]
    Vote,
    /// [`Action::Unvote`]
    Unvote,
    /// [`Action::VoteCollect`]
    VoteCollect,
    /// [`Action::Evidence`]
    Evidence,
    /// [`Action::ChainRegister`]
    ChainRegister,
    /// [`Action::ChainAnchor`]
    ChainAnchor,
    /// [`Action::Fraud`]
    Fraud,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 33] = [
        Self::Transfer,
        Self::Faucet,
        Self::Commit,
        Self::NameRegister,
        Self::NameSet,
        Self::NameRenew,
        Self::NameTransfer,
        Self::NameRelease,
        Self::AssetAnchor,
        Self::AssetSet,
        Self::AssetTransfer,
        Self::AssetLicense,
        Self::AssetTombstone,
        Self::EscrowOpen,
        Self::EscrowTopUp,
        Self::EscrowAllot,
        Self::EscrowExit,
        Self::EscrowClose,
        Self::Claim,
        Self::EdgeRegister,
        Self::EdgeSet,
        Self::EdgeLeave,
        Self::DelegateRegister,
        Self::DelegateUpdate,
        Self::DelegateResign,
        Self::DelegateReturn,
        Self::Vote,
        Self::Unvote,
        Self::VoteCollect,
        Self::Evidence,
        Self::ChainRegister,
        Self::ChainAnchor,
        Self::Fraud,
    ];

    /// As it is written in a genesis file and in errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Faucet => "faucet",
            Self::Commit => "commit",
            Self::NameRegister => "name_register",
            Self::NameSet => "name_set",
            Self::NameRenew => "name_renew",
            Self::NameTransfer => "name_transfer",
            Self::NameRelease => "name_release",
            Self::AssetAnchor => "asset_anchor",
            Self::AssetSet => "asset_set",
            Self::AssetTransfer => "asset_transfer",
            Self::AssetLicense => "asset_license",
            Self::AssetTombstone => "asset_tombstone",
            Self::EscrowOpen => "escrow_open",
            Self::EscrowTopUp => "escrow_top_up",
            Self::EscrowAllot => "escrow_allot",
            Self::EscrowExit => "escrow_exit",
            Self::EscrowClose => "escrow_close",
            Self::Claim => "claim",
            Self::EdgeRegister => "edge_register",
            Self::EdgeSet => "edge_set",
            Self::EdgeLeave => "edge_leave",
            Self::DelegateRegister => "delegate_register",
            Self::DelegateUpdate => "delegate_update",
            Self::DelegateResign => "delegate_resign",
            Self::DelegateReturn => "delegate_return",
            Self::Vote => "vote",
            Self::Unvote => "unvote",
            Self::VoteCollect => "vote_collect",
            Self::Evidence => "evidence",
            Self::ChainRegister => "chain_register",
            Self::ChainAnchor => "chain_anchor",
            Self::Fraud => "fraud",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
