//! What must hold for any packet at all. The functions here take bytes as a fuzzer makes them, and panic if a rule is broken.
//!
//! `router/named/fuzz` runs them for as long as one likes; the test below for a moment, with every test run.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock, OnceLock};

use ledger::{Address, Label, NameEntry, Records};
use prometheus_client::registry::Registry;

use super::front::{self, Front, Moment, Quick, Tally};
use super::{Client, Config, RateLimit, Responder, Transport};
use crate::dap::{Names, NamesError, Tlds};

/// `alice` and `long`, for ever.
struct Two;

impl Names for Two {
    fn tlds(&self) -> &Tlds {
        static TLDS: LazyLock<Tlds> = LazyLock::new(|| Tlds::of("ddn"));
        &TLDS
    }

    fn height(&self) -> u64 {
        7
    }

    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        let texts = match label.as_str() {
            "alice" => 1,
            "long" => 8,
            _ => return Ok(None),
        };
        let records = Records {
            a: vec![Ipv4Addr::new(192, 0, 2, 1)],
            txt: (0..texts).map(|n| n.to_string().repeat(200)).collect(),
            ..Records::default()
        };
        Ok(Some(NameEntry {
            owner: Address::from_bytes([9; 20]),
            registered: 0,
            committed: 0,
            expires: u64::MAX,
            seq: 1,
            changed: 1,
            premium: ledger::Amount::ZERO,
            records: [(String::new(), records.clone()), ("x.y".into(), records)].into(),
        }))
    }
}

fn world() -> &'static Front {
    static WORLD: OnceLock<Front> = OnceLock::new();
    WORLD.get_or_init(|| {
        let names = Arc::new(Two);
        let responder = Responder::new(&Config::default(), names.clone(), &mut Registry::default());
        let limit = RateLimit {
            per_second: 0,
            ..RateLimit::default()
        };
        Front::new(
            Arc::new(responder.expect("the usual settings")),
            names,
            4 << 20,
            &limit,
        )
    })
}

/// A packet from a stranger gets the same reply from memory, composed, and from the responder, or none from any of them;
/// with a cookie, what is said is the same but for the cookie.
pub fn packet(data: &[u8]) {
    let front = world();
    for transport in [Transport::Udp, Transport::Tcp] {
        let client = Client {
            address: IpAddr::from([192, 0, 2, 7]),
            transport,
        };
        let plain = plain(front, data, client);
        let composed = front.compose(data, client);
        let (mut kept, mut tally) = (Vec::new(), Tally::new(transport));
        match front.quick(data, client, Moment::now(), &mut kept, &mut tally) {
            Quick::Reply if !front::has_cookie(data) => assert_eq!(Some(&kept), composed.as_ref()),
            Quick::Reply => assert_eq!(Some(kept.len()), composed.as_ref().map(Vec::len)),
            Quick::Silence => panic!("nobody is limited"),
            Quick::Slow => {}
        }
        let limit = if transport == Transport::Udp { 1232 } else { 65_535 };
        assert!(composed.as_ref().is_none_or(|reply| reply.len() <= limit));
        if !front::has_cookie(data) {
            assert_eq!(composed, plain, "{data:02x?}");
        }
    }
}

/// What the responder says. Names inside of records point to the question where they can: so a usual question is asked in
/// lower case, and put back.
fn plain(front: &Front, data: &[u8], client: Client) -> Option<Vec<u8>> {
    let respond = |packet: &[u8]| Some(front.responder().respond(packet, client)?.bytes);
    let Some(question) = front::usual_question(data) else {
        return respond(data);
    };
    let name = question.start..question.end - 4;
    let mut lower = data.to_vec();
    lower[name.clone()].make_ascii_lowercase();
    let mut reply = respond(&lower)?;
    reply[name.clone()].copy_from_slice(&data[name]);
    Some(reply)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A usual question, to begin with.
    fn question() -> impl Strategy<Value = Vec<u8>> {
        let names: Vec<&[u8]> = vec![
            b"\x05alice\x03ddn",
            b"\x04LONG\x03ddn",
            b"\x01y\x05aLice\x03ddn",
            b"\x03ddn",
            b"\x01q\x03ddn",
            b"\x01q",
            b"",
        ];
        let kinds = vec![1u16, 2, 5, 6, 16, 28, 41, 65, 128, 252, 255, 4711];
        let cookie = vec![0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let options = prop_oneof![3 => Just(Vec::new()), 1 => Just(cookie)];
        let edns = proptest::option::of((
            any::<u16>(),
            prop_oneof![Just(0u8), Just(0x80), any::<u8>()],
            options,
        ));
        let parts = (
            proptest::sample::select(names),
            proptest::sample::select(kinds),
            any::<[u8; 2]>(),
            edns,
        );
        parts.prop_map(|(name, kind, id, edns)| {
            let mut packet = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
            packet.extend_from_slice(name);
            packet.push(0);
            packet.extend(kind.to_be_bytes());
            packet.extend([0, 1]);
            if let Some((payload, flags, options)) = edns {
                packet.extend([0, 0, 41]);
                packet.extend(payload.to_be_bytes());
                packet.extend([0, 0, flags, 0]);
                packet.extend((options.len() as u16).to_be_bytes());
                packet.extend(options);
            }
            packet
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn usual_packets(data in question()) {
            packet(&data);
        }

        #[test]
        fn damaged_packets(data in question(), damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..5)) {
            let mut data = data;
            for (place, value) in damage {
                let place = usize::from(place) % data.len();
                match value % 4 {
                    0 => data.truncate(place.max(1)),
                    1 => data.insert(place, value),
                    _ => data[place] = value,
                }
            }
            packet(&data);
        }

        #[test]
        fn noise(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            packet(&data);
        }
    }
}
