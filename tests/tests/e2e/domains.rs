//! Whom a node names for a domain of its own: edges of strangers say that they serve it too, and show a certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use testkit::net::{Host, Link, Net};
use testkit::{Launch, Node, tree, wait_until};

use crate::publish;

/// The names of the chain are served below it too: `alice.ddn` as `alice.ddn.example`.
const ZONE: &str = "ddn.example";
const SITE: &str = "alice.ddn";
const ALIAS: &str = "alice.ddn.example";
/// All gateways have the same ports, which readers know.
const PORT: u16 = 8080;
const TLS_PORT: u16 = 8443;
/// A registration takes a block, a look from outside some seconds, and a certificate that was not good is looked at again
/// after ten; this machine may be busy.
const DEADLINE: Duration = Duration::from_secs(90);

/// An authority, whose certificate is in `authority.pem` of its folder.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Else it is called as what it signs, which curl takes to have signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("authority.pem"), issuer.pem())?;
        Ok(Self { issuer, folder })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Writes a certificate for the zone and its key into one file, in one step: nodes look at it at any time.
    fn certify(&self, file: &Path) -> Result<()> {
        let key = KeyPair::generate()?;
        let hosts = [ZONE.to_owned(), format!("*.{ZONE}")];
        let certificate = CertificateParams::new(hosts)?.signed_by(&key, &self.issuer)?;
        let draft = file.with_extension("draft");
        fs::write(&draft, certificate.pem() + &key.serialize_pem())?;
        fs::rename(draft, file).context("a certificate in its place")
    }
}

/// An edge with an operator, a host and a certificate of its own.
struct Edge {
    node: Node,
    host: Host,
    certificate: PathBuf,
    _folder: tempfile::TempDir,
}

impl Edge {
    /// An edge whose certificate is by `issuer`, and which trusts `trusted` with those of others; registered.
    fn start(net: &mut Net, mut args: Vec<String>, issuer: &Authority, trusted: &Authority) -> Result<Self> {
        let (host, folder) = (net.host(Link::delay_ms(0))?, tempfile::tempdir()?);
        let certificate = folder.path().join("certificate.pem");
        issuer.certify(&certificate)?;
        let settings = [
            format!("gateway.listen={}", host.port(PORT)),
            format!("gateway.tls_listen={}", host.port(TLS_PORT)),
            format!("gateway.certificates={}", certificate.display()),
            format!("gateway.origin_ca={}", trusted.file().display()),
            format!("dns.alias_zones={ZONE}"),
        ];
        for setting in settings {
            args.extend(["--set".to_owned(), setting]);
        }
        let node = Node::launch(Launch {
            args,
            ..host.launch()
        })?;
        node.ddn().ok(&["edge", "register"])?;
        Ok(Self {
            node,
            host,
            certificate,
            _folder: folder,
        })
    }

    /// The addresses that its DNS server answers with.
    fn names(&self, site: &str) -> Result<Vec<String>> {
        self.host.dig(self.node.listener("dns")?, "A", site)
    }

    /// Whether its DNS server sends readers of a site to another edge.
    fn leads_to(&self, other: &Self, site: &str) -> Result<bool> {
        Ok(self.names(site)?.contains(&other.host.address().to_string()))
    }

    fn waits_to_lead_to(&self, other: &Self, site: &str) -> Result<()> {
        let led = wait_until("the edge is named", DEADLINE, || self.leads_to(other, site));
        led.with_context(|| {
            let resolved = self.node.ddn().run(&["resolve", SITE]);
            let resolved = resolved.map(|ran| ran.stdout).unwrap_or_default();
            format!(
                "{} for {site}, beside {:?}\n{resolved}\n{}\n{}",
                other.host.address(),
                self.names(site),
                self.node.log_tail(),
                other.node.log_tail()
            )
        })
    }
}

#[test]
fn a_stranger_serves_a_domain_with_its_certificate_only() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let (trusted, unknown) = (Authority::new()?, Authority::new()?);
    let guide = Edge::start(&mut net, vec!["--dev".to_owned()], &trusted, &trusted)?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    publish(&guide.node, site.path(), SITE)?;

    let invitation = guide.node.invitation()?;
    let doubtful = Edge::start(&mut net, invitation.clone(), &unknown, &trusted)?;
    guide.waits_to_lead_to(&doubtful, SITE)?;
    // Each is asked once a second: when this one has proven itself, the other one had its chances.
    let stranger = Edge::start(&mut net, invitation, &trusted, &trusted)?;
    guide.waits_to_lead_to(&stranger, ALIAS)?;
    guide.waits_to_lead_to(&doubtful, SITE)?;
    ensure!(
        !guide.leads_to(&doubtful, ALIAS)?,
        "readers would be warned: {:?}",
        guide.names(ALIAS)?
    );
    reads(&guide, &stranger, &trusted)?;

    // It was the certificate, and nothing else.
    trusted.certify(&doubtful.certificate)?;
    guide.waits_to_lead_to(&doubtful, ALIAS)?;
    reads(&guide, &doubtful, &trusted)
}

/// Whoever trusts the authority reads the site of the domain there.
fn reads(reader: &Edge, edge: &Edge, trusted: &Authority) -> Result<()> {
    let address = edge.host.address();
    let resolve = format!("{ALIAS}:{TLS_PORT}:{address}");
    let url = format!("https://{ALIAS}:{TLS_PORT}/");
    let authority = trusted.file().display().to_string();
    let options = [
        "-sSf",
        "--noproxy",
        "*",
        "--max-time",
        "30",
        "--cacert",
        &authority,
    ];
    let page = reader
        .host
        .run("curl", &[&options[..], &["--resolve", &resolve, &url]].concat())?;
    ensure!(page.contains(tree::HEADING), "{page}");
    Ok(())
}
