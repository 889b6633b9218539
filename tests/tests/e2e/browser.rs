//! A real browser opens what was published: headless Chromium, with what it asked for and what it complained of.
//!
//! Without Chromium the tests say that they were skipped; with `DDN_REQUIRE_BROWSER=1` (CI) its absence is a failure.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Chromium, Node, Page, tree};

use crate::{docs, publish, publish_all, text};

/// No request of the page failed, and there were requests to `site`.
fn went_well(page: &Page<'_>, site: &str) -> Result<()> {
    let requests = page.requests();
    ensure!(
        requests.keys().any(|url| url.starts_with(site)),
        "no request to {site}: {requests:?}"
    );
    let failed: Vec<_> = requests
        .iter()
        .filter(|(url, status)| url.starts_with(site) && !(200..400).contains(*status))
        .collect();
    ensure!(failed.is_empty(), "failed requests: {failed:?}");
    let complaints = page.complaints();
    ensure!(complaints.is_empty(), "the browser complains: {complaints:?}");
    Ok(())
}

/// The URL of a published name at the gateway of `node`.
fn site(node: &Node, name: &str) -> Result<String> {
    Ok(format!(
        "http://{name}.localhost:{}/",
        node.listener("gateway")?.port()
    ))
}

/// Writes a folder.
type Written<'a> = &'a dyn Fn(&Path) -> Result<()>;

