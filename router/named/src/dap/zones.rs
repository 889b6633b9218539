//! The domains below which the ledger's names are: those of chains, and those of the public DNS that stand for the own one.

use super::Tlds;

/// The zones that hold the ledger's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    tlds: Tlds,
    /// Longest first, lower case, without dots at their ends.
    aliases: Vec<String>,
}

impl Zones {
    /// Below each of `aliases` the names of the own chain are known too: with `ddn.example`, `alice.ddn.example` is
    /// `alice.ddn`.
    #[must_use]
    pub fn new(tlds: &Tlds, aliases: &[String]) -> Self {
        let plain = |zone: &String| zone.trim_matches('.').to_ascii_lowercase();
        let mut aliases: Vec<String> = aliases.iter().map(plain).collect();
        aliases.sort_by_key(|zone| std::cmp::Reverse(zone.len()));
        Self {
            tlds: tlds.clone(),
            aliases,
        }
    }

    /// The ledger name that `domain` is, both in lower case and without a dot at their ends. Whether somebody holds it is
    /// another question.
    #[must_use]
    pub fn name(&self, domain: &str) -> Option<String> {
        if self.tlds.above(domain).is_some() {
            return Some(domain.to_owned());
        }
        let label = self.aliases.iter().find_map(|zone| below(domain, zone))?;
        Some(format!("{label}.{}", self.tlds.own()))
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
        let tlds = Tlds::new("ddn", vec!["mmt".into()]);
        let zones = Zones::new(&tlds, &["ddn.example".to_owned(), "x.DDN.example.".to_owned()]);
        for (domain, name) in [
            ("alice.ddn", Some("alice.ddn")),
            ("docs.alice.ddn", Some("docs.alice.ddn")),
            ("alice.ddn.example", Some("alice.ddn")),
            ("docs.alice.ddn.example", Some("docs.alice.ddn")),
            ("alice.x.ddn.example", Some("alice.ddn")),
            ("alice.mmt", Some("alice.mmt")),
            ("alice.mmt.ddn.example", Some("alice.mmt.ddn")),
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
