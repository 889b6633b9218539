//! The signed records of keys, for clients that verify them themselves.

use std::time::SystemTime;

use bytes::Bytes;
use http::Response;
use named::ipns;

use super::Desk;
use super::head::Head;
use crate::ask::Ask;
use crate::ask::address::Root;
use crate::ask::format::IPNS_RECORD;
use crate::body::Body;
use crate::fresh::Fresh;
use crate::problem::Problem;
use crate::reply;

impl Desk {
    /// The record of the key that was asked for.
    pub(super) fn ipns_record(&self, ask: &Ask) -> Result<Response<Body>, Problem> {
        let Root::Ipns(name) = &ask.address.root else {
            return Err(Problem::not_acceptable(
                "only the names of keys have IPNS records",
            ));
        };
        if !ask.address.segments.is_empty() {
            return Err(Problem::bad_request(
                "the record is that of the whole name: ask without a path below it",
            ));
        }
        let now = SystemTime::now();
        let record = self.record(name, now)?;
        let ask = Ask {
            fresh: Fresh::For(record.ttl(now)),
            ..ask.clone()
        };
        head(&ask, name, &record).send(&ask, &Bytes::copy_from_slice(record.bytes()))
    }
}

fn head(ask: &Ask, name: &ipns::Name, record: &ipns::Record) -> Head {
    let etag = format!("\"{name}.{}.{}\"", record.sequence(), seconds(record.eol()));
    let mut head = Head::new(ask, &[], etag, IPNS_RECORD);
    head.remove(reply::X_IPFS_ROOTS);
    head.disposition(ask, true, &format!("{name}.ipns-record"));
    head
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
