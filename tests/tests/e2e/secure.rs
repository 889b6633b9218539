//! A site over TLS: HTTP/1.1 and HTTP/2 as `curl` gets it, HTTP/3 as a browser does, where a plain request is sent to, what
//! the DNS says of it, and what an operator is told of a certificate that cannot be used.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use hickory_proto::rr::RecordType;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use testkit::{Chromium, Launch, Node, Running, Transport, ddn_binary, tree};

use crate::publish;

/// A node that cannot start says so within this time.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(30);

/// A certificate for the hosts of `alice.ddn`, which is its own authority, in `chain.pem` and `key.pem`. Returns the SHA-256
/// of its key's SubjectPublicKeyInfo in base64, by which a browser can be told to believe it.
fn certificate(folder: &Path) -> Result<String> {
    let key = KeyPair::generate()?;
    let hosts = ["alice.ddn", "alice.ddn.localhost"].map(str::to_owned);
    let certificate = CertificateParams::new(hosts)?.self_signed(&key)?;
    fs::write(folder.join("chain.pem"), certificate.pem())?;
    fs::write(folder.join("key.pem"), key.serialize_pem())?;
    Ok(BASE64.encode(&Sha256::digest(key.subject_public_key_info())))
}

fn arguments(folder: &Path, key: &str) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    let certificates = format!("gateway.certificates={}:{}", at("chain.pem"), at(key));
    let settings = [
        "gateway.tls_listen=127.0.0.1:0",
        "gateway.tls_redirect=all",
        &certificates,
    ];
    let settings = settings
        .iter()
        .flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]);
    ["--dev".to_owned()].into_iter().chain(settings).collect()
}

/// A node that serves `alice.ddn` over TLS, the folder with its certificate and the site, and the hash of the key.
fn encrypted() -> Result<(Node, TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let key = certificate(folder.path())?;
    let node = Node::launch(Launch {
        args: arguments(folder.path(), "key.pem"),
        ..Launch::default()
    })?;
    tree::site(&folder.path().join("site"))?;
    publish(&node, &folder.path().join("site"), "alice.ddn")?;
    Ok((node, folder, key))
}

/// `curl` with these arguments, and what it printed.
fn curl(arguments: &[&str]) -> Result<String> {
    let ran = Command::new("curl")
        .args(["-sS", "--max-time", "20"])
        .args(arguments)
        .output();
    let ran = ran.context("curl cannot be run")?;
    let complaint = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "curl {arguments:?}: {complaint}");
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

#[test]
fn a_site_over_tls() -> Result<()> {
    let (node, folder, _) = encrypted()?;

    // Where the encrypted listener is, a plain request is told.
    let plain = node.listener("gateway")?;
    let resolve = format!("alice.ddn.localhost:{}:127.0.0.1", plain.port());
    let url = format!("http://alice.ddn.localhost:{}/", plain.port());
    let sent = ["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"];
    let told = curl(&[&sent[..], &["--resolve", &resolve, &url]].concat())?;
    let url = told
        .strip_prefix("308 ")
        .with_context(|| format!("no redirect: {told}"))?;
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap_or_default();
    ensure!(url == format!("https://alice.ddn.localhost:{port}/"), "{url}");

    let chain = folder.path().join("chain.pem").display().to_string();
    let resolve = format!("alice.ddn.localhost:{port}:127.0.0.1");
    let index = fs::read_to_string(folder.path().join("site/index.html"))?;
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let common = [flag, "--cacert", &chain, "--resolve", &resolve];
        let page = curl(&[&common[..], &[url]].concat())?;
        ensure!(page == index, "{flag}: {page}");
        let written = [
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code} %header{alt-svc}",
            url,
        ];
        let written = curl(&[&common[..], &written].concat())?;
        ensure!(
            written == format!("{version} 200 h3=\":{port}\"; ma=86400"),
            "{flag}: {written}"
        );
    }
    // Plain connections speak HTTP/2 too, with those who know it.
    let url = format!("http://127.0.0.1:{}/", plain.port());
    let written = [
        "--http2-prior-knowledge",
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{http_code}",
        &url,
    ];
    ensure!(curl(&written)? == "2 200", "prior knowledge");

    let answer = node.dns()?.ask(Transport::Udp, "alice.ddn", RecordType::HTTPS)?;
    let record = answer
        .answers
        .first()
        .context("no HTTPS record")?
        .data
        .to_string();
    ensure!(record.contains("h3") && record.contains(port), "{record}");
    Ok(())
}

#[test]
fn a_browser_reads_a_site_over_http3() -> Result<()> {
    let (node, _folder, key) = encrypted()?;
    let plain = format!("http://alice.ddn.localhost:{}/", node.listener("gateway")?.port());
    let url = curl(&["-o", "/dev/null", "-w", "%{redirect_url}", &plain])?;
    let origin = url.trim_start_matches("https://").trim_end_matches('/');
    let believe = format!("--ignore-certificate-errors-spki-list={key}");
    let force = format!("--origin-to-force-quic-on={origin}");
    // Else it tries ::1 first, and with QUIC no other address.
    let resolve = "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND";
    let Some(mut chromium) = Chromium::start_with(&[&believe, &force, resolve])? else {
        return Ok(());
    };
    let page = chromium.open(&url)?;
    ensure!(page.requests().len() >= 4, "{:?}", page.requests());
    for response in page.responses() {
        let seen = (&response["protocol"], &response["status"]);
        ensure!(
            response["protocol"] == "h3" && response["status"] == 200,
            "{seen:?}"
        );
    }
    ensure!(page.complaints().is_empty(), "{:?}", page.complaints());
    Ok(())
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    let theirs = KeyPair::generate()?.serialize_pem();
    fs::write(folder.path().join("theirs.pem"), theirs)?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    for (key, text) in [
        (
            "theirs.pem",
            format!(
                "the key in {} does not belong to the certificate in {}; name the one that it was made with",
                at("theirs.pem"),
                at("chain.pem")
            ),
        ),
        (
            "missing.pem",
            format!(
                "cannot read {}: there is no such file; write CHAIN.pem:KEY.pem, or one file that holds both",
                at("missing.pem")
            ),
        ),
    ] {
        let mut command = Command::new(ddn_binary()?);
        command
            .arg("up")
            .args(arguments(folder.path(), key))
            .arg("--data")
            .arg(folder.path().join("data"));
        let line = Running::start(command)?
            .finish(REFUSAL_DEADLINE)?
            .failed(1, &[&text])?;
        ensure!(line.ends_with(&format!("gateway.certificates: {text}")), "{line}");
    }
    Ok(())
}
