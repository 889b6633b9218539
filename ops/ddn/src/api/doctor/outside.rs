//! The node from outside: as peers reach its ports, and as the public DNS leads to its zones.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use named::delegation;

use crate::api::types::Check;
use crate::node::Node;
use crate::node::look::{Door, Sight};
use crate::node::notices::Why;

/// What the public DNS has for an answer.
const DNS_WITHIN: Duration = Duration::from_secs(4);

/// What peers found at the ports of this node.
pub fn checks(node: &Node) -> Vec<Check> {
    let sights = node.outlook.sights();
    if sights.iter().all(|sight| sight.tried == 0) {
        let why = match (node.mesh.peers().is_empty(), node.outlook.silent()) {
            (true, _) => "there is no peer to ask".to_owned(),
            (false, silent) => silent.unwrap_or_else(|| "no peer was asked yet".to_owned()),
        };
        return vec![Check::ok(
            "outside",
            format!("nobody has looked at this node's ports: {why}"),
        )];
    }
    let home = *node.delivery.home_relay().borrow();
    sights
        .iter()
        .map(|sight| match (&sight.door, home) {
            (Door::Delivery { .. }, Some(relay)) if sight.is_missed() => relayed(sight, relay),
            _ => check(sight, is_local(node, &sight.door)),
        })
        .collect()
}

/// Whether others keep their readers from this node, as far as they told it.
pub fn standing(node: &Node) -> Check {
    let id = *node.node_key().public().as_bytes();
    let convicted = node.verdicts.convicted();
    let is_out = convicted.is_some_and(|(_, edges)| edges.contains(&id));
    let told: Vec<Why> = node
        .notices
        .standing(Instant::now())
        .into_iter()
        .map(|(_, why)| why)
        .collect();
    stands(is_out, &told)
}

fn stands(is_out: bool, told: &[Why]) -> Check {
    if is_out {
        let text = "most of those who judge edges saw this one fail for an hour: it gets no readers in this hour, and again when it has answered for some minutes";
        return Check::fail("standing", format!("{text}; see what is said of its ports here"));
    }
    if told.is_empty() {
        return Check::ok(
            "standing",
            "nobody told this node that it gets no readers".to_owned(),
        );
    }
    let silent = told.iter().filter(|why| **why == Why::Silent).count();
    let text = format!(
        "{} other nodes send no readers here ({silent} because it did not answer, {} because it failed)",
        told.len(),
        told.len() - silent
    );
    Check::warn(
        "standing",
        format!(
            "{text}: see what is said of its ports here, and whether this machine or its line is overloaded"
        ),
    )
}

/// A port that is not reached, of a node that is all the same.
fn relayed(sight: &Sight, relay: SocketAddr) -> Check {
    let (port, tried) = (sight.door.port(), sight.tried);
    let text = format!(
        "none of {tried} peers that tried reaches port {port} over UDP, but all do through the relay at {relay}, which is paid \
         for what it passes on"
    );
    Check::ok("outside-delivery", text)
}

fn check(sight: &Sight, is_local: bool) -> Check {
    let Sight {
        door,
        address,
        reached,
        tried,
        ms,
        reason,
    } = sight;
    let section = door.name();
    let (name, protocol) = (format!("outside-{section}"), door.protocol());
    let place = address.map_or_else(|| format!("port {}", door.port()), |address| address.to_string());
    if !sight.is_missed() {
        let text = format!(
            "{reached} of {tried} peers that tried reach {place} over {protocol}, in {} ms",
            ms.unwrap_or(0)
        );
        return Check::ok(&name, text);
    }
    let reason = reason.as_deref().unwrap_or("no answer");
    let text = format!("none of {tried} peers that tried reaches {place} over {protocol} ({reason})");
    if is_local {
        let text = format!(
            "{text}, since it listens for this machine alone: if others are to come, change {section}.listen"
        );
        return Check::warn(&name, text);
    }
    let text = format!(
        "{text}: open port {} over {protocol} to this machine, in its firewall and in the router",
        door.port()
    );
    match door {
        Door::Gateway { .. } | Door::Delivery { .. } => Check::fail(
            &name,
            format!("{text}; if others reach it elsewhere, set {section}.external"),
        ),
        Door::Mesh { .. } => Check::warn(
            &name,
            format!("{text}; if others reach it elsewhere, set mesh.external"),
        ),
        Door::Dns { .. } => Check::warn(&name, text),
    }
}

/// Whether a listener is for this machine alone.
fn is_local(node: &Node, door: &Door) -> bool {
    let Some(card) = node.card.get() else {
        return false;
    };
    let listener = match door {
        Door::Gateway { .. } => &card.gateway,
        Door::Dns { .. } => &card.dns,
        Door::Delivery { .. } => &card.delivery,
        Door::Mesh { .. } => {
            let is_loopback =
                |address: &String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
            return card.mesh.iter().all(is_loopback);
        }
    };
    listener
        .parse()
        .is_ok_and(|address: SocketAddr| address.ip().is_loopback())
}

