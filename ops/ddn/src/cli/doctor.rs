//! `ddn node doctor`: what is wrong with the node, if anything, and what to do.
//!
//! The node looks at itself from inside and asks its peers; this program tries its listeners from this machine.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use super::{
    Context,
    client::{Call, Node, reachable},
    failure::{Failure, Outcome},
    screen,
};
use crate::{
    api::{
        paths,
        types::{Check, CheckVerdict, Diagnosis},
    },
    probe,
};

/// Runs it.
pub async fn run(context: &Context, node: &Node) -> Outcome {
    let inside: Diagnosis = node.call(Call::get(paths::DOCTOR, &[])).await?;
    let (mesh, delivery) = tokio::join!(
        mesh(&node.file.mesh, node.file.private),
        delivery(&node.file.delivery)
    );
    let checks: Vec<Check> = inside.checks.into_iter().chain([mesh, delivery]).collect();
    let failed = checks
        .iter()
        .filter(|check| check.verdict == CheckVerdict::Fail)
        .count() as u64;
    context.screen.show(&Diagnosis { checks }, tell)?;
    match failed {
        0 => Ok(()),
        _ => {
            let text = format!(
                "{} failed: what to do is said above",
                screen::count(failed, "check")
            );
            Err(Failure::new("unwell", text))
        }
    }
}

fn tell(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let width = diagnosis
        .checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    for Check { name, verdict, text } in &diagnosis.checks {
        let verdict = match verdict {
            CheckVerdict::Ok => "ok",
            CheckVerdict::Warn => "warn",
            CheckVerdict::Fail => "fail",
        };
        writeln!(out, "{verdict:<4}  {name:<width$}  {text}")?;
    }
    Ok(())
}

/// Whether somebody speaks libp2p where the mesh should be.
async fn mesh(addresses: &[String], is_private: bool) -> Check {
    let Some(address) = addresses.iter().find_map(|address| socket_of(address)) else {
        return Check::fail("mesh", "the node says no address of its mesh: look at its log");
    };
    match probe::mesh(address, is_private).await {
        Ok(()) => Check::ok("mesh", format!("answers at {address} (TCP)")),
        Err(error) => Check::fail("mesh", unreached(address, "TCP", &error.to_string())),
    }
}

/// Whether somebody speaks QUIC where deliveries should come from.
async fn delivery(address: &str) -> Check {
    let Some(address) = reachable(address) else {
        return Check::fail(
            "delivery",
            "the node says no address for deliveries: look at its log",
        );
    };
    match probe::delivery(address).await {
        Ok(()) => Check::ok("delivery", format!("answers at {address} (UDP)")),
        Err(error) => Check::fail("delivery", unreached(address, "UDP", &error.to_string())),
    }
}

fn unreached(address: SocketAddr, protocol: &str, reason: &str) -> String {
    format!(
        "nobody is reached at {address} over {protocol} ({reason}): look at the node's log and at the firewall"
    )
}

/// The address in `/ip4/127.0.0.1/tcp/4101/p2p/…`.
fn socket_of(multiaddr: &str) -> Option<SocketAddr> {
    let parts: Vec<&str> = multiaddr.split('/').collect();
    let (ip, port) = match parts[..] {
        ["", "ip4", ip, "tcp", port, ..] => (ip.to_owned(), port),
        ["", "ip6", ip, "tcp", port, ..] => (format!("[{ip}]"), port),
        _ => return None,
    };
    reachable(&format!("{ip}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_multiaddrs() {
        for (text, expected) in [
            ("/ip4/127.0.0.1/tcp/4101/p2p/12D3", Some("127.0.0.1:4101")),
            ("/ip6/::1/tcp/1", Some("[::1]:1")),
            ("/ip4/0.0.0.0/tcp/5", Some("127.0.0.1:5")),
            ("/dns4/a.example/tcp/1", None),
            ("/ip4/127.0.0.1/udp/1", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().expect("an address"));
            assert_eq!(socket_of(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn what_does_not_answer_fails() {
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0")
            .await
            .expect("a socket");
        let address = silent.local_addr().expect("an address");
        assert_eq!(delivery(&address.to_string()).await.verdict, CheckVerdict::Fail);
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = closed.local_addr().expect("an address").port();
        drop(closed);
        let check = mesh(&[format!("/ip4/127.0.0.1/tcp/{port}/p2p/x")], false).await;
        assert_eq!(check.verdict, CheckVerdict::Fail);
    }
}
