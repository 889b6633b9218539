//! Accounts and coins, and how a handler sends a transaction.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::{Action, Address, SecretKey};

use super::extract::{Body, Segments, blocking};
use super::failure::Failed;
use super::types::{
    AccountView, ErrorBody, Sent, WalletExport, WalletImport, WalletList, WalletNew, WalletSend, WalletView,
};
use super::{Answer, Shared, paths, view};
use crate::node::preflight::wallet_key;
use crate::node::wallets::AddError;
use crate::node::{Node, secrets};

/// Whose things a list shows.
pub enum Owners {
    /// Anybody's.
    All,
    /// Those of these addresses.
    Only(Vec<Address>),
}

impl Owners {
    /// By the query's `owner`: an address, a wallet, `*`, or all wallets of the node.
    pub fn of(node: &Node, owner: Option<&str>) -> Result<Self, Failed> {
        Ok(match owner {
            Some("*") => Self::All,
            Some(text) => Self::Only(vec![view::parse_address(node, text)?]),
            None => Self::Only(node.wallets.addresses()?),
        })
    }

    /// Whether an owner is one of them.
    pub fn include(&self, owner: &Address) -> bool {
        match self {
            Self::All => true,
            Self::Only(owners) => owners.contains(owner),
        }
    }
}

/// Sends one transaction, and waits for its block unless told otherwise.
pub async fn send_action(
    node: Arc<Node>,
    wallet: Option<String>,
    wait: Option<bool>,
    action: impl FnOnce() -> Result<Action, Failed> + Send + 'static,
) -> Result<Sent, Failed> {
    let sender = Arc::clone(&node.sender);
    let tx = blocking(move || {
        let action = action()?;
        let (_, key) = wallet_key(&node, wallet.as_deref())?;
        Ok(node.sender.send(&key, action, |_| Ok(()))??)
    })
    .await?;
    let height = match wait.unwrap_or(true) {
        true => Some(sender.finality(&tx).await?),
        false => None,
    };
    Ok(Sent {
        tx: Some(tx.to_string()),
        height,
        commit_tx: None,
    })
}

/// The wallets of this node with what they have.
#[utoipa::path(get, path = paths::WALLET, responses((status = 200, body = WalletList), (status = "default", body = ErrorBody)))]
pub async fn list(State(node): Shared) -> Answer<WalletList> {
    blocking(move || {
        let all = node.wallets.all()?;
        let wallets = all
            .iter()
            .map(|(name, key)| wallet(&node, name, key))
            .collect::<Result<_, Failed>>()?;
        Ok(WalletList { wallets })
    })
    .await
    .map(Json)
}

fn wallet(node: &Node, name: &str, key: &SecretKey) -> Result<WalletView, Failed> {
    let address = key.address();
    let account = node.chain.state().account(&address)?;
    Ok(WalletView {
        name: name.to_owned(),
        address: view::address(node, &address),
        public_key: key.public().to_string(),
        balance: account.balance,
        nonce: account.nonce,
    })
}

/// Adds a wallet with a new key.
#[utoipa::path(post, path = paths::WALLET_NEW, request_body = WalletNew, responses((status = 200, body = WalletView), (status = "default", body = ErrorBody)))]
pub async fn make(State(node): Shared, Body(ask): Body<WalletNew>) -> Answer<WalletView> {
    blocking(move || {
        let key = node.wallets.make(&ask.name)?;
        wallet(&node, &ask.name, &key)
    })
    .await
    .map(Json)
}

/// Adds a wallet with a key from elsewhere.
#[utoipa::path(post, path = paths::WALLET_IMPORT, request_body = WalletImport, responses((status = 200, body = WalletView), (status = "default", body = ErrorBody)))]
pub async fn import(State(node): Shared, Body(ask): Body<WalletImport>) -> Answer<WalletView> {
    blocking(move || {
        let key = secrets::parse_seed(ask.seed.trim());
        let key = key.ok_or_else(|| Failed::bad_request("the seed is not 64 hex digits"))?;
        let key = node.wallets.add(&ask.name, key)?;
        wallet(&node, &ask.name, &key)
    })
    .await
    .map(Json)
}

impl From<AddError> for Failed {
    fn from(error: AddError) -> Self {
        match error {
            AddError::File(error) => error.into(),
            AddError::Name(_) | AddError::Full => Self::bad_request(error.to_string()),
            AddError::Taken(_) => Self::new("refused", error.to_string()),
        }
    }
}

/// The seed of a wallet. Whoever reads it has the coins.
#[utoipa::path(get, path = paths::WALLET_EXPORT, params(("name" = String, Path)), responses((status = 200, body = WalletExport), (status = "default", body = ErrorBody)))]
pub async fn export(State(node): Shared, Segments(name): Segments<String>) -> Answer<WalletExport> {
    blocking(move || {
        let (name, key) = wallet_key(&node, Some(&name))?;
        tracing::warn!(wallet = %name, "the key of a wallet was exported");
        Ok(WalletExport {
            address: view::address(&node, &key.address()),
            seed: secrets::seed_hex(&key),
            name,
        })
    })
    .await
    .map(Json)
}

/// Sends coins.
#[utoipa::path(post, path = paths::WALLET_SEND, request_body = WalletSend, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn send(State(node): Shared, Body(ask): Body<WalletSend>) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let (to, amount) = (ask.to, ask.amount);
    let action = move || {
        Ok(Action::Transfer {
            to: view::parse_address(&shared, &to)?,
            amount,
        })
    };
    send_action(node, ask.wallet, ask.wait, action).await.map(Json)
}

/// What any account has.
#[utoipa::path(get, path = paths::ACCOUNT, params(("address" = String, Path)), responses((status = 200, body = AccountView), (status = "default", body = ErrorBody)))]
pub async fn account(State(node): Shared, Segments(address): Segments<String>) -> Answer<AccountView> {
    blocking(move || {
        let address = view::parse_address(&node, &address)?;
        let state = node.chain.state();
        let account = state.account(&address)?;
        let (address, height) = (view::address(&node, &address), state.tip().height);
        Ok(AccountView {
            address,
            balance: account.balance,
            nonce: account.nonce,
            height,
        })
    })
    .await
    .map(Json)
}
