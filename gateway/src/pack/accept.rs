//! `Accept-Encoding` (RFC 9110, 12.5.3).

use http::HeaderValue;

/// A way to pack an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// The better first: of two that a client likes as much, it gets this.
    pub(crate) const ALL: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

    /// As `Content-Encoding` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// How much a client likes a coding, in thousandths; None if it says nothing about it.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    others: Option<u16>,
}

/// The coding that the client likes best, None if that is the plain answer. Who says nothing gets that; so does who
/// takes nothing that we have, since a client that can read the answer is better served than one that is refused.
pub(crate) fn choose<'a>(lists: impl IntoIterator<Item = &'a HeaderValue>) -> Option<Coding> {
    let mut wishes = Wishes::default();
    for list in lists {
        for entry in list.as_bytes().split(|&byte| byte == b',') {
            wishes.note(entry);
        }
    }
    let plain = wishes.identity.or(wishes.others).unwrap_or(1);
    let liked = |coding: Coding| wishes.of(coding).or(wishes.others).unwrap_or(0);
    let [better, other] = Coding::ALL;
    let best = if liked(other) > liked(better) {
        other
    } else {
        better
    };
    (liked(best) > 0 && liked(best) >= plain).then_some(best)
}

impl Wishes {
    fn of(&self, coding: Coding) -> Option<u16> {
        match coding {
            Coding::Brotli => self.brotli,
            Coding::Gzip => self.gzip,
        }
    }

    /// Reads `br;q=0.8`. What is malformed says nothing.
    fn note(&mut self, entry: &[u8]) {
        let mut parts = entry.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let Some(weight) = parts.try_fold(1000, |weight, parameter| match parameter {
            [b'q' | b'Q', b'=', weight @ ..] => thousandths(weight),
            _ => Some(weight),
        }) else {
            return;
        };
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let slot = if is("br") {
            &mut self.brotli
        } else if is("gzip") || is("x-gzip") {
            &mut self.gzip
        } else if is("identity") {
            &mut self.identity
        } else if is("*") {
            &mut self.others
        } else {
            return;
        };
        *slot = Some(weight);
    }
}

/// A weight: `0` to `1`, with at most three decimals (RFC 9110, 12.4.2).
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole @ b'0'..=b'1'] | [whole @ b'0'..=b'1', b'.'] => (whole, &[][..]),
        [whole @ b'0'..=b'1', b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut value = u16::from(whole - b'0');
    for at in 0..3 {
        let digit = *decimals.get(at).unwrap_or(&b'0');
        value = value * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(lists: &[&str]) -> Option<Coding> {
        let lists: Vec<_> = lists
            .iter()
            .map(|list| HeaderValue::from_str(list).unwrap())
            .collect();
        choose(&lists)
    }

    #[test]
    fn what_is_chosen() {
        use Coding::{Brotli, Gzip};
        for (lists, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["gzip, deflate, br, zstd"], Some(Brotli)),
            (&["gzip, deflate"], Some(Gzip)),
            (&["deflate", "X-GZIP"], Some(Gzip)),
            (&["br;q=0.5, gzip;q=0.6"], Some(Gzip)),
            (&["br;q=0.5, gzip; Q=0.5"], Some(Brotli)),
            (&["br;q=0, gzip;q=0"], None),
            (&["br;q=0.0, gzip;q=0.001"], Some(Gzip)),
            (&["identity, br;q=0.9"], None),
            (&["identity;q=0.5, br;q=0.9"], Some(Brotli)),
            (&["identity;q=0"], None),
            (&["*"], Some(Brotli)),
            (&["*;q=0.5, br;q=0"], Some(Gzip)),
            (&["*;q=0"], None),
            (&["gzip;q=2"], None),
            (&["gzip;q=1.001"], None),
            (&["gzip;q=-1"], None),
            (&["gzip;q="], None),
            (&["gzip;q=1."], Some(Gzip)),
            (&["gzip;q=0.1234"], None),
            (&["gzip;level=9;q=1"], Some(Gzip)),
            (&["deflate, zstd"], None),
        ] {
            assert_eq!(of(lists), expected, "{lists:?}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_safe(list in "[ -~]{0,60}") {
            of(&[&list]);
        }

        #[test]
        fn weights_are_read(weight in 0_u16..=1000) {
            let text = format!("{}.{:03}", weight / 1000, weight % 1000);
            prop_assert_eq!(thousandths(text.as_bytes()), Some(weight));
        }
    }
}
