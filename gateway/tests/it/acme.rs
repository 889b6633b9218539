//! Certificates from an authority: Pebble, the test server of the ACME protocol's makers, is one. It asks our DNS server.
//!
//! Pebble is a Go program, pinned in `tests/peers/pebble`. Where Go or the module cannot be had, the test says so and
//! shows nothing.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use gateway::{Acme, Certificates, Tls};
use named::dns::{Challenges, Config, DnsServer};
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpStream;
use x509_parser::extensions::GeneralName;

use crate::client::until;
use crate::site::{Book, Site};
use crate::wire::Identity;

/// An authority that runs until it is dropped.
struct Pebble {
    directory: String,
    identity: Identity,
    _folder: TempDir,
    process: Child,
}

impl Pebble {
    fn start(program: &Path, dns: SocketAddr) -> Self {
        let (identity, folder) = (Identity::new(&["localhost"]), TempDir::new().expect("a folder"));
        let (listen, management) = (free_port(), free_port());
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{listen}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": identity.files().chain,
            "privateKey": identity.files().key,
            "httpPort": 1,
            "tlsPort": 1,
            "externalAccountBindingRequired": false,
            "profiles": {"default": {"description": "short", "validityPeriod": 7776000}},
        }});
        let path = folder.path().join("pebble.json");
        std::fs::write(&path, config.to_string()).expect("a file");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let process = Command::new(program)
            .args([
                "-config",
                &path.display().to_string(),
                "-dnsserver",
                &dns.to_string(),
            ])
            // It would wait for up to 15 seconds before it looks.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("a program");
        Self {
            directory: format!("https://localhost:{listen}/dir"),
            identity,
            _folder: folder,
            process,
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        // It may have ended by itself, which is seen elsewhere.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The program, built once from the pinned module; why it cannot be had, else.
fn pebble() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pebble");
    let built = Command::new("go")
        .current_dir(root.join("tests/peers/pebble"))
        .args(["build", "-o", &program.display().to_string()])
        .arg("github.com/letsencrypt/pebble/v2/cmd/pebble")
        .output();
    match built {
        Err(error) => Err(format!("go cannot be run: {error}")),
        Ok(built) if built.status.success() => Ok(program),
        Ok(built) => Err(String::from_utf8_lossy(&built.stderr).trim().replace('\n', "; ")),
    }
}

async fn dns(book: &Arc<Book>) -> DnsServer {
    let config = Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        alias_zones: vec!["ddn.example".into()],
        challenge_hosts: vec!["ddn.example".into(), "gw.test".into()],
        ..Config::default()
    };
    DnsServer::bind(config, book.clone(), &mut Registry::default())
        .await
        .expect("a free port")
}

fn acme(pebble: &Pebble, folder: &Path, hosts: &[&str], challenges: Challenges) -> Acme {
    Acme {
        directory: pebble.directory.clone(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        contacts: vec!["mailto:operator@ddn.example".into()],
        root: Some(pebble.identity.files().chain),
        folder: folder.to_owned(),
        challenges,
    }
}

async fn site(acme: Acme) -> Site {
    Site::with(|config| {
        let certificates = Certificates::open(Vec::new()).expect("none is right");
        let listen = "127.0.0.1:0".parse().expect("an address");
        config.tls = Some(Tls {
            acme: Some(acme),
            ..Tls::new(listen, certificates)
        });
    })
    .await
}

/// The hosts of the certificate that a client of `host` gets.
async fn shown(site: &Site, host: &str) -> Option<Vec<String>> {
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let stream = TcpStream::connect(address).await.expect("a connection");
    let host = ServerName::try_from(host.to_owned()).expect("a host");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(crate::wire::credulous()));
    let stream = connector.connect(host, stream).await.ok()?;
    let der = stream.get_ref().1.peer_certificates()?.first()?.clone();
    Some(named_hosts(&der))
}

fn named_hosts(der: &[u8]) -> Vec<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).expect("a certificate");
    let names = certificate
        .subject_alternative_name()
        .expect("an extension")
        .expect("names");
    let hosts = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        _ => None,
    });
    let mut hosts: Vec<_> = hosts.collect();
    hosts.sort();
    hosts
}

#[tokio::test(flavor = "multi_thread")]
async fn obtained_by_dns_kept_and_used_again() {
    let program = match tokio::task::spawn_blocking(pebble).await.expect("no panic") {
        Ok(program) => program,
        Err(reason) => return eprintln!("skipped: Pebble cannot be had: {reason}"),
    };
    let book = Arc::new(Book::default());
    let dns = dns(&book).await;
    let pebble = Pebble::start(&program, dns.local_addr());
    let folder = TempDir::new().expect("a folder");
    let kept = folder.path().join("acme");
    let port: u16 = pebble
        .directory
        .split([':', '/'])
        .nth(4)
        .and_then(|port| port.parse().ok())
        .expect("a port");
    until("the authority listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
    .await;

    // A wildcard and the name itself, in a zone of ours; a host whose challenge alone is delegated to us.
    let hosts = ["ddn.example", "*.ddn.example", "gw.test"];
    let first = site(acme(&pebble, &kept, &hosts, dns.challenges())).await;
    assert_eq!(shown(&first, "ddn.example").await, None, "there is none yet");
    let obtained = "gateway_acme_attempts_total{outcome=\"obtained\"}";
    until("it is obtained", || first.metric_or_none(obtained) == Some(1.0)).await;
    let expected = vec![
        "*.ddn.example".to_owned(),
        "ddn.example".to_owned(),
        "gw.test".to_owned(),
    ];
    assert_eq!(shown(&first, "alice.ddn.example").await, Some(expected.clone()));
    for file in ["account.json", "certificate.pem"] {
        let mode = std::fs::metadata(kept.join(file))
            .expect(file)
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let account = std::fs::read(kept.join("account.json")).expect("an account");

    // The next start has it at once, and asks nobody.
    drop(first);
    let second = site(acme(&pebble, &kept, &hosts, dns.challenges())).await;
    assert_eq!(shown(&second, "gw.test").await, Some(expected.clone()));
    assert_eq!(second.metric_or_none(obtained), None);

    // A new host needs a new one, of the same account.
    drop(second);
    let more = ["ddn.example", "*.ddn.example", "new.ddn.example"];
    let third = site(acme(&pebble, &kept, &more, dns.challenges())).await;
    until("it is obtained", || third.metric_or_none(obtained) == Some(1.0)).await;
    let hosts = shown(&third, "new.ddn.example").await.expect("a certificate");
    assert!(hosts.contains(&"new.ddn.example".to_owned()), "{hosts:?}");
    assert_eq!(
        std::fs::read(kept.join("account.json")).expect("an account"),
        account
    );

    // What cannot be proven is not given, and what was there stays in use.
    drop(third);
    let wrong = ["ddn.example", "*.ddn.example", "elsewhere.test"];
    let fourth = site(acme(&pebble, &kept, &wrong, dns.challenges())).await;
    let failed = "gateway_acme_attempts_total{outcome=\"failed\"}";
    until("it is refused", || fourth.metric_or_none(failed) == Some(1.0)).await;
    assert_eq!(shown(&fourth, "new.ddn.example").await, Some(hosts));
    let pem = CertificateDer::from_pem_file(kept.join("certificate.pem")).expect("a certificate");
    assert!(named_hosts(&pem).contains(&"new.ddn.example".to_owned()));
}
