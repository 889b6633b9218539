//! What went wrong, said so that the reader knows what to do: shown as a page to browsers and as one line to others.

use cid::Cid;
use http::{Method, StatusCode};
use named::dap::{Delegation, Tlds};
use storage::{Attempt, Error};

use crate::deny::Denied;
use crate::guard::TooMuch;
use crate::guard::hops::Stray;

use crate::ask::address::Address;

/// An answer without content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What is wrong, in a few words: the heading of the page.
    pub title: &'static str,
    /// What is wrong and with what, in one line.
    pub detail: String,
    /// What happened on the way, one line each; bounded, and without control characters.
    pub notes: Vec<String>,
    /// What the reader can do, if there is something.
    pub advice: Option<&'static str>,
    /// Where the reader can go on.
    pub ways: Vec<Way>,
    /// The block that is wanting, if nothing else is wrong: with it there would be another answer.
    pub lack: Option<Box<Lack>>,
    /// Seconds after which the same request may have another answer.
    pub wait_s: Option<u16>,
}

/// Why a block is wanting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Nobody has it.
    Missing(Cid),
    /// Others have it and did not give it.
    Withheld(Cid),
}

/// A link to go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Where it leads, percent-encoded.
    pub url: String,
    /// What is there.
    pub text: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
            notes: Vec::new(),
            advice: None,
            ways: Vec::new(),
            lack: None,
            wait_s: None,
        }
    }

    /// The block that nobody has.
    pub(crate) fn missing(&self) -> Option<Cid> {
        match self.lack.as_deref() {
            Some(Lack::Missing(block)) => Some(*block),
            _ => None,
        }
    }

    fn wait(self, seconds: u16) -> Self {
        Self {
            wait_s: Some(seconds),
            ..self
        }
    }

    pub(crate) fn advise(self, advice: &'static str) -> Self {
        Self {
            advice: Some(advice),
            ..self
        }
    }

    /// The same problem, with the ways that lead on from where it was met.
    pub(crate) fn on(mut self, address: &Address) -> Self {
        let mut way = |url: String, text: &str| {
            self.ways.push(Way {
                url,
                text: text.to_owned(),
            });
        };
        match self.status {
            StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED if !address.segments.is_empty() => {
                let start = format!("The start page of {}", address.root_text);
                way(format!("{}/", address.base()), &start);
            }
            StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => {
                let slash = if address.slash { "/" } else { "" };
                way(format!("{}{slash}", address.url()), "Try again");
            }
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::NOT_ACCEPTABLE => {
                way(format!("{}?format=raw", address.url()), "Its block as it is");
            }
            _ => {}
        }
        self
    }

    /// 400: the request makes no sense.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "This request makes no sense", detail)
    }

    /// 400: what stands for a name cannot be one.
    pub(crate) fn bad_name(name: &str, reason: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This is not a name",
            format!("{name:?} cannot be a name: {reason}"),
        )
    }

    /// 404: nobody has the name, or not any more.
    pub(crate) fn name_unknown(name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "This name is not registered",
            format!("{name} is not registered"),
        )
        .advise("Check the spelling. If it is your name, publish something under it.")
    }

    /// 404: the name is of no chain that this node follows.
    pub(crate) fn name_foreign(name: &str, tlds: &Tlds) -> Self {
        let tlds: Vec<String> = tlds.all().map(|tld| format!(".{tld}")).collect();
        let tlds = tlds.join(" or ");
        let detail = format!("{name} does not end with {tlds}, and this node resolves no other names");
        Self::new(StatusCode::NOT_FOUND, "This name is kept elsewhere", detail)
            .advise("Check the spelling, or ask a node of the chain that keeps this name.")
    }

    /// 502: the name is of another chain, and none of its nodes has proven what it says.
    pub(crate) fn name_delegated(name: &str, to: &Delegation) -> Self {
        let Delegation { chain, ask, why } = to;
        let detail = format!("{name} is a name of {chain}, which this node does not follow: {why}");
        let mut problem = Self::new(StatusCode::BAD_GATEWAY, "This name is kept elsewhere", detail)
            .advise("Try again, or ask a node of the chain that keeps this name.");
        problem.ways = ask
            .iter()
            .map(|gateway| Way {
                url: format!("{gateway}/ipns/{name}"),
                text: format!("{name} at {gateway}"),
            })
            .collect();
        problem
    }

    /// 404: the name is registered and has no content record.
    pub(crate) fn name_empty(name: &str) -> Self {
        let detail = format!("{name} is registered, but points to no content");
        Self::new(StatusCode::NOT_FOUND, "This name has no site", detail)
            .advise("If it is your name, publish a folder under it: ddn publish FOLDER --name NAME")
    }

    /// 404: the domain has no DNSLink.
    pub(crate) fn domain_unknown(domain: &str) -> Self {
        let detail = format!("{domain} points to no content: it has no DNSLink");
        Self::new(StatusCode::NOT_FOUND, "This domain has no site here", detail)
            .advise("If it is your domain, set the TXT record _dnslink to dnslink=/ipns/ and a name, or /ipfs/ and a CID.")
    }

    /// 502: a name has no record that holds, or the record cannot be had.
    pub(crate) fn no_record(name: &str, reason: &str) -> Self {
        let detail = format!("{name} cannot be resolved: {reason}");
        Self::new(StatusCode::BAD_GATEWAY, "This name cannot be resolved", detail)
    }

    /// 400: names that stand for each other without an end.
    pub(crate) fn endless(name: &str, links_max: usize) -> Self {
        let detail = format!("{name} leads to no content within {links_max} names");
        Self::new(
            StatusCode::BAD_REQUEST,
            "These names stand for each other",
            detail,
        )
    }

    /// 404: the name is served from an origin, whose pages need a host of their own.
    pub(crate) fn origin_by_host(name: &str) -> Self {
        let detail = format!(
            "{name} is served from an origin, and that only under a host of its own, not below /ipns/"
        );
        Self::new(StatusCode::NOT_FOUND, "This site has a host of its own", detail)
            .advise("Ask for it by its name as host, as in http://NAME.localhost:8080/.")
    }

    /// 404: the content is there, and has nothing at this path.
    pub(crate) fn path_missing(path: &str, segment: &str) -> Self {
        let detail = format!("{path}: there is nothing named {segment:?} in it");
        Self::new(StatusCode::NOT_FOUND, "There is no such page", detail)
            .advise("The site is there, this page is not: try its start page.")
    }

    /// 404, 410 or 451: a rule of the site says so, and the page that it names is not there.
    pub(crate) fn by_rule(status: StatusCode, path: &str) -> Self {
        let title = match status {
            StatusCode::GONE => "This page is gone",
            StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => "This page may not be shown",
            _ => "There is no such page",
        };
        Self::new(status, title, format!("{path}: so say the rules of the site"))
    }

    /// 500: a file in which the site says how it is served makes no sense.
    pub(crate) fn bad_rules(file: &str, error: &dyn std::error::Error) -> Self {
        let title = "The rules of this site make no sense";
        let detail = format!("could not parse {file}: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, title, detail)
            .advise("Whoever publishes the site can mend the file. By its CID, below /ipfs/, the content is there without it.")
    }

    /// 404: a path that the gateway itself does not have.
    pub(crate) fn no_such_page() -> Self {
        let detail = "content is below /ipfs/CID and /ipns/NAME";
        Self::new(StatusCode::NOT_FOUND, "There is no such page", detail)
            .advise("The start page of this gateway, /, tells how content is reached.")
    }

    /// 404: below the paths of the node itself there is nothing of this name.
    pub(crate) fn no_such_door() -> Self {
        let detail = "below /.well-known/ddn/ are node, nearest, proof/NAME and receipt/ID";
        Self::new(StatusCode::NOT_FOUND, "There is no such page", detail)
    }

    /// 404: no receipt has this id, or not any more.
    pub(crate) fn no_receipt(id: &str) -> Self {
        let detail = format!("there is no receipt {id:?} here");
        Self::new(StatusCode::NOT_FOUND, "There is no such receipt", detail)
            .advise("A receipt is there once the answer has ended, and for some minutes.")
    }

    /// 404: a block is not on this node, and nobody else has it. 412 for `only-if-cached`, when nobody else was asked.
    pub(crate) fn not_here(cid: &Cid, only_if_cached: bool) -> Self {
        let (status, others) = match only_if_cached {
            true => (StatusCode::PRECONDITION_FAILED, ""),
            false => (StatusCode::NOT_FOUND, ", and no other node was found that has it"),
        };
        let detail = format!("block {cid} is not on this node{others}");
        Self {
            lack: Some(Box::new(Lack::Missing(*cid))),
            ..Self::new(status, "This content is not on this node", detail)
        }
        .advise("The address is well formed. The content may be on another node, or nowhere any more.")
    }

    /// 504: others have the block, and none of them gave it in time. `tried` says what each one did; what it says may
    /// come from them, so it is cut and cleaned.
    pub(crate) fn unavailable(cid: &Cid, tried: &[Attempt]) -> Self {
        let nodes = match tried.len() {
            1 => "1 node".to_owned(),
            nodes => format!("{nodes} nodes"),
        };
        let detail = format!("block {cid} is not on this node, and {nodes} did not give it in time");
        let mut notes: Vec<String> = tried
            .iter()
            .take(NOTES_MAX)
            .map(|attempt| note(attempt.for_strangers()))
            .collect();
        if tried.len() > NOTES_MAX {
            notes.push(format!("and {} more", tried.len() - NOTES_MAX));
        }
        Self {
            notes,
            lack: Some(Box::new(Lack::Withheld(*cid))),
            ..Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "This content could not be fetched",
                detail,
            )
        }
        .advise("Try again: the nodes that have it may be back, and what has come already is kept.")
        // Until those who failed may be asked again.
        .wait(10)
    }

    /// What the absence of a block means to a client; None for other errors.
    pub(crate) fn absence(error: &Error, only_if_cached: bool) -> Option<Self> {
        match error {
            Error::Missing(cid) => Some(Self::not_here(cid, only_if_cached)),
            Error::Unavailable { cid, tried } => Some(Self::unavailable(cid, tried)),
            _ => None,
        }
    }

    /// 403: this is no proxy for everybody.
    pub(crate) fn no_tunnel(authority: &str) -> Self {
        let detail =
            format!("{authority:?} is none of the names of this gateway, and it connects to nothing else");
        Self::new(StatusCode::FORBIDDEN, "This is no proxy for that", detail)
    }

    /// 504: the answer did not begin in time.
    pub(crate) fn late() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "This took too long",
            "the node found no answer in time",
        )
        .advise("Try again: what has come already is kept.")
    }

    /// 405.
    pub(crate) fn method(method: &Method) -> Self {
        let detail = format!("{method} is not answered here; GET, HEAD and OPTIONS are");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "This can only be read", detail)
    }

    /// 406: the content cannot be given in the form that was asked.
    pub(crate) fn not_acceptable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "Not in this form", detail)
    }

    /// 412: `If-Match` named another version.
    pub(crate) fn precondition(etag: &str) -> Self {
        let detail = format!("the current version is {etag}");
        Self::new(StatusCode::PRECONDITION_FAILED, "This is another version", detail)
    }

    /// 413: a body, or a question, that is longer than any that makes sense.
    pub(crate) fn too_large(max: usize) -> Self {
        let detail = format!("this takes at most {max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "This is too long", detail)
    }

    /// 408: the body of a request did not come in time.
    pub(crate) fn too_slow() -> Self {
        let detail = "the body of the request did not come in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "This took too long", detail)
    }

    /// 415: a body of another media type than the one that is taken.
    pub(crate) fn unsupported_media(media: &str) -> Self {
        let detail = format!("this takes {media}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not in this form", detail)
    }

    /// 416: no byte of the file is in the range.
    pub(crate) fn range(length: u64) -> Self {
        let detail = format!("no byte of the asked range is in the file, which has {length} bytes");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "The file is shorter", detail)
    }

    /// 501: a path goes on inside an object.
    pub(crate) fn not_a_link(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "This path ends inside an object",
            detail,
        )
    }

    /// 501: an optional part of a protocol, which this node does not have.
    pub(crate) fn not_offered(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "This is not offered", detail)
    }

    /// 422: the request is of the right form, and one of its values is not.
    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "This request makes no sense",
            detail,
        )
    }

    /// 422: the blocks are what their CIDs say, and make no sense.
    pub(crate) fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "This content is malformed",
            detail,
        )
        .advise("It was published so: its blocks match their addresses.")
    }

    /// 503: more requests than the node takes at once.
    pub(crate) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The node is busy",
            "too many requests at once; try again soon",
        )
        .wait(1)
    }

    /// 429: one client asks too much.
    pub(crate) fn too_much(much: TooMuch) -> Self {
        let detail = match much {
            TooMuch::Often(_) => "your address asks more often than this node answers one client",
            TooMuch::AtOnce => "your address has more requests under way than this node answers one client",
        };
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests", detail).wait(much.seconds())
    }

    /// 508: a request goes in a circle, or was passed on too often.
    pub(crate) fn stray(stray: Stray) -> Self {
        let detail = match stray {
            Stray::Circle => "this request was here before: gateways pass it on to each other in a circle",
            Stray::TooFar => "this request was passed on by too many gateways",
        };
        Self::new(StatusCode::LOOP_DETECTED, "This request goes nowhere", detail)
    }

    /// 410 or 451: a denylist names what is asked for.
    pub(crate) fn denied(denied: Denied) -> Self {
        let title = "This content is not served";
        Self::new(
            denied.status(),
            title,
            "a list of this node's operator names it as not to be served",
        )
    }

    /// 503: more requests wait for other nodes than may.
    pub(crate) fn busy_fetching() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The node is busy",
            "this content is on other nodes, and too many requests wait for those; try again soon",
        )
        .wait(1)
    }

    /// 503: more look-ups in the network than may be at once.
    pub(crate) fn busy_searching() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The node is busy",
            "too many look-ups at once; try again soon",
        )
    }

    /// 500: the node's own fault. The reason is in its log, not in the answer.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The node has a fault",
            "the node failed to read this content",
        )
        .advise("The reason is in the log of the node.")
    }
}

/// Nodes that an answer names: more than a fetch tries.
const NOTES_MAX: usize = 16;
/// Characters of what is said of each.
const NOTE_CHARS_MAX: usize = 240;

/// One line, cut, without what could pass for another line or for a command to a terminal.
fn note(line: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut characters = line.chars().map(clean);
    let mut note: String = characters.by_ref().take(NOTE_CHARS_MAX).collect();
    if characters.next().is_some() {
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_and_plain() {
        let tried: Vec<Attempt> = (0..40)
            .map(|_| Attempt::theirs("x\n\u{1b}[2J".repeat(1000)))
            .collect();
        let problem = Problem::unavailable(&Cid::default(), &tried);
        assert_eq!(problem.notes.len(), NOTES_MAX + 1);
        assert!(
            problem
                .notes
                .iter()
                .all(|note| note.chars().count() <= NOTE_CHARS_MAX + 1 && !note.contains(char::is_control))
        );
        assert_eq!(problem.notes.last().map(String::as_str), Some("and 24 more"));
        assert_eq!(note("short"), "short");
    }
}
