//! The proof of a name, for people.

use super::{TAIL, brand, head};
use crate::escape::html;

/// What a proof says.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The whole name.
    pub name: String,
    /// Whether the ledger has an entry of it.
    pub held: bool,
    /// The CID that it points to.
    pub content: Option<String>,
    /// The chain.
    pub chain: String,
    /// Height of the block after which it was so.
    pub height: u64,
    /// The block's CID.
    pub block: String,
    /// The state after the block, hex.
    pub state_root: String,
    /// Delegates that signed the block.
    pub signatures: usize,
}

/// The page.
pub(crate) fn render(proof: &Shown) -> String {
    let name = html(&proof.name);
    let mut page = head(&format!("Proof of {}", proof.name));
    page.push_str(&brand(None));
    page.push_str(&format!(
        "<main>\n<h1><small>Proof of a name</small> {name}</h1>\n<p class=\"lead\">{}</p>\n<dl class=\"card\">\n",
        says(proof)
    ));
    for (what, value) in facts(proof) {
        page.push_str(&format!(
            "<div><dt>{what}</dt><dd><code>{}</code></dd></div>\n",
            html(&value)
        ));
    }
    page.push_str(&format!(
        "</dl>\n<h2>Check it yourself</h2>\n\
         <p>This page repeats what the proof says. To check it, without trust in this node, take the proof and a genesis \
         that you trust:</p>\n<pre class=\"card\"><code>curl -s THIS-ADDRESS | ddn chain verify --genesis genesis.json</code></pre>\n\
         <p>It holds if the delegates that the genesis leads to have signed the block, the block names the state, and the \
         state has the entry. The content then proves itself: its blocks hash to its CID.</p>\n\
         </main>\n<footer>Chain {}</footer>\n{TAIL}",
        html(&proof.chain)
    ));
    page
}

fn says(proof: &Shown) -> &'static str {
    match (proof.held, &proof.content) {
        (false, _) => "Nobody holds this name, and the ledger proves it.",
        (true, None) => "This name is held, and points to no content; the ledger proves it.",
        (true, Some(_)) => "What this name points to is written on the ledger, and the ledger proves it.",
    }
}

fn facts(proof: &Shown) -> Vec<(&'static str, String)> {
    let content = proof.content.clone().map(|content| ("content", content));
    let signed = match proof.signatures {
        1 => "1 delegate".to_owned(),
        many => format!("{many} delegates"),
    };
    content
        .into_iter()
        .chain([
            ("block", proof.block.clone()),
            ("height", proof.height.to_string()),
            ("state", proof.state_root.clone()),
            ("signed by", signed),
        ])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(held: bool, content: Option<&str>) -> String {
        render(&Shown {
            name: "alice.ddn".into(),
            held,
            content: content.map(str::to_owned),
            chain: "<dev>".into(),
            height: 7,
            block: "bafyblock".into(),
            state_root: "00".into(),
            signatures: 1,
        })
    }

    #[test]
    fn says_what_is_proven_and_how_to_check_it() {
        let page = shown(true, Some("bafycontent"));
        assert!(page.contains("bafycontent") && page.contains("bafyblock") && page.contains("1 delegate"));
        assert!(page.contains("ddn chain verify") && page.contains("&lt;dev&gt;"));
        assert!(!page.contains("src=") && !page.contains("<script"));
        assert!(shown(false, None).contains("Nobody holds this name"));
        assert!(shown(true, None).contains("points to no content"));
    }
}
