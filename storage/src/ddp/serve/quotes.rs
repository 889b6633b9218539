//! The offer of this node, signed, and signed anew before it ends.

use std::sync::{Mutex, PoisonError};

use ledger::{Address, Amount, Quote, SecretKey, Signed};

use crate::ddp::Config;

/// The quote that holds now.
pub(super) struct Quotes {
    key: SecretKey,
    chain: String,
    /// What is asked unless [`Quotes::set`] says otherwise.
    usual: Terms,
    asked: Mutex<Asked>,
}

/// Who is paid, and how much for each MiB.
type Terms = (Address, Amount);

struct Asked {
    terms: Terms,
    latest: Option<Signed<Quote>>,
}

impl Quotes {
    /// Of this node, at this price.
    pub fn new(config: &Config, price: Amount) -> Quotes {
        Quotes {
            key: config.key.clone(),
            chain: config.chain.clone(),
            usual: (config.payee, price),
            asked: Mutex::new(Asked {
                terms: (config.payee, price),
                latest: None,
            }),
        }
    }

    /// Asks this from now on; nothing: the usual.
    pub fn set(&self, terms: Option<Terms>) {
        let terms = terms.unwrap_or(self.usual);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.terms != terms {
            *asked = Asked { terms, latest: None };
        }
    }

    /// A quote that holds for at least half of [`VALID_MS`] from now on.
    pub fn now(&self, now_ms: u64) -> Signed<Quote> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let half = VALID_MS / 2;
        // A clock that was set back leaves a quote that would hold for too long.
        let holds =
            |quote: &Signed<Quote>| (half..=VALID_MS).contains(&quote.body.until_ms.saturating_sub(now_ms));
        if let Some(quote) = asked.latest.as_ref().filter(|quote| holds(quote)) {
            return quote.clone();
        }
        let (payee, price) = asked.terms;
        let quote = Quote {
            node: self.key.public(),
            payee,
            price,
            until_ms: now_ms.saturating_add(VALID_MS),
        };
        let quote = Signed::sign(quote, &self.chain, &self.key);
        asked.latest = Some(quote.clone());
        quote
    }
}

/// How long an offer holds, in milliseconds.
const VALID_MS: u64 = 10 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_signed_anew_when_half_of_its_time_is_over_or_the_clock_was_set_back() {
        let key = SecretKey::from_seed([1; 32]);
        let config = Config::new(key.clone(), "dev", ([127, 0, 0, 1], 0).into(), key.address());
        let quotes = Quotes::new(&config, config.price);
        let check = |now_ms: u64, until_ms: u64| {
            let quote = quotes.now(now_ms);
            assert!(quote.verify("dev") && quote.key == quote.body.node);
            assert_eq!(quote.body.until_ms, until_ms, "at {now_ms}");
        };
        check(1_000_000, 1_600_000);
        check(1_300_000, 1_600_000);
        check(1_300_001, 1_900_001);
        check(1_000_000, 1_600_000);
    }

    #[test]
    fn other_terms_hold_from_the_next_quote_on() {
        let key = SecretKey::from_seed([1; 32]);
        let config = Config::new(key.clone(), "dev", ([127, 0, 0, 1], 0).into(), key.address());
        let (quotes, other) = (
            Quotes::new(&config, config.price),
            SecretKey::from_seed([2; 32]).address(),
        );
        let usual = quotes.now(1_000_000).body;
        let price = Amount::from_units(usual.price.units() + 1);
        quotes.set(Some((other, price)));
        let quote = quotes.now(1_000_000).body;
        assert_eq!((quote.payee, quote.price), (other, price));
        quotes.set(None);
        assert_eq!(quotes.now(1_000_000).body, usual);
    }
}
