//! What one client may do, and what happens to requests that go in a circle.

use gateway::Config;

use crate::client::{Answer, open, request, until};
use crate::site::Site;

/// A gateway behind a proxy of this machine, so that a test can be many clients.
async fn site(configure: impl FnOnce(&mut Config)) -> Site {
    Site::with(|config| {
        config.guarding.proxies = vec!["127.0.0.1".parse().expect("a network")];
        configure(config);
    })
    .await
}

async fn ask(site: &Site, client: &str, path: &str) -> Answer {
    site.get(path, &[("X-Forwarded-For", client)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_too_often_is_told_to_wait() {
    let site = site(|config| {
        config.guarding.requests_per_s = 1;
        config.guarding.requests_burst = 3;
    })
    .await;
    let mut refused = Vec::new();
    // So many that the second that one of them is allowed for does not matter.
    for _ in 0..20 {
        let answer = ask(&site, "203.0.113.9", "/ascii.txt").await;
        if answer.status != 200 {
            refused.push(answer);
        }
    }
    assert!(refused.len() >= 10, "{} of 20 were refused", refused.len());
    for answer in refused {
        assert_eq!((answer.status, answer.header("cache-control")), (429, "no-store"));
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=2).contains(&wait), "{wait} s");
        assert!(answer.text().contains("your address"), "{}", answer.text());
    }
    assert_eq!(ask(&site, "203.0.113.10", "/ascii.txt").await.status, 200);
    assert_eq!(site.get("/ascii.txt", &[]).await.status, 200, "the proxy itself");
    assert!(site.metric("gateway_refused_requests_total{why=\"client\"}") >= 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_is_one_client() {
    let site = site(|config| {
        config.guarding.requests_per_s = 1;
        config.guarding.requests_burst = 1;
    })
    .await;
    let asked = async |client: &str| ask(&site, client, "/ascii.txt").await.status;
    assert_eq!(asked("2001:db8:1:200::1").await, 200);
    assert_eq!(asked("2001:db8:1:2ff:ffff::7").await, 429);
    assert_eq!(asked("2001:db8:1:300::1").await, 200);
    assert_eq!(asked("198.51.100.1, 203.0.113.1").await, 200);
    assert_eq!(
        asked("198.51.100.2, 203.0.113.1").await,
        429,
        "only what the proxy added counts"
    );
}

/// What a client says of itself counts for nothing unless it is a proxy that the operator trusts, by whatever way an answer
/// is made: anew or from memory.
#[tokio::test(flavor = "multi_thread")]
async fn only_trusted_proxies_are_believed() {
    let others = "192.0.2.0/24".parse().expect("a network");
    for (proxies, is_believed) in [(None, true), (Some(vec![]), false), (Some(vec![others]), false)] {
        let site = Site::with(|config| {
            if let Some(proxies) = proxies {
                config.guarding.proxies = proxies;
            }
            config.guarding.uncounted = Vec::new();
            config.guarding.requests_per_s = 1;
            config.guarding.requests_burst = 12;
        })
        .await;
        let file = format!("/ipfs/{}", site.cid(&["ascii.txt"]));
        let forwarded = [
            ("X-Forwarded-Host", "localhost:9"),
            ("X-Forwarded-Proto", "https"),
        ];
        let expected = match is_believed {
            true => (
                301,
                format!("https://{}.ipfs.localhost:9/", site.cid(&["ascii.txt"])),
            ),
            false => (200, String::new()),
        };
        for _ in 0..2 {
            let answer = site.ask("GET", "127.0.0.1", &file, &forwarded).await;
            assert_eq!((answer.status, answer.header("location").to_owned()), expected);
        }
        let mut refused = 0;
        for number in 0..30 {
            let answer = ask(&site, &format!("203.0.113.{number}"), "/ascii.txt").await;
            refused += usize::from(answer.status == 429);
        }
        assert_eq!(
            refused > 0,
            !is_believed,
            "{refused} of 30 clients behind a proxy"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_take_all_places() {
    let site = site(|config| config.guarding.requests_in_flight = 2).await;
    let huge: Vec<u8> = (0..24_u32 << 18)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let cid = site.publish(&[("x.bin", &huge)]);
    let download = async || {
        let target = format!("/ipfs/{cid}/x.bin");
        let text = request("GET", "127.0.0.1", &target, &[("X-Forwarded-For", "203.0.113.9")]);
        open(site.address(), &text).await
    };
    let (one, _two) = (download().await, download().await);
    until("both are in flight", || {
        site.metric("gateway_requests_in_flight") == 2.0
    })
    .await;
    let third = ask(&site, "203.0.113.9", "/ascii.txt").await;
    assert_eq!((third.status, third.header("retry-after")), (429, "1"));
    assert_eq!(ask(&site, "203.0.113.10", "/ascii.txt").await.status, 200);
    drop(one);
    until("the first has ended", || {
        site.metric("gateway_requests_in_flight") == 1.0
    })
    .await;
    assert_eq!(ask(&site, "203.0.113.9", "/ascii.txt").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn circles_end() {
    let site = Site::with(|config| {
        config.limits.hops_max = 2;
        config.card.node_id = Some("abc".into());
    })
    .await;
    for (marks, status) in [
        ("", 200),
        ("other", 200),
        ("other, another;v=1", 200),
        ("other, another, third", 508),
        ("other, ddn-abc", 508),
        ("ddn-abd", 200),
    ] {
        let answer = site.get("/ascii.txt", &[("CDN-Loop", marks)]).await;
        assert_eq!(answer.status, status, "{marks}");
    }
    assert_eq!(site.metric("gateway_refused_requests_total{why=\"loop\"}"), 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on() {
    let site = Site::new().await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{id}-00f067aa0ba902b7-01");
    let answer = site.get("/ascii.txt", &[("traceparent", &parent)]).await;
    let given = answer.header("traceresponse");
    assert!(
        given.starts_with(&format!("00-{id}-")) && given.ends_with("-01") && given != parent,
        "{given}"
    );
    assert_eq!(site.get("/ascii.txt", &[]).await.header("traceresponse"), "");
    let missing = site.get("/nothing", &[]).await;
    assert_eq!((missing.status, missing.header("traceresponse").len()), (404, 55));
}
