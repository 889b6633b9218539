//! In which form the client wants the content: `?format=` first, then `Accept` (IPIP-523).

use http::HeaderMap;
use http::header::ACCEPT;

use super::query::Query;

/// The media type of a raw block.
pub(crate) const RAW: &str = "application/vnd.ipld.raw";
/// The media type of a CAR stream.
pub(crate) const CAR: &str = "application/vnd.ipld.car";
/// The media type of a tar stream.
pub(crate) const TAR: &str = "application/x-tar";
/// The media type of an IPNS record.
pub(crate) const IPNS_RECORD: &str = "application/vnd.ipfs.ipns-record";

/// The form of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As a web site: files, pages, listings.
    Web,
    /// The bytes of one block.
    Raw,
    /// A CARv1 stream.
    Car(Car),
    /// A tar stream of a file or folder.
    Tar,
    /// The object of one IPLD block, in this codec.
    Object(Codec),
    /// The signed record of a key.
    IpnsRecord,
}

impl Format {
    /// Whether a browser may show it as a page of the host. What it only ever saves can come from any host.
    pub(crate) fn is_shown(&self) -> bool {
        matches!(self, Self::Web | Self::Object(_))
    }
}

/// Codecs of objects that are no files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// `application/vnd.ipld.dag-cbor`.
    DagCbor,
    /// `application/cbor`: dag-cbor blocks are also plain CBOR.
    Cbor,
    /// `application/vnd.ipld.dag-json`.
    DagJson,
    /// `application/json`.
    Json,
}

/// What a CAR stream holds besides the blocks of the path (IPIP-402), and how (IPIP-412).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Car {
    /// Which blocks below the end of the path.
    pub scope: Scope,
    /// The byte range of a file that `Scope::Entity` is about: first byte, last byte; negative counts from the end.
    pub bytes: Option<(i64, Option<i64>)>,
    /// Whether a block is there for every link to it, rather than once.
    pub dups: bool,
}

/// `dag-scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The last block only.
    Block,
    /// The file, or the directory without its children.
    Entity,
    /// Everything below.
    All,
}

/// Why no form could be agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoFormat {
    /// 400: a parameter is malformed.
    Malformed(String),
    /// 406: understood, and not offered.
    NotOffered(String),
}

/// The form, and whether the `Accept` header chose it (then caches must know).
pub(crate) fn negotiate(query: &Query, headers: &HeaderMap) -> Result<(Format, bool), NoFormat> {
    let accepted = accepted(headers);
    match query.get("format") {
        Some(name) => {
            let media = media_of(name).ok_or_else(|| unknown(name))?;
            let params = accepted
                .filter(|(accepted, _)| *accepted == media)
                .map_or("", |(_, params)| params);
            Ok((format(media, params, query)?, false))
        }
        None => match accepted {
            Some((media, params)) => Ok((format(media, params, query)?, true)),
            None => Ok((Format::Web, false)),
        },
    }
}

/// Whether the client is a browser that would rather read a page than a line of text.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .any(|v| v.contains("text/html"))
}

fn unknown(name: &str) -> NoFormat {
    NoFormat::Malformed(format!(
        "unknown format {name:?}; known are raw, car, tar, dag-json, dag-cbor, json, cbor, ipns-record"
    ))
}

fn media_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "raw" => RAW,
        "car" => CAR,
        "dag-cbor" => "application/vnd.ipld.dag-cbor",
        "dag-json" => "application/vnd.ipld.dag-json",
        "cbor" => "application/cbor",
        "json" => "application/json",
        "tar" => TAR,
        "ipns-record" => IPNS_RECORD,
        _ => return None,
    })
}

/// The first media type of `Accept` that names a special form, with its parameters. Generic types (what browsers
/// send) choose nothing, weights are not weighed, but a weight of zero is a refusal.
fn accepted(headers: &HeaderMap) -> Option<(&str, &str)> {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|entry| entry.trim().split_once(';').unwrap_or((entry.trim(), "")))
        .find(|(media, params)| is_special(media.trim()) && param(params, "q") != Some("0"))
        .map(|(media, params)| (media.trim(), params))
}

fn is_special(media: &str) -> bool {
    ["application/vnd.ipld.", "application/vnd.ipfs."]
        .iter()
        .any(|prefix| media.starts_with(prefix))
        || [TAR, "application/cbor", "application/json"].contains(&media)
}

fn format(media: &str, params: &str, query: &Query) -> Result<Format, NoFormat> {
    match media {
        RAW => Ok(Format::Raw),
        CAR => car(params, query).map(Format::Car),
        TAR => Ok(Format::Tar),
        IPNS_RECORD => Ok(Format::IpnsRecord),
        "application/vnd.ipld.dag-cbor" => Ok(Format::Object(Codec::DagCbor)),
        "application/vnd.ipld.dag-json" => Ok(Format::Object(Codec::DagJson)),
        "application/cbor" => Ok(Format::Object(Codec::Cbor)),
        "application/json" => Ok(Format::Object(Codec::Json)),
        other => Err(NoFormat::NotOffered(format!(
            "this gateway does not give {other}"
        ))),
    }
}

/// Query parameters win over those of the media type. The order is always depth first, which serves every request.
fn car(params: &str, query: &Query) -> Result<Car, NoFormat> {
    let wish = |name: &str, query_name: &str| query.get(query_name).or_else(|| param(params, name));
    if wish("version", "car-version").is_some_and(|version| version != "1") {
        return Err(NoFormat::Malformed("only CAR version=1 is given".into()));
    }
    match wish("order", "car-order") {
        None | Some("dfs" | "unk") => {}
        Some(order) => {
            return Err(NoFormat::Malformed(format!(
                "unknown CAR order {order:?}; known are dfs, unk"
            )));
        }
    }
    let dups = match wish("dups", "car-dups") {
        None | Some("n") => false,
        Some("y") => true,
        Some(dups) => {
            return Err(NoFormat::Malformed(format!(
                "unknown CAR dups {dups:?}; known are y, n"
            )));
        }
    };
    Ok(Car {
        scope: scope(query)?,
        bytes: entity_bytes(query)?,
        dups,
    })
}

