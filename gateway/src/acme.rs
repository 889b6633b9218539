//! Certificates from an authority that speaks ACME (RFC 8555), proven by DNS: our own DNS server answers the challenge
//! (`dns-01`), so wildcards can be had, and nothing has to be reachable by HTTP.
//!
//! One certificate names all hosts of the settings. It is renewed when a third of its time is left, or as soon as the
//! hosts change; failures are tried again after a minute, then after twice as long each time, up to six hours, which is
//! within the limits of public authorities. The account and the certificate with its key are files for their owner only.

mod folder;
mod order;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use named::dns::Challenges;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::tls::{CertificateFiles, Certificates, Pair};
use folder::Folder;

/// What to obtain, from whom.
#[derive(Clone, Debug)]
pub struct Acme {
    /// The authority's directory, an address with `https`: `gateway.acme_directory`.
    pub directory: String,
    /// The hosts, with `*.` for everything one label below: `gateway.acme_hosts`.
    pub hosts: Vec<String>,
    /// Where the authority can reach the operator, such as `mailto:a@example.org`: `gateway.acme_contacts`.
    pub contacts: Vec<String>,
    /// A certificate in PEM form that the authority's own one is signed by, if it is not a public one:
    /// `gateway.acme_root`.
    pub root: Option<PathBuf>,
    /// Where the account and the certificate are kept.
    pub folder: PathBuf,
    /// Where challenges are answered.
    pub challenges: Challenges,
}

/// What waits between two attempts: at first this long, at most this long. Also, how often the time is looked at.
const WAIT_MIN: Duration = Duration::from_secs(60);
const WAIT_MAX: Duration = Duration::from_secs(6 * 3600);
/// The most that an attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(600);

/// What is kept from the last time, in use at once if it is still good.
pub(crate) fn recall(settings: &Acme, certificates: &Certificates) {
    let kept = Folder::new(&settings.folder).certificate();
    if !kept.chain.exists() {
        return;
    }
    if let Err(error) = certificates.add(kept) {
        tracing::warn!("{error}; another one is obtained");
    }
}

/// Obtains and renews until `stop`.
pub(crate) async fn keep(
    settings: Acme,
    certificates: Certificates,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut wait = WAIT_MIN;
    loop {
        if is_due(&settings) {
            let attempt = tokio::time::timeout(ATTEMPT_MAX, renew(&settings, &certificates));
            let renewed = tokio::select! {
                () = stop.cancelled() => return,
                renewed = attempt => renewed.unwrap_or_else(|_| Err("it took too long".into())),
            };
            metrics.acme_attempt(renewed.is_ok());
            let hosts = settings.hosts.join(", ");
            match renewed {
                Ok(()) => {
                    wait = WAIT_MIN;
                    metrics.certificates(certificates.ends());
                    tracing::info!(%hosts, "a certificate was obtained and is in use");
                }
                Err(reason) => {
                    let (from, seconds) = (&settings.directory, wait.as_secs());
                    tracing::warn!(
                        "gateway.acme_hosts: no certificate for {hosts} from {from}: {reason}; the next attempt is in {seconds} s"
                    );
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(WAIT_MAX),
        }
    }
}

async fn renew(settings: &Acme, certificates: &Certificates) -> Result<(), String> {
    let folder = Folder::new(&settings.folder);
    let account = order::account(settings, &folder).await?;
    let pem = order::certificate(settings, &account).await?;
    folder.keep_certificate(&pem)?;
    certificates
        .add(folder.certificate())
        .map_err(|error| error.to_string())
}

/// Whether there is no certificate for these hosts, or one that ends soon.
fn is_due(settings: &Acme) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let files: CertificateFiles = Folder::new(&settings.folder).certificate();
    match Pair::load(&files, now) {
        Ok(pair) => !names_all(&pair.hosts, &settings.hosts) || now >= renewal(pair.begins, pair.ends),
        Err(_) => true,
    }
}

fn names_all(named: &[String], wanted: &[String]) -> bool {
    wanted
        .iter()
        .all(|host| named.contains(&host.to_ascii_lowercase()))
}

/// When a third of the time is left, as authorities ask for.
fn renewal(begins: i64, ends: i64) -> i64 {
    ends - (ends - begins) / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_with_a_third_left() {
        let day = 86_400;
        assert_eq!(renewal(0, 90 * day), 60 * day);
        assert_eq!(renewal(-6 * day, 0), -2 * day);
    }

    #[test]
    fn renewed_when_a_host_is_new() {
        let hosts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let named = hosts(&["a.example", "*.a.example"]);
        assert!(names_all(&named, &hosts(&["*.A.example"])));
        assert!(!names_all(&named, &hosts(&["a.example", "b.a.example"])));
    }
}
