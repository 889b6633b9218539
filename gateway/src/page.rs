//! The pages that the gateway writes itself: landing, listing, objects, problems. No scripts and nothing from elsewhere:
//! a page is one document with its style sheet and its pictures inside, and its policy lets the browser load nothing else.

pub(crate) mod kind;
pub(crate) mod landing;
pub(crate) mod listing;
pub(crate) mod object;
pub(crate) mod place;
pub(crate) mod problem;
pub(crate) mod proof;

use crate::escape::html;

/// What such a page may load: this very style sheet and inline pictures. Its forms stay on the gateway.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'sha256-0FWWEMqqvAxQa9DOxOq05/5M7B77H2Z/IcuMKSoQXNI='; img-src data:; base-uri 'none'; \
                                 form-action 'self'";

/// A page up to the start of its body.
fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"{ICON}\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        html(title)
    )
}

/// The bar on top: whose page this is, and the way to the start page of the gateway where it has one.
fn brand(home: Option<&str>) -> String {
    let (open, close) = match home {
        Some(home) => (format!("<a class=\"brand\" href=\"{}\">", html(home)), "</a>"),
        None => ("<span class=\"brand\">".to_owned(), "</span>"),
    };
    format!("<header>{open}{MARK} DDN gateway{close}</header>\n")
}

/// What ends a page.
const TAIL: &str = "</body>\n</html>\n";

const STYLE: &str = include_str!("page/style.css");

const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath \
                    d='M8 1l6 3.5v7L8 15l-6-3.5v-7z' fill='%230b7285'/%3E%3C/svg%3E";

const MARK: &str =
    "<svg aria-hidden=\"true\" viewBox=\"0 0 16 16\"><path d=\"M8 1l6 3.5v7L8 15l-6-3.5v-7z\"/></svg>";

#[cfg(test)]
mod tests {
    use cid::multibase::Base;
    use sha2::{Digest, Sha256};

    use super::*;

    /// The policy names the style sheet by its hash, and what is not in the sheet is not applied.
    #[test]
    fn the_policy_allows_this_style_sheet() {
        let hash = Base::Base64Pad.encode(Sha256::digest(STYLE));
        assert!(
            POLICY.contains(&format!("'sha256-{hash}'")),
            "the style sheet has changed: its hash in POLICY is now sha256-{hash}"
        );
    }

    #[test]
    fn a_page_names_its_language_and_loads_nothing() {
        let page = head("<Title>") + &brand(Some("/")) + TAIL;
        assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
        assert!(page.contains("<title>&lt;Title&gt;</title>"));
        assert!(!page.contains("src=") && !page.contains("<script") && !page.contains("style=\""));
        assert!(!brand(None).contains("href"));
    }
}