fn scope(query: &Query) -> Result<Scope, NoFormat> {
    match query.get("dag-scope") {
        None if query.get("entity-bytes").is_some() => Ok(Scope::Entity),
        None | Some("all") => Ok(Scope::All),
        Some("entity") => Ok(Scope::Entity),
        Some("block") => Ok(Scope::Block),
        Some(other) => Err(NoFormat::Malformed(format!(
            "unknown dag-scope {other:?}; known are block, entity, all"
        ))),
    }
}

fn entity_bytes(query: &Query) -> Result<Option<(i64, Option<i64>)>, NoFormat> {
    let Some(text) = query.get("entity-bytes") else {
        return Ok(None);
    };
    let malformed = || {
        NoFormat::Malformed(format!(
            "malformed entity-bytes {text:?}; it is FROM:TO, TO may be *"
        ))
    };
    let (from, to) = text.split_once(':').ok_or_else(malformed)?;
    let from: i64 = from.parse().map_err(|_| malformed())?;
    let to: Option<i64> = match to {
        "*" => None,
        to => Some(to.parse().map_err(|_| malformed())?),
    };
    let backwards = to.is_some_and(|to| (from < 0) == (to < 0) && to < from);
    if backwards {
        Err(malformed())
    } else {
        Ok(Some((from, to)))
    }
}

/// One parameter of a media type, unquoted.
fn param<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    params.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const BROWSER: &str =
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

    fn of(query: &str, accept: &str) -> Result<(Format, bool), NoFormat> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        negotiate(&Query::parse(query), &headers)
    }

    fn car(scope: Scope, bytes: Option<(i64, Option<i64>)>) -> Format {
        Format::Car(Car {
            scope,
            bytes,
            dups: false,
        })
    }

    #[test]
    fn table() {
        for (query, accept, expected) in [
            ("", "", (Format::Web, false)),
            ("", BROWSER, (Format::Web, false)),
            ("", "application/vnd.ipld.raw;q=0, */*", (Format::Web, false)),
            ("", "application/vnd.ipld.raw", (Format::Raw, true)),
            ("", "text/html, application/vnd.ipld.raw", (Format::Raw, true)),
            ("format=raw", "application/vnd.ipld.car", (Format::Raw, false)),
            ("format=car", BROWSER, (car(Scope::All, None), false)),
            (
                "",
                "application/vnd.ipld.car; version=1; order=dfs; dups=n",
                (car(Scope::All, None), true),
            ),
            (
                "dag-scope=block",
                "application/vnd.ipld.car",
                (car(Scope::Block, None), true),
            ),
            (
                "format=car&dag-scope=entity",
                "",
                (car(Scope::Entity, None), false),
            ),
            (
                "format=car&dag-scope=all&entity-bytes=0:*",
                "",
                (car(Scope::All, Some((0, None))), false),
            ),
            (
                "format=car&dag-scope=entity&entity-bytes=-9:-3",
                "",
                (car(Scope::Entity, Some((-9, Some(-3)))), false),
            ),
            (
                "format=car&entity-bytes=512:-256",
                "",
                (car(Scope::Entity, Some((512, Some(-256)))), false),
            ),
            (
                "format=car&car-order=unk",
                "application/vnd.ipld.car;order=bad",
                (car(Scope::All, None), false),
            ),
            ("format=dag-cbor", "", (Format::Object(Codec::DagCbor), false)),
            ("", "application/json", (Format::Object(Codec::Json), true)),
            ("format=tar", "", (Format::Tar, false)),
            ("", "application/x-tar", (Format::Tar, true)),
            ("format=ipns-record", "", (Format::IpnsRecord, false)),
        ] {
            assert_eq!(of(query, accept), Ok(expected), "{query} {accept}");
        }
    }

    #[test]
    fn duplicates() {
        for (query, accept, expected) in [
            ("format=car", "", false),
            ("format=car", "application/vnd.ipld.car; dups=y", true),
            ("", "application/vnd.ipld.car; dups=y", true),
            ("format=car&car-dups=n", "application/vnd.ipld.car; dups=y", false),
            ("format=car&car-dups=y", "application/vnd.ipld.car; dups=n", true),
        ] {
            let found = of(query, accept);
            assert!(
                matches!(&found, Ok((Format::Car(Car { dups, .. }), _)) if *dups == expected),
                "{query} {accept}: {found:?}"
            );
        }
    }

    #[test]
    fn refusals() {
        for (query, accept, malformed) in [
            ("format=zip", "", true),
            ("", "application/vnd.ipld.dag-pb", false),
            ("format=car&dag-scope=some", "", true),
            ("format=car&car-version=2", "", true),
            ("format=car&entity-bytes=5", "", true),
            ("format=car&entity-bytes=a:b", "", true),
            ("format=car&entity-bytes=9:3", "", true),
            ("", "application/vnd.ipld.car; dups=maybe", true),
            ("", "application/vnd.ipld.car; order=random", true),
        ] {
            let error = of(query, accept).expect_err(query);
            assert_eq!(
                matches!(error, NoFormat::Malformed(_)),
                malformed,
                "{query} {accept}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_input_is_safe(query in any::<String>(), accept in "[ -~]{0,60}") {
            let _ = of(&query, &accept);
        }
    }
}
