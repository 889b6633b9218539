//! DNS over HTTPS (RFC 8484): the DNS server's answers, for those whom port 53 does not serve.

use bytes::Bytes;
use cid::multibase::Base;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use named::dns::Reuse;

use super::{Doors, is_head, whole};
use crate::ask::query::Query;
use crate::body::Body;
use crate::escape;
use crate::problem::Problem;
use crate::reply;
use crate::server::service::{Client, Upload};

const MEDIA: &str = "application/dns-message";
/// The largest DNS message, in bytes.
const MESSAGE_BYTES_MAX: usize = 65_535;

impl Doors {
    pub(super) async fn dns_query(
        &self,
        asked: &Parts,
        upload: Upload,
        client: Client,
    ) -> Result<Response<Body>, Problem> {
        let question = match asked.method {
            Method::GET | Method::HEAD => of_query(asked.uri.query().unwrap_or_default())?,
            Method::POST => of_body(asked, upload).await?,
            Method::OPTIONS => return Ok(methods(reply::options())),
            _ => return Err(Problem::method(&asked.method)),
        };
        let address = client.address.ip();
        let (answered, is_forwarded) = match self.dns.forward_https(&question, address) {
            Some(asked) => (asked.await, true),
            None => {
                let answered = self.blocking(move |doors| Ok(doors.dns.respond_https(&question, address)));
                (answered.await?, false)
            }
        };
        let (answer, keep) = answered.ok_or_else(|| {
            Problem::bad_request("this is no DNS question: it is too short, or an answer itself")
        })?;
        // What is for one network or client only must not be given to others by a cache between.
        let is_private = is_forwarded || matches!(answer.reuse, Reuse::Network(..));
        let for_whom = if is_private { "private, " } else { "" };
        let mut response = reply::text(StatusCode::OK, MEDIA, answer.bytes.into(), is_head(asked));
        let keep = escape::header(&format!("{for_whom}max-age={keep}"));
        response.headers_mut().insert(header::CACHE_CONTROL, keep);
        Ok(methods(response))
    }
}

/// What pages of other origins may do here.
fn methods(mut response: Response<Body>) -> Response<Body> {
    let methods = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
    let headers = response.headers_mut();
    if headers.contains_key(header::ALLOW) {
        headers.insert(header::ALLOW, methods.clone());
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    response
}

/// `?dns=`: base64url without padding (RFC 8484, section 6).
fn of_query(query: &str) -> Result<Bytes, Problem> {
    let query = Query::parse(query);
    let text = query
        .get("dns")
        .ok_or_else(|| Problem::bad_request("a DNS question is ?dns= and the message in base64url"))?;
    if text.len() > MESSAGE_BYTES_MAX.div_ceil(3) * 4 {
        return Err(Problem::too_large(MESSAGE_BYTES_MAX));
    }
    let message = Base::Base64Url.decode(text);
    message
        .map(Bytes::from)
        .map_err(|_| Problem::bad_request("?dns= is not base64url without padding"))
}

async fn of_body(asked: &Parts, upload: Upload) -> Result<Bytes, Problem> {
    let media = asked.headers.get(header::CONTENT_TYPE);
    if media.is_none_or(|media| !media.as_bytes().eq_ignore_ascii_case(MEDIA.as_bytes())) {
        return Err(Problem::unsupported_media(MEDIA));
    }
    whole(upload, MESSAGE_BYTES_MAX).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn questions_are_base64url() {
        // The example of RFC 8484, section 4.1.1.
        let example = "dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";
        let message = of_query(example).expect("a message");
        assert_eq!((message.len(), &message[13..16]), (33, &b"www"[..]));
        for bad in ["", "dns=", "dns=A+/B", "dns=AAA=", "dns=A", "other=AAAA"] {
            assert_eq!(
                of_query(bad).expect_err(bad).status,
                StatusCode::BAD_REQUEST,
                "{bad}"
            );
        }
        let long = format!("dns={}", "A".repeat(90_000));
        assert_eq!(
            of_query(&long).expect_err("too long").status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }

    proptest! {
        #[test]
        fn any_query_is_safe(query in any::<String>()) {
            let _ = of_query(&query);
            let _ = of_query(&format!("dns={query}"));
        }
    }
}
