//! The pages that the gateway writes itself: landing, listing, problems. No scripts and nothing from elsewhere.

pub(crate) mod landing;
pub(crate) mod listing;
pub(crate) mod object;
pub(crate) mod problem;
pub(crate) mod proof;

use crate::escape::html;

/// What such a page may load: its own styles and inline pictures.
pub(crate) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A page up to the start of its body.
fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"{ICON}\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        html(title)
    )
}

/// What ends a page.
const TAIL: &str = "</body>\n</html>\n";

const STYLE: &str = include_str!("page/style.css");

const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath \
                    d='M8 1l6 3.5v7L8 15l-6-3.5v-7z' fill='%230b7285'/%3E%3C/svg%3E";
