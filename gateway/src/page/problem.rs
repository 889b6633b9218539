//! A problem as a page.

use super::{TAIL, head};
use crate::escape::html;
use crate::problem::Problem;

/// The page for browsers.
pub(crate) fn render(problem: &Problem) -> String {
    let mut page = head(problem.title);
    let status = problem.status;
    page.push_str(&format!(
        "<main>\n<h1>{}</h1>\n<p>{}</p>\n",
        html(problem.title),
        html(&problem.detail)
    ));
    if !problem.notes.is_empty() {
        let notes = problem.notes.iter();
        let items: String = notes.map(|note| format!("<li>{}</li>\n", html(note))).collect();
        page.push_str(&format!("<ul>\n{items}</ul>\n"));
    }
    if let Some(advice) = problem.advice {
        page.push_str(&format!("<p>{}</p>\n", html(advice)));
    }
    page.push_str(&format!(
        "<footer>{}</footer>\n</main>\n{TAIL}",
        html(&status.to_string())
    ));
    page
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

    #[test]
    fn shows_detail_and_no_markup_of_the_client() {
        let problem = Problem::path_missing("/ipfs/x/<script>", "<script>");
        assert!(!render(&problem).contains("<script>"));
        assert!(render(&problem).contains("&lt;script&gt;"));
        assert_eq!(
            text(&Problem::bad_request("so it is")),
            "400 Bad Request: so it is\n"
        );
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
}
