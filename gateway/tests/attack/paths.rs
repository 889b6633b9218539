//! Paths: rules that lead in circles, long files of rules, links to each other, ways out of the folder.

use std::iter;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use crate::beside::{Way, beside, flood, run, site};
use crate::client::request;
use crate::site::Site;

/// Bytes of a file of rules, at most.
const RULES_BYTES: usize = 64 << 10;

/// So many `lines` as fit into a file of rules.
fn rules(lines: impl Iterator<Item = String>) -> Vec<u8> {
    let mut file = Vec::new();
    for line in lines {
        if file.len() + line.len() > RULES_BYTES {
            break;
        }
        file.extend(line.into_bytes());
    }
    file
}

/// Asks the site `rules.ddn` for many `paths`, again and again.
async fn floods(
    what: &str,
    site: &Site,
    paths: impl Iterator<Item = String>,
    accepted: fn([u64; 6]) -> bool,
) {
    let texts: Arc<[String]> = paths
        .map(|path| request("GET", "rules.ddn", &path, &[]))
        .collect();
    let address = site.address();
    beside(what, site, &Way::Lines, |stop| {
        let texts = Arc::clone(&texts);
        async move {
            let counts = flood(address, 16, texts, stop).await;
            assert!(accepted(counts), "{counts:?}");
        }
    })
    .await;
}

#[test]
fn rules_in_circles() {
    run(async {
        let site = site(|_| {}).await;
        let chain = (0..).map(|n| format!("/r{n} /r{} 200\n/c{n}/* /c{n}/:splat/x 301\n", n + 1));
        let root = site.publish(&[("index.html", b"start"), ("_redirects", &rules(chain))]);
        site.book.point("rules", "", root);
        let deep = "aaaaaaaaa/".repeat(400);
        let paths = (0..500).flat_map(|n| [format!("/r{n}"), format!("/c{n}/{n}"), format!("/c{n}/{deep}")]);
        let none_is_lost =
            |counts: [u64; 6]| counts[3] > 0 && counts[4] > 0 && counts[2] == 0 && counts[0] == 0;
        floods("_redirects in circles", &site, paths, none_is_lost).await;
    });
}

#[test]
fn rules_without_end() {
    run(async {
        let site = site(|_| {}).await;
        let fitting = "/long/* /index.html 200\n".to_owned();
        let others = (0..).map(|n| format!("/:a/:b/:c/{n} /y 301\n"));
        let redirects = rules(iter::once(fitting).chain(others));
        let headers = rules((0..).map(|n| format!("/*/{n}\n X-A: {n}\n")));
        let root = site.publish(&[
            ("index.html", b"start"),
            ("_redirects", &redirects),
            ("_headers", &headers),
        ]);
        site.book.point("rules", "", root);
        let long = "a-long-name-of-a-folder/".repeat(500);
        let paths = (0..3000).flat_map(|n| [format!("/a/b/c/no-{n}"), format!("/long/{n}/{long}x")]);
        floods("long files of rules", &site, paths, |counts| {
            counts[2] > 0 && counts[4] > 0 && counts[5] == 0
        })
        .await;
    });
}

#[test]
fn links_in_circles_and_ways_out() {
    run(async {
        let site = site(|_| {}).await;
        let root = site.publish_folder(|folder| {
            for (link, to) in [
                ("a", "b"),
                ("b", "a"),
                ("self", "."),
                ("up", "../../../../etc"),
                ("passwd", "/etc/passwd"),
            ] {
                symlink(to, folder.join(link)).expect("a link");
            }
        });
        site.book.point("rules", "", root);
        let links = ["a", "b", "self", "up", "passwd"].map(|link| format!("/{link}/x/etc/passwd"));
        let steps = [
            "..",
            "%2e%2e",
            ".%2e",
            "%252e%252e",
            "..%2f",
            "..%5c",
            "..\\",
            "%00",
            "%c0%ae%c0%ae",
            ".",
        ];
        let ways = steps
            .into_iter()
            .flat_map(|step| [1, 9].map(|times| format!("/{}etc/passwd", format!("{step}/").repeat(times))));
        let paths = links
            .into_iter()
            .chain(ways)
            .chain(["//etc/passwd".into(), "/ipfs/../etc/passwd".into()]);
        let nothing = |counts: [u64; 6]| counts[4] > 0 && counts[2] == 0 && counts[5] == 0;
        floods("links and ways out", &site, paths, nothing).await;
    });
}