/// Whether the public DNS leads to this node's alias zones.
pub async fn delegations(node: &Node) -> Vec<Check> {
    let settings = &node.config.settings;
    let servers = &settings.gateway.dnslink_servers;
    let asked = settings.dns.alias_zones.iter().map(|zone| async move {
        let found = delegation::name_servers(zone, servers, DNS_WITHIN).await;
        delegated(zone, found, &settings.dns.name_servers)
    });
    join_all(asked).await
}

fn delegated(zone: &str, found: Result<Vec<String>, String>, own: &[String]) -> Check {
    let bare = |host: &String| host.trim_end_matches('.').to_ascii_lowercase();
    let own: BTreeSet<String> = own.iter().map(bare).collect();
    let list = |hosts: &BTreeSet<String>| hosts.iter().cloned().collect::<Vec<_>>().join(", ");
    let found = match found {
        Ok(found) => found.iter().map(bare).collect::<BTreeSet<_>>(),
        Err(error) => {
            return Check::warn(
                "delegation",
                format!("{zone}: the public DNS gives no answer: {error}"),
            );
        }
    };
    let advice = format!(
        "at whoever keeps the domain above it, set its name servers to {} (dns.name_servers)",
        list(&own)
    );
    if found.is_empty() {
        return Check::fail("delegation", format!("{zone} is delegated to nobody: {advice}"));
    }
    if found.is_disjoint(&own) {
        return Check::fail(
            "delegation",
            format!("{zone} is delegated to {}: {advice}", list(&found)),
        );
    }
    let missing: BTreeSet<String> = found.difference(&own).cloned().collect();
    match missing.is_empty() {
        true => Check::ok("delegation", format!("{zone} is delegated to {}", list(&found))),
        false => Check::warn(
            "delegation",
            format!(
                "{zone} is delegated to {} too, which dns.name_servers does not name",
                list(&missing)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::CheckVerdict;

    #[test]
    fn what_nobody_reaches_is_said_with_what_to_do() {
        let missed = |door| Sight {
            door,
            address: "192.0.2.7:80".parse().ok(),
            reached: 0,
            tried: 2,
            ms: None,
            reason: Some("Connection refused (os error 111)".to_owned()),
        };
        let gateway = Door::Gateway {
            port: 80,
            host: "edge.example".to_owned(),
        };
        let found = check(&missed(gateway.clone()), false);
        assert_eq!(
            (found.name.as_str(), found.verdict),
            ("outside-gateway", CheckVerdict::Fail)
        );
        assert_eq!(
            found.text,
            "none of 2 peers that tried reaches 192.0.2.7:80 over TCP (Connection refused (os error 111)): open port 80 over \
             TCP to this machine, in its firewall and in the router; if others reach it elsewhere, set gateway.external"
        );
        let found = check(
            &missed(Door::Dns {
                port: 53,
                zone: "ddn".to_owned(),
            }),
            true,
        );
        assert_eq!(found.verdict, CheckVerdict::Warn);
        assert!(
            found.text.ends_with("if others are to come, change dns.listen"),
            "{}",
            found.text
        );
        let reached = Sight {
            reached: 1,
            ms: Some(12),
            ..missed(gateway)
        };
        let found = check(&reached, false);
        assert_eq!(found.verdict, CheckVerdict::Ok);
        assert_eq!(
            found.text,
            "1 of 2 peers that tried reach 192.0.2.7:80 over TCP, in 12 ms"
        );
    }

    #[test]
    fn a_zone_leads_here_or_it_is_said_where_it_leads() {
        let own = ["ns1.ddn.example".to_owned(), "ns2.ddn.example".to_owned()];
        let hosts = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        for (found, verdict, word) in [
            (
                hosts(&["NS1.ddn.example."]),
                CheckVerdict::Ok,
                "is delegated to ns1.ddn.example",
            ),
            (
                hosts(&["ns1.ddn.example", "old.example"]),
                CheckVerdict::Warn,
                "to old.example too",
            ),
            (
                hosts(&["old.example"]),
                CheckVerdict::Fail,
                "set its name servers to ns1.ddn.example, ns2.ddn.example",
            ),
            (hosts(&[]), CheckVerdict::Fail, "delegated to nobody"),
            (
                Err("no answer".to_owned()),
                CheckVerdict::Warn,
                "gives no answer: no answer",
            ),
        ] {
            let check = delegated("ddn.example", found, &own);
            assert!(check.verdict == verdict && check.text.contains(word), "{check:?}");
        }
    }
}
