//! Names as people write them, and what the named router says of them.

use ledger::{Address, Label};
use named::dap::{ABSENT_TTL_SECONDS, NameError, Resolution, Source, explain, resolve};
use nearest::{Edge, Policy};
use proptest::prelude::*;

use crate::book::{Book, EXPIRES, SITE, silence, site};

fn found(input: &str) -> Resolution {
    let book = Book::new();
    book.hold(
        "alice",
        [
            ("", site()),
            ("docs", site()),
            ("a.b", site()),
            ("_x._tcp", site()),
        ],
    );
    book.hold("xn--bcher-kva", [("", site())]);
    book.hold("bare", []);
    resolve(&*book, input).expect("a name")
}

fn error(input: &str) -> String {
    resolve(&*Book::new(), input).expect_err("no name").to_string()
}

#[test]
fn every_way_to_write_a_name_leads_to_it() {
    for (input, expected) in [
        ("alice.ddn", "alice.ddn"),
        ("ALICE.Ddn", "alice.ddn"),
        ("alice.ddn.", "alice.ddn"),
        ("docs.alice.ddn", "docs.alice.ddn"),
        ("a.b.alice.ddn", "a.b.alice.ddn"),
        ("_X._tcp.alice.ddn", "_x._tcp.alice.ddn"),
        ("bücher.ddn", "xn--bcher-kva.ddn"),
        ("BÜCHER.ddn.", "xn--bcher-kva.ddn"),
        ("bu\u{308}cher.ddn", "xn--bcher-kva.ddn"),
        ("xn--bcher-kva.ddn", "xn--bcher-kva.ddn"),
        ("XN--BCHER-KVA.DDN", "xn--bcher-kva.ddn"),
        ("alice\u{3002}ddn", "alice.ddn"),
        ("ａｌｉｃｅ.ddn", "alice.ddn"),
        ("bare.ddn", "bare.ddn"),
    ] {
        let Resolution::Found { name, .. } = found(input) else {
            panic!("{input} is not found")
        };
        assert_eq!(name, expected, "{input}");
    }
}

#[test]
fn a_name_comes_with_its_record_set_and_owner() {
    assert_eq!(
        found("docs.alice.ddn"),
        Resolution::Found {
            name: "docs.alice.ddn".into(),
            under: "docs".into(),
            label: Label::parse("alice").unwrap(),
            records: site(),
            owner: Address::from_bytes([9; 20]),
            source: None,
            height: 7,
            changed: 5,
            expires: EXPIRES,
        }
    );
}

#[test]
fn absent_and_foreign_are_answers() {
    let absent = |name: &str| Resolution::Absent {
        name: name.into(),
        source: None,
        height: 7,
        ttl: ABSENT_TTL_SECONDS,
    };
    for (input, expected) in [
        ("nobody.ddn", absent("nobody.ddn")),
        ("NOBODY.ddn.", absent("nobody.ddn")),
        ("nope.alice.ddn", absent("nope.alice.ddn")),
        ("b.alice.ddn", absent("b.alice.ddn")),
        ("x.docs.alice.ddn", absent("x.docs.alice.ddn")),
        ("docs.bare.ddn", absent("docs.bare.ddn")),
        ("example.org", Resolution::Foreign),
        ("alice", Resolution::Foreign),
        ("localhost", Resolution::Foreign),
        ("127.0.0.1", Resolution::Foreign),
        ("aliceddn", Resolution::Foreign),
        ("alice.ddn.example", Resolution::Foreign),
    ] {
        assert_eq!(found(input), expected, "{input}");
    }
}

#[test]
fn names_of_another_chain_are_what_its_nodes_prove() {
    let book = Book::new();
    book.hold("alice", [("", site()), ("docs", site())]);
    let resolved = |input: &str| resolve(&*book, input).expect("a name");
    let mmt = || Source {
        chain: "mmt-1".into(),
        time_ms: 9,
    };
    let delegated = |name: &str| Resolution::Delegated {
        name: name.into(),
        to: silence(),
    };
    assert_eq!(resolved("Alice.MMT."), delegated("alice.mmt"));
    book.follow_elsewhere(EXPIRES - 1);
    let Resolution::Found {
        name, source, height, ..
    } = resolved("docs.alice.mmt")
    else {
        panic!("it is proven")
    };
    assert_eq!(
        (&*name, source, height),
        ("docs.alice.mmt", Some(mmt()), EXPIRES - 1)
    );
    let absent = |name: &str, height| Resolution::Absent {
        name: name.into(),
        source: Some(mmt()),
        height,
        ttl: ABSENT_TTL_SECONDS,
    };
    assert_eq!(resolved("nobody.mmt"), absent("nobody.mmt", EXPIRES - 1));
    assert_eq!(resolved("nope.alice.mmt"), absent("nope.alice.mmt", EXPIRES - 1));
    // Its own height tells what has expired there.
    book.follow_elsewhere(EXPIRES);
    assert_eq!(resolved("alice.mmt"), absent("alice.mmt", EXPIRES));
    assert!(matches!(
        resolved("alice.ddn"),
        Resolution::Found { source: None, .. }
    ));
    let bare = resolve(&*book, "mmt").expect_err("a TLD").to_string();
    assert_eq!(
        bare,
        "`mmt` is the top-level domain; put a name before it, such as `alice.mmt`"
    );
}

