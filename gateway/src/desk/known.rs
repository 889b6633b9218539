//! 304 for content that is not here. An entity tag is made of CIDs, so where the path alone tells the CID at its end, it
//! also tells that the client has what it asks for, and nothing is fetched to say so.

use cid::Cid;
use http::Response;
use http::header::IF_NONE_MATCH;
use storage::codec;

use super::head::{Head, tag};
use super::{Desk, car, is_mild, listing, object, tar};
use crate::ask::Ask;
use crate::ask::condition::names;
use crate::ask::format::Format;
use crate::body::Body;
use crate::trail::Trail;

impl Desk {
    /// 304, if the request names a tag of what is at the end of its path. `*` names none: what it stands for would have
    /// to be here.
    pub(super) fn known(&self, ask: &Ask, trail: &Trail) -> Option<Response<Body>> {
        if !ask.headers.contains_key(IF_NONE_MATCH) {
            return None;
        }
        let roots = self.roots(ask, trail)?;
        let mut heads = heads(ask, &roots).into_iter();
        let head = heads.find(|head| names(&ask.headers, &head.etag))?;
        Some(head.not_modified())
    }

    /// What the segments of the path lead to. Only the last may be elsewhere: the folder above it tells its CID.
    fn roots(&self, ask: &Ask, trail: &Trail) -> Option<Vec<Cid>> {
        let path = ask.path();
        let Some((last, above)) = path.split_last() else {
            return Some(vec![*trail.root()]);
        };
        let folder = storage::resolve(&trail.nearby(), trail.root(), above).ok()?;
        let entries = storage::list(trail.nearby(), &folder.cid).take(self.listing_entries_max);
        let entry = entries.map_while(Result::ok).find(|entry| entry.name == *last)?;
        Some([folder.roots, vec![entry.cid]].concat())
    }
}

/// The heads of the answers that there may be, as far as their tags are concerned.
fn heads(ask: &Ask, roots: &[Cid]) -> Vec<Head> {
    let Some(cid) = roots.last() else {
        return Vec::new();
    };
    let unixfs = matches!(cid.codec(), codec::DAG_PB | codec::RAW);
    match &ask.format {
        Format::Raw => vec![object::raw_head(ask, roots, cid)],
        Format::Car(car) => vec![car::head(ask, roots, cid, car)],
        Format::Tar => vec![tar::head(ask, roots, cid)],
        Format::Object(codec) if unixfs && !is_mild(*codec) => Vec::new(),
        _ if unixfs => {
            let mut heads = vec![Head::new(ask, roots, tag(cid, ""), "")];
            if ask.address.slash {
                heads.push(listing::head(ask, roots, cid));
            }
            heads
        }
        _ if object::is_shown(ask, cid) => vec![object::page_head(ask, roots, cid)],
        _ => object::object_head(ask, roots, cid).into_iter().collect(),
    }
}
