//! The domains below which the ledger's names are: the chain's own, and those of the public DNS that stand for it.

/// The zones that hold the ledger's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    tld: String,
    /// Longest first, lower case, without dots at their ends.
    aliases: Vec<String>,
}

impl Zones {
    /// `tld` is the chain's top-level domain. Below each of `aliases` its names are known too: with `ddn.example`,
    /// `alice.ddn.example` is `alice.ddn`.
    #[must_use]
    pub fn new(tld: &str, aliases: &[String]) -> Self {
        let plain = |zone: &String| zone.trim_matches('.').to_ascii_lowercase();
        let mut aliases: Vec<String> = aliases.iter().map(plain).collect();
        aliases.sort_by_key(|zone| std::cmp::Reverse(zone.len()));
        Self {
            tld: tld.to_owned(),
            aliases,
        }
    }

    /// The ledger name that `domain` is, both in lower case and without a dot at their ends. Whether somebody holds it is
    /// another question.
    #[must_use]
    pub fn name(&self, domain: &str) -> Option<String> {
        if below(domain, &self.tld).is_some() {
            return Some(domain.to_owned());
        }
        let label = self.aliases.iter().find_map(|zone| below(domain, zone))?;
        Some(format!("{label}.{}", self.tld))
    }
}

/// What stands before the zone.
fn below<'a>(domain: &'a str, zone: &str) -> Option<&'a str> {
    let label = domain.strip_suffix(zone)?.strip_suffix('.')?;
    (!label.is_empty() && !zone.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_ledger() {
        let zones = Zones::new("ddn", &["ddn.example".to_owned(), "x.DDN.example.".to_owned()]);
        for (domain, name) in [
            ("alice.ddn", Some("alice.ddn")),
            ("docs.alice.ddn", Some("docs.alice.ddn")),
            ("alice.ddn.example", Some("alice.ddn")),
            ("docs.alice.ddn.example", Some("docs.alice.ddn")),
            ("alice.x.ddn.example", Some("alice.ddn")),
            ("ddn", None),
            (".ddn", None),
            ("ddn.example", None),
            ("notddn.example", None),
            ("alice.ddn.example.org", None),
            ("", None),
        ] {
            assert_eq!(zones.name(domain).as_deref(), name, "{domain}");
        }
    }
}
