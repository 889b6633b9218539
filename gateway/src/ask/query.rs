//! The query string, read by the rules of HTML forms.

use crate::escape;

/// Decoded parameters in order of appearance. What is not UTF-8 is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`.
    pub(crate) fn parse(raw: &str) -> Self {
        Self(
            raw.split('&')
                .filter(|pair| !pair.is_empty())
                .filter_map(pair)
                .collect(),
        )
    }

    /// The first value of `key`, if it is there and not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }
}

fn pair(raw: &str) -> Option<(String, String)> {
    let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
    Some((
        escape::unescape(&name.replace('+', " "))?,
        escape::unescape(&value.replace('+', " "))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_forms() {
        let query = Query::parse("a=1&b=x+y%2B&&c&a=2&bad=%ff&d=%C4%85=");
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.get("b"), Some("x y+"));
        assert_eq!(query.get("c"), None);
        assert_eq!(query.get("bad"), None);
        assert_eq!(query.get("d"), Some("ą="));
    }
}
