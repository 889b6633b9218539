//! The paths of the admin API, in one list for both sides. `{…}` are path parameters, percent-encoded by clients.

/// `GET`: [`NodeStatus`](super::types::NodeStatus).
pub const STATUS: &str = "/v1/status";
/// `GET`: [`ConfigReport`](super::types::ConfigReport).
pub const CONFIG: &str = "/v1/config";
/// `GET`, no token: the OpenAPI 3.1 document of this API.
pub const OPENAPI: &str = "/v1/openapi.json";
/// `POST` a tar stream: lines of [`PublishEvent`](super::types::PublishEvent).
/// `GET`: [`PublishJobs`](super::types::PublishJobs).
pub const PUBLISH: &str = "/v1/publish";
/// `GET`: [`Resolved`](super::types::Resolved).
pub const RESOLVE: &str = "/v1/resolve/{name}";
/// `GET`: [`NameList`](super::types::NameList).
pub const NAMES: &str = "/v1/names";
/// `GET`: [`NameView`](super::types::NameView).
pub const NAME: &str = "/v1/names/{name}";
/// `GET`: [`NameHistory`](super::types::NameHistory).
pub const NAME_HISTORY: &str = "/v1/names/{name}/history";
/// `POST` [`NameRecords`](super::types::NameRecords): [`Sent`](super::types::Sent).
pub const NAME_REGISTER: &str = "/v1/names/{name}/register";
/// `POST` [`NameRecords`](super::types::NameRecords): [`Sent`](super::types::Sent).
pub const NAME_SET: &str = "/v1/names/{name}/set";
/// `POST` [`NameRenew`](super::types::NameRenew): [`Sent`](super::types::Sent).
pub const NAME_RENEW: &str = "/v1/names/{name}/renew";
/// `POST` [`TransferTo`](super::types::TransferTo): [`Sent`](super::types::Sent).
pub const NAME_TRANSFER: &str = "/v1/names/{name}/transfer";
/// `POST` [`ByWallet`](super::types::ByWallet): [`Sent`](super::types::Sent).
pub const NAME_RELEASE: &str = "/v1/names/{name}/release";
/// `GET`: [`AssetList`](super::types::AssetList).
pub const ASSETS: &str = "/v1/assets";
/// `POST` [`AssetVerify`](super::types::AssetVerify): [`AssetVerified`](super::types::AssetVerified).
pub const ASSETS_VERIFY: &str = "/v1/assets/verify";
/// `GET`: [`AssetView`](super::types::AssetView).
pub const ASSET: &str = "/v1/assets/{cid}";
/// `POST` [`AssetTerms`](super::types::AssetTerms): [`Sent`](super::types::Sent).
pub const ASSET_SET: &str = "/v1/assets/{cid}/set";
/// `POST` [`AssetLicense`](super::types::AssetLicense): [`Sent`](super::types::Sent).
pub const ASSET_LICENSE: &str = "/v1/assets/{cid}/license";
/// `POST` [`TransferTo`](super::types::TransferTo): [`Sent`](super::types::Sent).
pub const ASSET_TRANSFER: &str = "/v1/assets/{cid}/transfer";
/// `POST` [`ByWallet`](super::types::ByWallet): [`Sent`](super::types::Sent).
pub const ASSET_TOMBSTONE: &str = "/v1/assets/{cid}/tombstone";
/// `GET`: [`WalletList`](super::types::WalletList).
pub const WALLET: &str = "/v1/wallet";
/// `POST` [`WalletNew`](super::types::WalletNew): [`WalletView`](super::types::WalletView).
pub const WALLET_NEW: &str = "/v1/wallet/new";
/// `POST` [`WalletImport`](super::types::WalletImport): [`WalletView`](super::types::WalletView).
pub const WALLET_IMPORT: &str = "/v1/wallet/import";
/// `GET`: [`WalletExport`](super::types::WalletExport).
pub const WALLET_EXPORT: &str = "/v1/wallet/{name}/export";
/// `POST` [`WalletSend`](super::types::WalletSend): [`Sent`](super::types::Sent).
pub const WALLET_SEND: &str = "/v1/wallet/send";
/// `GET`: [`AccountView`](super::types::AccountView).
pub const ACCOUNT: &str = "/v1/accounts/{address}";
/// `GET`: [`DelegateList`](super::types::DelegateList).
pub const DELEGATES: &str = "/v1/delegates";
/// `POST` [`DelegateRegister`](super::types::DelegateRegister): [`Sent`](super::types::Sent).
pub const DELEGATE_REGISTER: &str = "/v1/delegates/register";
/// `POST` [`DelegateUpdate`](super::types::DelegateUpdate): [`Sent`](super::types::Sent).
pub const DELEGATE_UPDATE: &str = "/v1/delegates/update";
/// `POST` [`ByWallet`](super::types::ByWallet): [`Sent`](super::types::Sent).
pub const DELEGATE_RESIGN: &str = "/v1/delegates/resign";
/// `POST` [`VoteOrder`](super::types::VoteOrder): [`Sent`](super::types::Sent).
pub const DELEGATE_VOTE: &str = "/v1/delegates/{delegate}/vote";
/// `POST` [`VoteOrder`](super::types::VoteOrder): [`Sent`](super::types::Sent).
pub const DELEGATE_UNVOTE: &str = "/v1/delegates/{delegate}/unvote";
/// `POST` [`ByWallet`](super::types::ByWallet): [`Sent`](super::types::Sent).
pub const DELEGATE_COLLECT: &str = "/v1/delegates/{delegate}/collect";
/// `GET`: [`EdgeList`](super::types::EdgeList).
pub const EDGES: &str = "/v1/edges";
/// `POST` [`EdgeTerms`](super::types::EdgeTerms): [`Sent`](super::types::Sent).
pub const EDGE_REGISTER: &str = "/v1/edges/register";
/// `POST` [`EdgeTerms`](super::types::EdgeTerms): [`Sent`](super::types::Sent). The node is 64 hex digits, or `here`.
pub const EDGE_SET: &str = "/v1/edges/{node}/set";
/// `POST` [`ByWallet`](super::types::ByWallet): [`Sent`](super::types::Sent). The node is 64 hex digits, or `here`.
pub const EDGE_LEAVE: &str = "/v1/edges/{node}/leave";
/// `GET`: [`PayStatus`](super::types::PayStatus).
pub const PAY: &str = "/v1/pay";
/// `POST` [`PayOpen`](super::types::PayOpen): [`EscrowSent`](super::types::EscrowSent).
pub const PAY_OPEN: &str = "/v1/pay/open";
/// `POST` [`PayAllot`](super::types::PayAllot): [`EscrowSent`](super::types::EscrowSent). The escrow is 64 hex digits, or
/// `default`: the one that this node pays from, else the newest one of the default wallet.
pub const PAY_ALLOT: &str = "/v1/pay/{escrow}/allot";
/// `POST` [`PayTopUp`](super::types::PayTopUp): [`EscrowSent`](super::types::EscrowSent). As [`PAY_ALLOT`].
pub const PAY_TOP_UP: &str = "/v1/pay/{escrow}/top-up";
/// `POST` [`PayExit`](super::types::PayExit): [`EscrowSent`](super::types::EscrowSent). As [`PAY_ALLOT`],
/// but one that is in exit already comes first.
pub const PAY_EXIT: &str = "/v1/pay/{escrow}/exit";
/// `GET`: [`EarnStatus`](super::types::EarnStatus).
pub const EARN: &str = "/v1/earn";
/// `POST` [`EarnClaim`](super::types::EarnClaim): [`Claimed`](super::types::Claimed).
pub const EARN_CLAIM: &str = "/v1/earn/claim";
/// `GET`: [`ReceiptList`](super::types::ReceiptList).
pub const EARN_RECEIPTS: &str = "/v1/earn/receipts";
/// `GET`: a proof of one delivery, application/cbor.
pub const EARN_PROOF: &str = "/v1/earn/receipts/{id}/proof";
/// `GET`: [`PeerList`](super::types::PeerList).
pub const PEERS: &str = "/v1/peers";
/// `GET`: [`Diagnosis`](super::types::Diagnosis): what the node can say of itself.
pub const DOCTOR: &str = "/v1/doctor";
/// `GET`: [`ChainStatus`](super::types::ChainStatus).
pub const CHAIN_STATUS: &str = "/v1/chain/status";
/// `GET`, with a height or `latest`: [`BlockView`](super::types::BlockView).
pub const CHAIN_BLOCK: &str = "/v1/chain/blocks/{height}";
/// `GET`: [`TxView`](super::types::TxView).
pub const CHAIN_TX: &str = "/v1/chain/txs/{cid}";
/// `POST` a transaction in DAG-CBOR: [`TxSubmitted`](super::types::TxSubmitted).
pub const CHAIN_TXS: &str = "/v1/chain/txs";
/// `GET`: a proof bundle, application/cbor.
pub const CHAIN_PROOF: &str = "/v1/chain/proof";
/// `GET`: a checkpoint file.
pub const CHAIN_CHECKPOINT: &str = "/v1/chain/checkpoint";
/// `GET`: a snapshot of the state, application/vnd.ddn.snapshot.
pub const CHAIN_SNAPSHOT: &str = "/v1/chain/snapshot";
/// `POST` a [`BackupOrder`](super::types::BackupOrder): [`BackupMade`](super::types::BackupMade).
pub const CHAIN_BACKUP: &str = "/v1/chain/backup";
/// `GET`: [`ChainList`](super::types::ChainList); `POST` a [`ChainRegisterOrder`](super::types::ChainRegisterOrder):
/// [`Sent`](super::types::Sent).
pub const CHAINS: &str = "/v1/chains";
/// `POST` a light block in DAG-CBOR: [`Sent`](super::types::Sent).
pub const CHAIN_ANCHOR: &str = "/v1/chains/anchor";
/// `GET`: [`RepoStat`](super::types::RepoStat).
pub const REPO_STAT: &str = "/v1/repo/stat";
/// `POST`: lines of [`RepoEvent`](super::types::RepoEvent).
pub const REPO_VERIFY: &str = "/v1/repo/verify";
/// `POST`: lines of [`RepoEvent`](super::types::RepoEvent).
pub const REPO_GC: &str = "/v1/repo/gc";
/// `GET`: [`PinList`](super::types::PinList).
pub const REPO_PINS: &str = "/v1/repo/pins";
/// `POST`: [`PinView`](super::types::PinView). `DELETE`: [`Empty`](super::types::Empty).
pub const REPO_PIN: &str = "/v1/repo/pins/{cid}";
/// `POST` a CARv1: [`CarImported`](super::types::CarImported).
pub const REPO_IMPORT: &str = "/v1/repo/import";
/// `GET`: a CARv1 of everything below the CID, application/vnd.ipld.car.
pub const REPO_EXPORT: &str = "/v1/repo/export/{cid}";
/// `GET`: a CARv1 whose root is the CID (or what the name points to), with the blocks on the way along the path and
/// everything below its end. `x-ddn-cid` is the CID at the end of the path. The client verifies every block.
pub const CONTENT: &str = "/v1/content/{root}/{*path}";
/// As [`CONTENT`], without a path.
pub const CONTENT_ROOT: &str = "/v1/content/{root}";
/// `GET`, no token: metrics in the OpenMetrics text format.
pub const METRICS: &str = "/metrics";
/// `GET`, no token: 200 while the process lives.
pub const HEALTHZ: &str = "/healthz";
/// `GET`, no token: 200 while the node does its work, 503 with a reason otherwise.
pub const READYZ: &str = "/readyz";
