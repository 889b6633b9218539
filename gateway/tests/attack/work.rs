//! Requests that are cheap to send and cost work: listings, compression, long files of rules.

use std::sync::Arc;

use crate::beside::{Way, ask, beside, flood, run, site, status};
use crate::client::request;

/// The last number of the address of somebody who wants a listing too.
const OTHER: u8 = 20;

#[test]
fn floods_of_listings() {
    run(async {
        let site = site(|_| {}).await;
        let names: Vec<String> = (0..3000).map(|n| format!("{n:0100}")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        let cid = site.publish(&files);
        // Each is another page, so that none comes from memory.
        let page = |n: usize| format!("/ipfs/{cid}/?after={n:0100}");
        let texts: Arc<[String]> = (0..900)
            .map(|n| request("GET", "127.0.0.1", &page(n), &[]))
            .collect();
        let address = site.address();
        let own = request(
            "GET",
            "127.0.0.1",
            &format!("/ipfs/{}/files/sub/", site.root),
            &[],
        );
        beside("listings", &site, &Way::Lines, |stop| {
            let (texts, own) = (Arc::clone(&texts), own.clone());
            async move {
                let other = async {
                    for _ in 0..20 {
                        assert_eq!(
                            status(&ask(address, OTHER, &own).await),
                            200,
                            "somebody else's listing"
                        );
                    }
                };
                let (counts, ()) = tokio::join!(flood(address, 16, texts, stop), other);
                assert!(counts[2] > 0 && counts[5] == 0, "{counts:?}");
            }
        })
        .await;
    });
}

#[test]
fn floods_of_work() {
    run(async {
        let site = site(|_| {}).await;
        let text: Vec<u8> = (0..40_000)
            .flat_map(|line| format!("line {line} of a long text\n").into_bytes())
            .collect();
        let cid = site.publish(&[("x.txt", &text)]);
        let page = |n: usize| format!("/ipfs/{cid}/x.txt?x={n}");
        let texts: Arc<[String]> = (0..5000)
            .map(|n| request("GET", "127.0.0.1", &page(n), &[("Accept-Encoding", "br")]))
            .collect();
        let address = site.address();
        beside("compression", &site, &Way::Lines, |stop| {
            let texts = Arc::clone(&texts);
            async move {
                let counts = flood(address, 16, texts, stop).await;
                assert!(counts[2] > 0 && counts[5] == 0, "{counts:?}");
            }
        })
        .await;
    });
}