/// A node with folders published under names.
fn published(sites: &[(&str, Written<'_>)]) -> Result<(Node, Vec<String>)> {
    let node = Node::dev()?;
    let mut cids = Vec::new();
    for (name, write) in sites {
        let folder = TempDir::new()?;
        write(folder.path())?;
        cids.push(text(&publish(&node, folder.path(), name)?, "/cid")?);
    }
    Ok((node, cids))
}

#[test]
fn a_browser_renders_a_published_site() -> Result<()> {
    let Some(mut chromium) = Chromium::start()? else {
        return Ok(());
    };
    let (node, _) = published(&[("alice.ddn", &tree::site)])?;
    let site = site(&node, "alice.ddn")?;
    let mut page = chromium.open(&site)?;
    let dom = page.dom()?;
    ensure!(dom.contains(tree::HEADING), "the page: {dom}");
    ensure!(
        dom.contains("the script ran"),
        "the script of the page did not run: {dom}"
    );
    went_well(&page, &site)?;
    for part in ["", "style.css", "app.js", "pixel.png"] {
        ensure!(
            page.requests().contains_key(&format!("{site}{part}")),
            "{part} was not asked: {:?}",
            page.requests()
        );
    }
    Ok(())
}

#[test]
fn a_browser_renders_a_documentation() -> Result<()> {
    let Some(mut chromium) = Chromium::start()? else {
        return Ok(());
    };
    let node = Node::dev()?;
    let manual = docs::Documentation::find()?;
    publish_all(&node, manual.path(), "pydoc.ddn")?;
    renders_the_manual(&mut chromium, &node, &manual)
}

/// The second node has nothing of it when the browser asks: each part is fetched, verified and paid on the way.
#[test]
fn a_browser_renders_a_documentation_from_the_second_node() -> Result<()> {
    let Some(mut chromium) = Chromium::start()? else {
        return Ok(());
    };
    let first = Node::dev()?;
    let manual = docs::Documentation::find()?;
    publish_all(&first, manual.path(), "pydoc.ddn")?;
    let second = Node::joining(&first)?;
    renders_the_manual(&mut chromium, &second, &manual)
}

fn renders_the_manual(chromium: &mut Chromium, node: &Node, manual: &docs::Documentation) -> Result<()> {
    let site = site(node, "pydoc.ddn")?;
    let mut page = chromium.open(&site)?;
    let dom = page.dom()?;
    ensure!(dom.contains(manual.heading()), "the page: {dom}");
    went_well(&page, &site)
}

/// The pages of the gateway itself: their style is applied, they fit a telephone, and the browser has nothing to complain
/// of.
#[test]
fn the_gateways_own_pages_fit_every_window() -> Result<()> {
    let Some(mut chromium) = Chromium::start()? else {
        return Ok(());
    };
    let (node, _) = published(&[("alice.ddn", &tree::site)])?;
    let site = site(&node, "alice.ddn")?;
    let door = site.replacen("alice.ddn.", "", 1);
    let mut page = chromium.open(&door)?;
    for (url, status) in [
        (door.clone(), 200),
        (format!("{site}files/"), 200),
        (format!("{site}void/"), 200),
        (format!("{site}nothing"), 404),
        (format!("{door}ipfs/nonsense"), 400),
    ] {
        for (width, dark) in [(1280, false), (390, true)] {
            page.look(width, dark)?;
            page.go(&url)?;
            ensure!(
                page.requests().get(&url) == Some(&status),
                "{url}: {:?}",
                page.requests()
            );
            let odd: Vec<_> = page
                .complaints()
                .into_iter()
                .filter(|said| !said.contains("status of"))
                .collect();
            ensure!(odd.is_empty(), "{url}: {odd:?}");
            let fits = page.eval(&format!(
                "[document.documentElement.scrollWidth <= {width}, \
                  getComputedStyle(document.body).display, document.querySelectorAll('main h1').length]"
            ))?;
            ensure!(fits == json!([true, "flex", 1]), "{url} at {width}: {fits}");
        }
        let colours = "getComputedStyle(document.body).backgroundColor";
        let dark = page.eval(colours)?;
        page.look(1280, false)?;
        ensure!(
            page.eval(colours)? != dark,
            "{url} is the same by day and by night"
        );
    }
    Ok(())
}

#[test]
fn a_reader_finds_the_way_from_the_door() -> Result<()> {
    let Some(mut chromium) = Chromium::start()? else {
        return Ok(());
    };
    let (node, _) = published(&[("alice.ddn", &tree::site)])?;
    let door = site(&node, "alice.ddn")?.replacen("alice.ddn.", "", 1);
    let mut page = chromium.open(&door)?;
    page.leave("document.querySelector('input').value = 'alice'; document.querySelector('form').submit()")?;
    ensure!(page.dom()?.contains(tree::HEADING), "{}", page.dom()?);
    page.go(&format!("{door}ipns/alice.ddn/files/"))?;
    page.leave("[...document.querySelectorAll('.name a')].find(a => a.textContent == 'one.txt').click()")?;
    ensure!(
        page.eval("document.body.textContent")? == "one\n",
        "{}",
        page.dom()?
    );
    page.go(&format!("{door}ipns/alice.ddn/docs/nothing"))?;
    page.leave("document.querySelector('ul a').click()")?;
    ensure!(page.dom()?.contains(tree::HEADING), "{}", page.dom()?);
    Ok(())
}

/// What one site keeps in the browser no other site sees, nor does the gateway's own host.
#[test]
fn sites_are_origins_of_their_own() -> Result<()> {
    let Some(mut chromium) = Chromium::start()? else {
        return Ok(());
    };
    let (node, cids) = published(&[("alice.ddn", &tree::site), ("bob.ddn", &tree::site)])?;
    let alice = site(&node, "alice.ddn")?;
    let by_cid = alice.replacen("alice.ddn", &format!("{}.ipfs", cids[0]), 1);
    let door = alice.replacen("alice.ddn.", "", 1);
    let keep = "localStorage.mine = 'secret'; document.cookie = 'mine=secret'; \
                new Promise(done => indexedDB.open('mine').onsuccess = done).then(() => caches.open('mine')).then(() => location.origin)";
    let look = "Promise.all([indexedDB.databases(), caches.keys()])\
                .then(([bases, caches]) => [localStorage.mine ?? null, document.cookie, bases.length, caches.length])";
    let mut page = chromium.open(&alice)?;
    ensure!(page.eval(keep)? == alice.trim_end_matches('/'));
    ensure!(page.eval(look)? == json!(["secret", "mine=secret", 1, 1]));
    for other in [site(&node, "bob.ddn")?, by_cid, door] {
        page.go(&other)?;
        let seen = page.eval(look)?;
        ensure!(seen == json!([null, "", 0, 0]), "{other} sees {seen}");
    }
    Ok(())
}

/// A site under a name is a secure context with an origin, so it can have a service worker, and work without the network.
#[test]
fn a_site_has_a_service_worker() -> Result<()> {
    let Some(mut chromium) = Chromium::start()? else {
        return Ok(());
    };
    let worker = |folder: &Path| {
        tree::write(
            folder,
            "index.html",
            b"<!doctype html><link rel=icon href=data:,><h1>App</h1>",
        )?;
        let script = b"addEventListener('fetch', event => { if (event.request.url.endsWith('/made')) \
                       event.respondWith(new Response('made by the worker')) });\n\
                       addEventListener('activate', event => event.waitUntil(clients.claim()))";
        tree::write(folder, "worker.js", script)
    };
    let (node, _) = published(&[("app.ddn", &worker)])?;
    let mut page = chromium.open(&site(&node, "app.ddn")?)?;
    let made = page.eval(
        "(async () => { await navigator.serviceWorker.register('/worker.js');\
         if (!navigator.serviceWorker.controller)\
         await new Promise(done => navigator.serviceWorker.oncontrollerchange = done);\
         return (await fetch('/made')).text() })()",
    )?;
    ensure!(made == "made by the worker", "{made}");
    Ok(())
}

/// A player jumps into the middle of a recording, and gets that part of it by a range, not all that comes before.
#[test]
fn a_player_seeks() -> Result<()> {
    let Some(mut chromium) = Chromium::start()? else {
        return Ok(());
    };
    let player = |folder: &Path| {
        tree::write(folder, "tape.wav", &tape())?;
        let page = b"<!doctype html><link rel=icon href=data:,><video preload=metadata src=tape.wav></video>";
        tree::write(folder, "index.html", page)
    };
    let (node, _) = published(&[("tape.ddn", &player)])?;
    let mut page = chromium.open(&site(&node, "tape.ddn")?)?;
    let at = page.eval(
        "(async () => { const tape = document.querySelector('video');\
         if (tape.readyState < 1) await new Promise(done => tape.onloadedmetadata = done);\
         tape.currentTime = 500; await new Promise(done => tape.onseeked = done);\
         return [Math.round(tape.duration), tape.currentTime] })()",
    )?;
    ensure!(at == json!([TAPE_SECONDS, 500]), "{at}");
    let ranges: Vec<String> = page.responses().filter_map(content_range).collect();
    let total = tape().len();
    let middle = ranges.iter().any(|range| {
        let from = range.trim_start_matches("bytes ").split('-').next();
        from.and_then(|from| from.parse::<usize>().ok())
            .is_some_and(|from| from > total / 3)
    });
    ensure!(middle, "no range from the middle of {total} bytes: {ranges:?}");
    Ok(())
}

fn content_range(response: &Value) -> Option<String> {
    let headers = response["headers"].as_object()?;
    let found = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-range"))?;
    found.1.as_str().map(str::to_owned)
}

/// Length of [`tape`].
const TAPE_SECONDS: u32 = 1000;

/// A recording that every browser plays: WAV, 8 bits, 16 kHz, one channel; it is longer than any buffer.
fn tape() -> Vec<u8> {
    const RATE: u32 = 16_000;
    let data = RATE * TAPE_SECONDS;
    let mut tape = Vec::new();
    tape.extend(b"RIFF");
    tape.extend((36 + data).to_le_bytes());
    tape.extend(b"WAVEfmt ");
    tape.extend(16u32.to_le_bytes());
    tape.extend([1, 0, 1, 0]);
    tape.extend(RATE.to_le_bytes());
    tape.extend(RATE.to_le_bytes());
    tape.extend([1, 0, 8, 0]);
    tape.extend(b"data");
    tape.extend(data.to_le_bytes());
    tape.extend((0..data).map(|at| (at / 20 % 64 + 96) as u8));
    tape
}
