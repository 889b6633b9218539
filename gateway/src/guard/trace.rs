//! A number for each request, so that what several nodes and logs say of it can be put together (W3C Trace Context).

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

/// The number that a request brings, and that we give to requests which we make for it.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The number that the answer carries.
pub(crate) const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// The numbers of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// The same on all nodes that have to do with the request. Never zero.
    pub id: u128,
    /// Our part in it. Never zero.
    pub span: u64,
    flags: u8,
}

impl Trace {
    /// Goes on with the trace that the request belongs to, or begins one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let brought = match (values.next(), values.next()) {
            (Some(value), None) => parse(value.as_bytes()),
            _ => None,
        };
        let [high, low, span] = random();
        let (id, flags) = brought.unwrap_or_else(|| (u128::from(high) << 64 | u128::from(low), 0));
        Self { id, span, flags }
    }

    /// The value of `traceresponse`, and of `traceparent` for requests that are made to answer this one.
    pub(crate) fn value(&self) -> HeaderValue {
        let text = format!("00-{:032x}-{:016x}-{:02x}", self.id, self.span, self.flags);
        // It cannot fail: hexadecimal digits and hyphens.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Trace id and flags of a `traceparent`. Of later versions the beginning is the same.
fn parse(value: &[u8]) -> Option<(u128, u8)> {
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let version = hex(&known[..2])?;
    let is_long = version > 0 && version != 0xff && rest.first() == Some(&b'-');
    let is_whole = (version != 0xff && rest.is_empty()) || is_long;
    let hyphens = [2, 35, 52].iter().all(|&at| known[at] == b'-');
    let (id, parent, flags) = (hex(&known[3..35])?, hex(&known[36..52])?, hex(&known[53..])?);
    let flags = if version == 0 {
        flags as u8
    } else {
        flags as u8 & SAMPLED
    };
    (is_whole && hyphens && id != 0 && parent != 0).then_some((id, flags))
}

/// Lower-case digits only, as the specification has it.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Three numbers that nobody can foretell, none of them zero; they need not be secret.
fn random() -> [u64; 3] {
    thread_local! {
        static KEYS: RandomState = RandomState::new();
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNT.get();
    COUNT.set(count.wrapping_add(3));
    KEYS.with(|keys| std::array::from_fn(|at| keys.hash_one(count.wrapping_add(at as u64)).max(1)))
}

/// Bytes of a `traceparent` of version 0.
const LENGTH: usize = 55;
/// The flag that later versions keep.
const SAMPLED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

    #[test]
    fn what_a_request_brings() {
        for (value, expected) in [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                Some((ID, 1)),
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                Some((ID, 0)),
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
                Some((ID, 1)),
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                Some((ID, 1)),
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
                None,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                None,
            ),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None),
            ("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", None),
            ("", None),
        ] {
            assert_eq!(parse(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn a_trace_goes_on_or_begins() {
        let mut headers = HeaderMap::new();
        let (one, two) = (Trace::of(&headers), Trace::of(&headers));
        assert!(one.id != two.id && one.span != two.span);
        let value = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        headers.append(TRACEPARENT, value.clone());
        let trace = Trace::of(&headers);
        assert_eq!(trace.id, ID);
        assert_eq!(parse(trace.value().as_bytes()), Some((ID, 1)));
        assert_ne!(trace.value(), value, "our part has its own number");
        headers.append(TRACEPARENT, value);
        assert_ne!(Trace::of(&headers).id, ID, "two parents are none");
    }

    proptest! {
        #[test]
        fn any_value_is_safe(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            parse(&value);
        }
    }
}
