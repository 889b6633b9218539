//! Which domains an edge may serve. Its card names them, which proves nothing: whoever is named in an answer for a domain
//! gets its readers.
//!
//! An edge with an encrypted port proves a domain as it does to readers, by a certificate. One without is believed by its
//! own operator's nodes alone. Pure; time is counted in visits, of which there is one in a second.

use std::collections::BTreeMap;

/// A good certificate is looked at again after so many visits, and counts until then.
const AGAIN_GOOD: u64 = 300;
/// One that is not good, or was not shown.
const AGAIN_BAD: u64 = 10;

/// What is known of the domains of one edge.
#[derive(Debug, Default)]
pub struct Proofs {
    visits: u64,
    looked: BTreeMap<String, Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: u64,
    is_good: bool,
}

impl Proofs {
    /// The domain of which a certificate should be seen now.
    pub fn wanted<'a>(&self, domains: &'a [String]) -> Option<&'a String> {
        let due = |domain: &&String| {
            self.looked.get(*domain).is_none_or(|look| {
                let again = if look.is_good { AGAIN_GOOD } else { AGAIN_BAD };
                self.visits.saturating_sub(look.at) >= again
            })
        };
        domains.iter().find(due)
    }

    /// A visit to an edge that names these domains; of one of them the certificate was looked at.
    pub fn visited(&mut self, domains: &[String], looked: Option<(String, bool)>) {
        self.visits += 1;
        self.looked.retain(|domain, _| domains.contains(domain));
        if let Some((domain, is_good)) = looked.filter(|(domain, _)| domains.contains(domain)) {
            let at = self.visits;
            self.looked.insert(domain, Look { at, is_good });
        }
    }

    /// Whether a good certificate was seen.
    pub fn is_proven(&self, domain: &str) -> bool {
        self.looked.get(domain).is_some_and(|look| look.is_good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_domain_is_looked_at_in_its_turn_and_again() {
        let (mut proofs, one, two) = (Proofs::default(), "a.example".to_owned(), "b.example".to_owned());
        let domains = [one.clone(), two.clone()];
        assert_eq!(proofs.wanted(&domains), Some(&one));
        proofs.visited(&domains, Some((one.clone(), true)));
        assert_eq!(proofs.wanted(&domains), Some(&two));
        proofs.visited(&domains, Some((two.clone(), false)));
        assert_eq!(proofs.wanted(&domains), None);
        assert!(proofs.is_proven(&one) && !proofs.is_proven(&two));
        for _ in 0..AGAIN_BAD {
            proofs.visited(&domains, None);
        }
        assert_eq!(proofs.wanted(&domains), Some(&two));
        proofs.visited(&domains, Some((two.clone(), true)));
        while proofs.wanted(&domains).is_none() {
            proofs.visited(&domains, None);
        }
        assert_eq!(proofs.wanted(&domains), Some(&one));
        // It has lost its certificate.
        proofs.visited(&domains, Some((one.clone(), false)));
        assert!(!proofs.is_proven(&one) && proofs.is_proven(&two));
    }

    #[test]
    fn what_is_no_longer_named_is_forgotten() {
        let (mut proofs, one) = (Proofs::default(), "a.example".to_owned());
        proofs.visited(std::slice::from_ref(&one), Some((one.clone(), true)));
        proofs.visited(&[], Some((one.clone(), true)));
        assert!(!proofs.is_proven(&one));
        assert_eq!(proofs.wanted(std::slice::from_ref(&one)), Some(&one));
    }
}
