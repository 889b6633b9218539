use proptest::prelude::*;

use super::*;

fn peer(byte: u8) -> PeerId {
    super::super::identity::keypair([byte; 32]).public().to_peer_id()
}

fn address(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
}

fn due(book: &mut Book, now: Instant, more: bool) -> Vec<PeerId> {
    book.due(now, more, |_| false)
        .into_iter()
        .map(|(peer, _)| peer)
        .collect()
}

#[test]
fn the_operators_peers_are_dialled_for_ever_with_growing_pauses() {
    let (mut book, mut now) = (Book::new(10), Instant::now());
    book.join(peer(1), address(1), now);
    let mut pauses = Vec::new();
    for _ in 0..40 {
        assert_eq!(due(&mut book, now, false), [peer(1)]);
        book.failed(&peer(1), now);
        let start = now;
        while due(&mut book, now, false).is_empty() {
            now += Duration::from_millis(500);
        }
        pauses.push((now - start).as_secs());
        book.entries.get_mut(&peer(1)).expect("kept").due = now;
    }
    assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(pauses[8..].iter().all(|pause| *pause == 60));
}

#[test]
fn others_are_dialled_when_there_are_few_and_forgotten_when_they_stay_away() {
    let (mut book, mut now) = (Book::new(10), Instant::now());
    book.met(peer(1), &[address(1)], now);
    assert!(due(&mut book, now, false).is_empty());
    assert_eq!(due(&mut book, now, true), [peer(1)]);
    assert!(due(&mut book, now, true).is_empty(), "under way");
    for _ in 0..FAILURES_MAX {
        now += PAUSE_MAX;
        book.failed(&peer(1), now);
    }
    assert!(book.entries.is_empty());
}

#[test]
fn the_last_seen_are_kept_and_the_operators_always() {
    let (mut book, now) = (Book::new(3), Instant::now());
    book.join(peer(1), address(1), now);
    for byte in 2..10 {
        book.met(peer(byte), &[address(byte.into())], now);
    }
    let mut kept: Vec<_> = (1..10)
        .filter(|byte| book.entries.contains_key(&peer(*byte)))
        .collect();
    kept.sort_unstable();
    assert_eq!(kept, [1, 7, 8, 9]);
}

#[test]
fn a_peer_has_a_bounded_number_of_addresses_the_newest_first() {
    let (mut book, now) = (Book::new(3), Instant::now());
    for port in 1..10 {
        book.met(peer(1), &[address(port)], now);
    }
    assert_eq!(
        book.entries[&peer(1)].addresses,
        [address(9), address(8), address(7), address(6)]
    );
}

/// The file of a node of today must be read by those of tomorrow.
const FIXTURE: &str = "\
# Peers of this node, those seen last first; written by the node.
/ip4/127.0.0.1/tcp/3/p2p/12D3KooWRndVhVZPCiQwHBBBdg769GyrPUW13zxwqQyf9r3ANaba
/ip4/127.0.0.1/tcp/2/p2p/12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq
";

#[test]
fn the_file_is_written_and_read_in_the_order_of_meeting() {
    let now = Instant::now();
    let mut book = Book::new(10);
    assert_eq!(book.unsaved(), None);
    book.join(peer(9), address(9), now);
    book.met(peer(2), &[address(2)], now);
    book.met(peer(3), &[address(3)], now);
    assert_eq!(book.unsaved().as_deref(), Some(FIXTURE));
    assert_eq!(book.unsaved(), None);
    let mut again = Book::new(10);
    assert_eq!(again.restore(FIXTURE, now), 0);
    assert_eq!(due(&mut again, now, true), [peer(3), peer(2)]);
    assert_eq!(again.unsaved(), None, "nothing new");
}

#[test]
fn damaged_lines_are_skipped() {
    let good = FIXTURE.lines().nth(1).expect("the fixture has two");
    let cut = &good[..good.len() - 3];
    let text = format!(
        "{good}\n{cut}\nnoise \u{0}\n/ip4/127.0.0.1/udp/1/p2p/{}\n",
        peer(1)
    );
    let mut book = Book::new(10);
    assert_eq!(book.restore(&text, Instant::now()), 3);
    assert_eq!(book.entries.len(), 1);
}

#[test]
fn only_hosts_with_a_tcp_port_are_dialled() {
    for (text, dialable) in [
        ("/ip4/192.0.2.1/tcp/4101", true),
        ("/ip6/2001:db8::1/tcp/4101", true),
        ("/dns4/ddn.example/tcp/4101", true),
        ("/ip4/0.0.0.0/tcp/4101", false),
        ("/ip4/192.0.2.1/tcp/0", false),
        ("/ip4/192.0.2.1/udp/4101/quic-v1", false),
        ("/ip4/192.0.2.1/tcp/4101/ws", false),
        ("/tcp/4101", false),
    ] {
        assert_eq!(is_dialable(&text.parse().expect(text)), dialable, "{text}");
    }
}

#[test]
fn a_save_replaces_the_whole_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peers.txt");
    assert!(load(&path).expect("no error").is_none());
    for text in ["a long first text", "short"] {
        save(&path, text).expect("written");
        assert_eq!(load(&path).expect("read").as_deref(), Some(text));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn a_peer_that_was_lost_is_dialled_again_soon() {
    let (mut book, now) = (Book::new(3), Instant::now());
    book.join(peer(1), address(1), now);
    assert_eq!(due(&mut book, now, false), [peer(1)]);
    book.met(peer(1), &[address(1)], now);
    book.lost(&peer(1), now);
    assert!(due(&mut book, now, false).is_empty());
    assert_eq!(due(&mut book, now + PAUSE_MIN, false), [peer(1)]);
}

proptest! {
    #[test]
    fn any_text_is_a_file(lines in prop::collection::vec("(/ip4/1.2.3.4|/tcp/1|/p2p/12D3KooW|\\PC){0,8}", 0..50)) {
        let mut book = Book::new(10);
        let damaged = book.restore(&lines.join("\n"), Instant::now());
        prop_assert!(damaged <= lines.len() && book.entries.len() <= 10);
    }
}