#[test]
fn an_expired_name_is_absent() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    book.at(EXPIRES - 1);
    assert!(matches!(
        resolve(&*book, "alice.ddn"),
        Ok(Resolution::Found { .. })
    ));
    book.at(EXPIRES);
    assert!(matches!(
        resolve(&*book, "alice.ddn"),
        Ok(Resolution::Absent { .. })
    ));
}

#[test]
fn malformed_names_are_told_exactly() {
    for (input, expected) in [
        ("", "the name is empty; give one such as `alice.ddn`"),
        (
            "ddn",
            "`ddn` is the top-level domain; put a name before it, such as `alice.ddn`",
        ),
        (
            "DDN.",
            "`ddn` is the top-level domain; put a name before it, such as `alice.ddn`",
        ),
        (".ddn", r#"name ".ddn": label "": a label is empty"#),
        ("alice..ddn", r#"name "alice..ddn": label "": a label is empty"#),
        (
            "a b.ddn",
            r#"name "a b.ddn": label "a b": a label consists of a-z, 0-9 and '-'"#,
        ),
        (
            "a/b.ddn",
            r#"name "a/b.ddn": label "a/b": a label consists of a-z, 0-9 and '-'"#,
        ),
        (
            "a_b.alice.ddn",
            r#"name "a_b.alice.ddn": label "a_b": a label consists of a-z, 0-9 and '-'"#,
        ),
        (
            "-a.ddn",
            r#"name "-a.ddn": label "-a": a label does not start or end with '-'"#,
        ),
        (
            "ab--c.ddn",
            r#"name "ab--c.ddn": label "ab--c": '--' in third place is only for labels that start with 'xn--'"#,
        ),
        (
            "x\ny.ddn",
            r#"name "x\ny.ddn": label "x\ny": a label consists of a-z, 0-9 and '-'"#,
        ),
        (
            "docs.xn--a.ddn",
            r#"name "docs.xn--a.ddn": "xn--a" is not a valid internationalised label (IDNA, UTS #46)"#,
        ),
        (
            "a\u{200d}b.ddn",
            r#"name "a\u{200d}b.ddn": "a\u{200d}b" is not a valid internationalised label (IDNA, UTS #46)"#,
        ),
    ] {
        assert_eq!(error(input), expected, "{input:?}");
    }
    let long = format!("{}.ddn", "a".repeat(64));
    assert!(
        error(&long).ends_with("a label has at most 63 characters"),
        "{}",
        error(&long)
    );
    let long = format!("{}alice.ddn", "a.".repeat(130));
    assert!(
        error(&long).ends_with("at most 253 are allowed"),
        "{}",
        error(&long)
    );
    assert_eq!(
        error(&"ü".repeat(600)),
        "the name is 1200 bytes long, a name has at most 253 characters"
    );
}

#[test]
fn unreadable_state_is_the_node_s_fault() {
    let book = Book::new();
    book.break_disk();
    let error = resolve(&*book, "alice.ddn").expect_err("unreadable");
    assert_eq!(
        error.to_string(),
        "reading names from the ledger's state: the disk is gone"
    );
    assert!(!error.is_input());
    assert!(NameError::Empty { tld: "ddn".into() }.is_input());
}

#[test]
fn an_explanation_gives_its_reasons() {
    let book = Book::new();
    book.hold("alice", [("docs", site())]);
    let edge = Edge {
        id: [0xab; 32],
        rtt_us: 400,
        capacity: 8,
        inflight: 1,
        alive: true,
    };
    let steps = |input: &str, edges: &[Edge]| {
        explain(&*book, input, edges, &Policy::default())
            .expect("a name")
            .steps
    };
    assert_eq!(
        steps("Docs.alice.ddn", &[edge]),
        [
            "`docs.alice.ddn` is a name of this chain",
            "at height 7 `alice.ddn` is held, last changed at 5, expires at 1000",
            "its owner's record set has the undername `docs`",
            &format!("its content is {SITE}"),
            "edge abababababababab, 400 µs away, 1 of 8 in hand: chosen: first for this content, and has room",
        ]
    );
    assert_eq!(
        steps("docs.alice.ddn", &[]).last().unwrap(),
        "this node knows of no edge"
    );
    assert_eq!(
        steps("alice.ddn", &[edge]).last().unwrap(),
        "it points to no content"
    );
    assert_eq!(
        steps("nobody.ddn", &[edge]).last().unwrap(),
        "at height 7 nobody holds it or its owner has no such undername; valid for 20 s"
    );
    assert_eq!(
        steps("example.org", &[edge]),
        [
            r#""example.org" does not end with `.ddn` or `.mmt`: it is no name of a chain that this node knows"#
        ]
    );
}

proptest! {
    #[test]
    fn any_text_gets_an_answer_or_one_line(input in "\\PC*|[a-zü.\\-_ ]{0,80}(\\.ddn)?\\.?") {
        let book = Book::new();
        if let Err(error) = resolve(&*book, &input) {
            prop_assert!(error.is_input());
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn letter_case_and_the_final_dot_mean_nothing(label in "[a-z0-9]{1,20}", dot: bool) {
        let book = Book::new();
        book.hold(&label, [("", site())]);
        let written = format!("{}.DDN{}", label.to_uppercase(), if dot { "." } else { "" });
        let Ok(Resolution::Found { name, .. }) = resolve(&*book, &written) else {
            return Err(TestCaseError::fail(format!("{written} is not found")));
        };
        prop_assert_eq!(name, format!("{label}.ddn"));
    }
}
