//! HTTP/1.1: requests that never end, answers that nobody reads, floods of small and of strange requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::beside::{ATTACKER, Way, beside, connect, flood, run, site};
use crate::client::{request, until};
use crate::site::metric;

#[test]
fn heads_that_never_end() {
    run(async {
        let site = site(|config| config.limits.head_timeout = Duration::from_secs(2)).await;
        let address = site.address();
        beside("slow-loris", &site, &Way::Lines, |stop| async move {
            let mut lines = Vec::new();
            for _ in 0..300 {
                let mut line = connect(address, ATTACKER).await;
                let _ = line.write_all(b"GET / HTTP/1.1\r\nHost: ").await;
                lines.push(line);
            }
            let mut trickle = tokio::time::interval(Duration::from_millis(200));
            while !stop.is_cancelled() {
                trickle.tick().await;
                for line in &mut lines {
                    // Those that were cut are cut.
                    let _ = line.write_all(b"x").await;
                }
            }
        })
        .await;
        until("all of them are cut", || {
            site.metric("gateway_connections") == 0.0
        })
        .await;
    });
}

#[test]
fn readers_who_do_not_read() {
    run(async {
        let site = site(|config| config.guarding.streams_in_flight = 16).await;
        let huge: Vec<u8> = (0..12_u32 << 20)
            .flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        let cid = site.publish(&[("x.bin", &huge)]);
        drop(huge);
        let text = request("GET", "127.0.0.1", &format!("/ipfs/{cid}/x.bin"), &[]);
        let address = site.address();
        beside("slow readers", &site, &Way::Lines, |stop| {
            let (text, registry) = (text.clone(), Arc::clone(&site.registry));
            async move {
                let mut lines = Vec::new();
                for _ in 0..100 {
                    let mut line = connect(address, ATTACKER).await;
                    line.write_all(text.as_bytes()).await.expect("a request");
                    lines.push(line);
                }
                stop.cancelled().await;
                let in_flight = metric(&registry, "gateway_requests_in_flight");
                assert!(in_flight <= 16.0, "{in_flight} answers wait for one client");
                assert!(metric(&registry, "gateway_refused_requests_total{why=\"client\"}") >= 84.0);
            }
        })
        .await;
    });
}

#[test]
fn floods_of_ranges() {
    run(async {
        let site = site(|config| config.guarding.requests_burst = 1000).await;
        let target = format!("/ipfs/{}/big.bin", site.root);
        let many: Vec<String> = (0..2000).map(|at| format!("{}-{}", at * 7, at * 7)).collect();
        let ranges = [
            "bytes=0-0".to_owned(),
            "bytes=1048575-1048577".to_owned(),
            "bytes=-1".to_owned(),
            format!("bytes={}", many.join(",")),
            "bytes=9999999999-".to_owned(),
        ];
        let texts: Arc<[String]> = ranges
            .map(|range| request("GET", "127.0.0.1", &target, &[("Range", &range)]))
            .into();
        let address = site.address();
        beside("ranges", &site, &Way::Lines, |stop| {
            let texts = Arc::clone(&texts);
            async move {
                let counts = flood(address, 32, texts, stop).await;
                assert!(counts[2] > 0 && counts[5] == 0, "{counts:?}");
            }
        })
        .await;
    });
}

#[test]
fn floods_of_headers() {
    run(async {
        let site = site(|_| {}).await;
        let long = request("GET", "127.0.0.1", "/", &[("X-Long", &"x".repeat(200 << 10))]);
        let many = format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n",
            "a: b\r\n".repeat(20_000)
        );
        let target = format!(
            "GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            "x".repeat(200 << 10)
        );
        let address = site.address();
        let texts: Arc<[String]> = [long, many, target].into();
        beside("headers", &site, &Way::Lines, |stop| {
            let texts = Arc::clone(&texts);
            async move {
                let counts = flood(address, 32, texts, stop).await;
                assert!(counts[2] == 0, "{counts:?}");
            }
        })
        .await;
    });
}
