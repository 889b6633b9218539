//! The top-level domains below which names are a ledger's.

/// The top-level domain of the node's own chain, and those of the chains whose nodes it asks. Lower-case ASCII without dots
/// at their ends; each is one chain's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlds {
    own: String,
    others: Vec<String>,
}

impl Tlds {
    /// That of one chain alone.
    #[must_use]
    pub fn of(own: &str) -> Self {
        Self::new(own, Vec::new())
    }

    /// `own` is that of the node's chain.
    #[must_use]
    pub fn new(own: &str, others: Vec<String>) -> Self {
        Self {
            own: own.to_owned(),
            others,
        }
    }

    /// That of the node's own chain.
    #[must_use]
    pub fn own(&self) -> &str {
        &self.own
    }

    /// Those of the chains that are asked.
    #[must_use]
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// The one that `domain` is a name of; it is in lower case and has no dot at its end. `None` also for a top-level domain
    /// itself.
    #[must_use]
    pub fn above(&self, domain: &str) -> Option<&str> {
        let is_below = |tld: &str| {
            let before = domain.strip_suffix(tld);
            before.is_some_and(|before| before.len() > 1 && before.ends_with('.'))
        };
        self.all().find(|tld| is_below(tld))
    }

    /// All of them, the own first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.own).chain(&self.others).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_name_it_is() {
        let tlds = Tlds::new("ddn", vec!["mmt".into(), "odd".into()]);
        for (domain, tld) in [
            ("alice.ddn", Some("ddn")),
            ("docs.alice.mmt", Some("mmt")),
            ("alice.odd", Some("odd")),
            ("ddn", None),
            ("mmt", None),
            (".mmt", None),
            ("addn", None),
            ("alice.mmt.example", None),
            ("", None),
        ] {
            assert_eq!(tlds.above(domain), tld, "{domain}");
        }
    }
}
