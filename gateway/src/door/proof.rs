//! Why to believe what a name points to: the ledger's entry with the state proof, the header and its certificate, to be
//! checked with the genesis alone. `curl …/.well-known/ddn/proof/alice.ddn | ddn chain verify` does; browsers get a page.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use ledger::{Bundle, NameEntry, NamePath};
use named::dap::{self, Elsewhere, Resolution};

use super::{Doors, cbor, is_head, only_read, unreadable};
use crate::ask::format::wants_html;
use crate::body::Body;
use crate::escape;
use crate::page;
use crate::problem::Problem;
use crate::reply;

/// The longest name, in bytes, percent-encoded Unicode included.
const NAME_BYTES_MAX: usize = 1024;

impl Doors {
    pub(super) async fn proof(&self, name: &str, asked: &Parts) -> Result<Response<Body>, Problem> {
        if let Some(answer) = only_read(asked)? {
            return Ok(answer);
        }
        let name = escape::unescape(name).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
        let name = name.ok_or_else(|| Problem::bad_request("the path is /.well-known/ddn/proof/NAME"))?;
        let (name, path, bundle) = self.blocking(move |doors| doors.prove(&name)).await?;
        if !wants_html(&asked.headers) {
            return Ok(cbor(bundle, &format!("{name}.proof"), is_head(asked)));
        }
        let bundle = Bundle::decode(&bundle).map_err(|_| Problem::internal())?;
        let html = page::proof::render(&shown(name, &path, &bundle));
        let mut response = reply::page(StatusCode::OK, html, is_head(asked));
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        Ok(response)
    }

    /// The name as its ledger has it, and the proof of its entry.
    fn prove(&self, name: &str) -> Result<(String, NamePath, Vec<u8>), Problem> {
        let bad = |reason: &dyn std::fmt::Display| Problem::bad_name(name, &reason.to_string());
        let whole = match dap::resolve(&*self.names, name) {
            Ok(Resolution::Found { name, .. } | Resolution::Absent { name, .. }) => name,
            Ok(Resolution::Delegated { name, to }) => return Err(Problem::name_delegated(&name, &to)),
            Ok(Resolution::Foreign) => return Err(Problem::name_foreign(name, self.names.tlds())),
            Err(dap::NameError::State(error)) => {
                tracing::error!(%error, name, "a name could not be read");
                return Err(Problem::internal());
            }
            Err(error) => return Err(bad(&error)),
        };
        let tlds = self.names.tlds();
        let tld = tlds.above(&whole).unwrap_or(tlds.own());
        let path = NamePath::parse(&whole, tld).map_err(|error| bad(&error))?;
        if tld == tlds.own() {
            let bundle = self.node.prove(&path.label);
            let bundle = bundle.map_err(|error| unreadable("the proof of a name", &error))?;
            return Ok((whole, path, bundle));
        }
        match self.names.elsewhere(tld, &path.label) {
            Ok(Elsewhere::Proven { bundle, .. }) => Ok((whole, path, bundle.to_vec())),
            Ok(Elsewhere::Silent(to)) => Err(Problem::name_delegated(&whole, &to)),
            Err(error) => {
                tracing::error!(%error, name, "a name could not be read");
                Err(Problem::internal())
            }
        }
    }
}

/// What the page shows; it says what the bundle says, and checks nothing: that is for who does not trust this node.
fn shown(name: String, path: &NamePath, bundle: &Bundle) -> page::proof::Shown {
    let entry = bundle.value.as_ref();
    let entry: Option<NameEntry> = entry.and_then(|value| ledger::decode(value).ok());
    let records = entry.as_ref().and_then(|entry| entry.records.get(&path.under));
    let content = records.and_then(|records| records.content.as_ref());
    page::proof::Shown {
        content: content.map(|link| link.0.to_string()),
        held: entry.is_some(),
        height: bundle.header.height,
        block: bundle.header.cid().to_string(),
        state_root: bundle.header.state_root.to_string(),
        signatures: bundle.certificate.signatures.len(),
        chain: bundle.header.chain.clone(),
        name,
    }
}

/// Points from an answer by name to the proof of that name (RFC 8288).
pub(super) fn point_to(headers: &mut HeaderMap, name: &str) {
    let link = format!(
        "</.well-known/ddn/proof/{}>; rel=\"urn:ddn:proof\"; type=\"application/cbor\"",
        escape::segment(name)
    );
    headers.append(header::LINK, escape::header(&link));
}
