//! `ddn chain register`, `anchor` and `list`, and proofs through another chain. Two nodes take part: that of the data folder,
//! and that of the other chain, whose data folder is named.

use std::path::Path;

use ledger::{Bundle, Foreign, Genesis, LightBlock, key};

use super::chain::fetch_proof;
use super::client::{Call, Node};
use super::failure::{Failure, Outcome};
use super::name::How;
use super::screen::{self, Table};
use super::{Context, genesis, state_key};
use crate::api::paths;
use crate::api::types::{ChainList, ChainRegisterOrder, ChainStatus, OtherChain, Sent};

/// Lists the chains that the ledger follows.
pub async fn list(context: &Context) -> Outcome {
    let node = Node::on(&context.data).await?;
    let list = known(&node).await?;
    context.screen.show(&list, |out, list| {
        let mut table = Table::new(&["chain", "names", "height>", "time", "anchors>", "state"]);
        for chain in &list.chains {
            let state = chain.forked.map_or("follows".to_owned(), |height| {
                format!("forked at height {height}")
            });
            table.row([
                chain.chain_id.clone(),
                format!(".{}", chain.tld),
                chain.height.to_string(),
                screen::utc(chain.time_ms),
                chain.anchors.len().to_string(),
                state,
            ]);
        }
        table.write(out, "no other chains")
    })
}

async fn known(node: &Node) -> Outcome<ChainList> {
    node.call(Call::get(paths::CHAINS, &[])).await
}

async fn entry(node: &Node, chain_id: &str) -> Outcome<OtherChain> {
    let found = known(node)
        .await?
        .chains
        .into_iter()
        .find(|chain| chain.chain_id == chain_id);
    found.ok_or_else(|| {
        let text = format!("the ledger does not follow the chain {chain_id}: `ddn chain register` makes it");
        Failure::new("not_found", text)
    })
}

/// Makes the ledger follow the chain of the node on `other`.
pub async fn register(context: &Context, other: &Path, how: How) -> Outcome {
    let (here, there) = (Node::on(&context.data).await?, Node::on(other).await?);
    let foreign = genesis::of_data(other)?;
    let json = there.bytes(Call::get(paths::CHAIN_CHECKPOINT, &[])).await?;
    let checkpoint = serde_json::from_slice(&json).map_err(|error| Failure::new("bad_checkpoint", error))?;
    let order = ChainRegisterOrder {
        checkpoint,
        tld: foreign.tld.clone(),
        prefix: foreign.prefix.clone(),
        wallet: how.wallet,
        wait: Some(!how.no_wait),
    };
    let sent: Sent = here.call_with(Call::post(paths::CHAINS, &[]), &order).await?;
    let done = format!(
        "the ledger follows {}, whose names end with .{}",
        foreign.chain_id, foreign.tld
    );
    context.screen.sent(&sent, &done)
}

/// Brings the newest header of the chain of the node on `other`, and before it every change of its validators.
pub async fn anchor(context: &Context, other: &Path, how: How) -> Outcome {
    let (here, there) = (Node::on(&context.data).await?, Node::on(other).await?);
    let foreign = genesis::of_data(other)?;
    let known = entry(&here, &foreign.chain_id).await?;
    // Which entry it proves does not matter.
    let tip: ChainStatus = there
        .call(Call::get(paths::CHAIN_STATUS, &[]).query("audit", Some(false)))
        .await?;
    let seat = tip.delegates.first().cloned().unwrap_or_default();
    let (_, bundle) = fetch_proof(&there, &seat, &foreign).await?;
    let mut last = None;
    for block in blocks(bundle, known.height)? {
        let height = block.header.height;
        let call = Call::post(paths::CHAIN_ANCHOR, &[])
            .query("wallet", how.wallet.as_ref())
            .query("wait", Some(!how.no_wait));
        last = Some((
            height,
            here.post_bytes::<Sent>(call, ledger::encode(&block)).await?,
        ));
    }
    let Some((height, sent)) = last else {
        let text = format!(
            "the ledger knows {} up to height {} already",
            foreign.chain_id, known.height
        );
        return Err(Failure::new("known", text));
    };
    let done = format!("anchored {} at height {height}", foreign.chain_id);
    context.screen.sent(&sent, &done)
}

/// The blocks of a bundle above a height.
fn blocks(bundle: Bundle, above: u64) -> Outcome<Vec<LightBlock>> {
    let newest = LightBlock {
        header: bundle.header,
        certificate: bundle.certificate,
        left: Vec::new(),
        joined: Vec::new(),
    };
    if newest.header.next_validators != newest.header.validators {
        let text =
            "the validators of the other chain change with its newest block: try again after the next one";
        return Err(Failure::new("busy", text));
    }
    let all = bundle.set_changes.into_iter().chain([newest]);
    Ok(all.filter(|block| block.header.height > above).collect())
}

/// Proves an entry of the node's chain to whoever follows the chain of the node on `through`.
pub async fn proof(context: &Context, text: &str, through: &Path) -> Outcome<(Bundle, Genesis)> {
    let (there, main) = (Node::on(&context.data).await?, Node::on(through).await?);
    let (own, trusted) = (genesis::of_data(&context.data)?, genesis::of_data(through)?);
    let known = entry(&main, &own.chain_id).await?;
    let key_text = state_key::for_api(text, &own)?;
    let height = *known.anchors.last().ok_or_else(|| {
        let text = format!(
            "no header of {} is anchored: `ddn chain anchor` brings one",
            own.chain_id
        );
        Failure::new("not_found", text)
    })?;
    let call = Call::get(paths::CHAIN_PROOF, &[])
        .query("key", Some(&key_text))
        .query("height", Some(height));
    let inner =
        Bundle::decode(&there.bytes(call).await?).map_err(|error| Failure::new("bad_proof", error))?;
    let anchored = format!("0x{}", hex::encode(key::anchored(&own.chain_id, height)));
    let (_, outer) = fetch_proof(&main, &anchored, &trusted).await?;
    let bundle = Bundle {
        foreign: Some(Box::new(Foreign {
            key: inner.key,
            value: inner.value,
            proof: inner.proof,
        })),
        ..outer
    };
    ledger::verify_through(&bundle, &trusted).map_err(|error| Failure::new("bad_proof", error))?;
    Ok((bundle, trusted))
}
