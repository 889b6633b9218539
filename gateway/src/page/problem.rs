//! A problem as a page: what is wrong, with what, and what the reader can do.

use super::{TAIL, brand, head};
use crate::escape::html;
use crate::problem::Problem;

/// The page for browsers.
pub(crate) fn render(problem: &Problem) -> String {
    let mut page = head(problem.title);
    page.push_str(&brand(None));
    page.push_str(&format!(
        "<main>\n<p class=\"status\">{}</p>\n<h1>{}</h1>\n<p class=\"what\">{}</p>\n",
        html(&problem.status.to_string()),
        html(problem.title),
        html(&problem.detail)
    ));
    if !problem.notes.is_empty() {
        let notes = problem.notes.iter();
        let items: String = notes.map(|note| format!("<li>{}</li>\n", html(note))).collect();
        page.push_str(&format!("<ul>\n{items}</ul>\n"));
    }
    page.push_str(&advice(problem));
    page.push_str("</main>\n");
    page.push_str(TAIL);
    page
}

fn advice(problem: &Problem) -> String {
    let advice = problem.advice.iter().map(|advice| html(advice));
    let ways = problem.ways.iter();
    let ways = ways.map(|way| format!("<a href=\"{}\">{}</a>", html(&way.url), html(&way.text)));
    let items: String = advice
        .chain(ways)
        .map(|item| format!("<li>{item}</li>\n"))
        .collect();
    match items.as_str() {
        "" => items,
        items => format!("<h2>What you can do</h2>\n<ul class=\"card\">\n{items}</ul>\n"),
    }
}

/// The line for everybody else, and one more for each note.
pub(crate) fn text(problem: &Problem) -> String {
    let reason = problem.status.canonical_reason().unwrap_or_default();
    let line = format!("{} {}: {}\n", problem.status.as_u16(), reason, problem.detail);
    let notes = problem.notes.iter();
    line + &notes.map(|note| format!("  {note}\n")).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::address::{Address, Face, Root};

    #[test]
    fn shows_detail_and_no_markup_of_the_client() {
        let problem = Problem::path_missing("/ipfs/x/<script>", "<script>");
        assert!(!render(&problem).contains("<script>"));
        assert!(render(&problem).contains("&lt;script&gt;"));
        assert_eq!(
            text(&Problem::bad_request("so it is")),
            "400 Bad Request: so it is\n"
        );
        assert!(!render(&Problem::bad_request("so it is")).contains("What you can do"));
    }

    #[test]
    fn tells_what_each_node_did() {
        let tried = ["a: silent for 5 s", "b: <b>no</b>"].map(storage::Attempt::theirs);
        let problem = Problem::unavailable(&cid::Cid::default(), &tried);
        let page = render(&problem);
        assert!(page.contains("<li>a: silent for 5 s</li>\n<li>b: &lt;b&gt;no&lt;/b&gt;</li>"));
        let text = text(&problem);
        assert!(
            text.starts_with("504 Gateway Timeout: block ")
                && text.contains("2 nodes did not give it in time\n")
        );
        assert!(text.ends_with("\n  a: silent for 5 s\n  b: <b>no</b>\n"));
    }

    #[test]
    fn shows_the_ways_out() {
        let at = |face, segments: &[&str]| Address {
            root: Root::Name("alice.ddn".into()),
            root_text: "alice.ddn".into(),
            segments: segments.iter().map(|s| (*s).to_owned()).collect(),
            slash: false,
            face,
        };
        let missing = |address: &Address| render(&Problem::path_missing("x", "x").on(address));
        let page = missing(&at(Face::Path, &["a b", "c"]));
        assert!(page.contains("<a href=\"/ipns/alice.ddn/\">The start page of alice.ddn</a>"));
        let host = "alice.ddn".to_owned();
        let page = missing(&at(Face::Name { host, gateway: None }, &["c"]));
        assert!(page.contains("<a href=\"/\">The start page of alice.ddn</a>"));
        let failed = Problem::unavailable(&cid::Cid::default(), &[]).on(&at(Face::Path, &["c"]));
        assert!(render(&failed).contains("<a href=\"/ipns/alice.ddn/c\">Try again</a>"));
    }
}
