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
    if let Some(advice) = problem.advice {
        page.push_str(&format!("<p>{}</p>\n", html(advice)));
    }
    page.push_str(&format!(
        "<footer>{}</footer>\n</main>\n{TAIL}",
        html(&status.to_string())
    ));
    page
}

/// The line for everybody else.
pub(crate) fn line(problem: &Problem) -> String {
    let reason = problem.status.canonical_reason().unwrap_or_default();
    format!("{} {}: {}\n", problem.status.as_u16(), reason, problem.detail)
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
            line(&Problem::bad_request("so it is")),
            "400 Bad Request: so it is\n"
        );
    }
}
