//! What each part is told, from the settings.

use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;

use gateway::{CertificateFiles, Certificates, Gateway};
use ledger::{Address, CreditTerms, Genesis, PublicKey, SecretKey};
use named::dap::Tlds;
use named::dns::{Challenges, Forward, NameServer, RateLimit, ZoneKey};
use named::mesh::{self, Web};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};
use storage::ddp;

use super::error::Error;
use super::folder::{self, Folder};
use super::joins::Webs;
use super::places::Places;
use super::presence;
use super::secrets;
use crate::config::Settings;

/// Others read no more domains from a card.
const DOMAINS_MAX: usize = 32;

/// The chain.
pub fn chain(data: &Path, settings: &Settings, has_peers: bool) -> chain::Config {
    chain::Config {
        dir: data.to_owned(),
        has_peers,
        engine_listen: settings.engine.listen,
        mempool_max_txs: settings.chain.mempool_txs_max.size(),
        mempool_max_bytes: settings.chain.mempool_bytes_max.size(),
        refusals_kept: settings.chain.refusals_max.size(),
        silent_after: settings.chain.silent_after_s.seconds(),
        mute_after: u32::try_from(settings.chain.mute_after.get()).unwrap_or(u32::MAX),
    }
}

/// The DNS server, for the zones of `tlds`, whose keys are made if they are not there yet.
///
/// # Errors
/// A bad zone name, or a key that cannot be read or made.
pub fn dns(settings: &Settings, folder: &Folder, tlds: &Tlds) -> Result<named::dns::Config, Error> {
    let mut config = unsigned_dns(settings);
    let keys = match settings.dns.key_folder.as_str() {
        "" => folder.zone_keys(),
        path => folder.dir().join(path),
    };
    for zone in config.signed_zones(tlds)? {
        let key = secrets::read_or_make_zone_key(&keys.join(format!("{zone}.pem")))?;
        config.keys.push(ZoneKey { zone, key });
    }
    Ok(config)
}

fn unsigned_dns(settings: &Settings) -> named::dns::Config {
    let dns = &settings.dns;
    let server = |host: &String| NameServer {
        host: host.clone(),
        addresses: dns.name_server_addresses.clone(),
    };
    named::dns::Config {
        listen: dns.listen,
        name_servers: dns.name_servers.iter().map(server).collect(),
        edges: dns.edges.clone(),
        alias_zones: dns.alias_zones.clone(),
        challenge_hosts: challenge_hosts(&settings.gateway.acme_hosts),
        gateway_hosts: settings.gateway.hosts.clone(),
        keys: Vec::new(),
        signatures_kept: dns.signatures_max.size(),
        forward: Forward {
            servers: dns.forward.clone(),
            clients: dns.forward_clients.clone(),
            in_flight: dns.forwards_max.size(),
            patience: dns.forward_timeout_s.seconds(),
        },
        ttl: u32::try_from(dns.ttl_s.get()).unwrap_or(u32::MAX),
        tcp_connections: dns.tcp_connections_max.size(),
        tcp_connections_per_source: dns.tcp_connections_per_source_max.size(),
        tcp_in_flight: dns.tcp_in_flight_max.size(),
        tcp_idle: dns.tcp_idle_s.seconds(),
        threads: dns.threads.size(),
        compose_threads: dns.compose_threads.size(),
        compose_waiting: dns.compose_waiting_max.size(),
        memory_bytes: dns.memory_mib.size() << 20,
        rate: RateLimit {
            per_second: dns.responses_per_s.get(),
            slip: small(dns.slip.get()),
            uncounted: dns.uncounted.clone(),
        },
    }
}

/// Asking the public DNS, unless it is not to be asked.
pub fn dnslink(settings: &Settings) -> Option<named::dnslink::Config> {
    let set = &settings.gateway;
    set.dnslink.then(|| named::dnslink::Config {
        servers: set.dnslink_servers.clone(),
        alias_zones: settings.dns.alias_zones.clone(),
        lookups_max: set.dnslink_lookups_max.size(),
        known_max: set.dnslink_known_max.size(),
        ..named::dnslink::Config::default()
    })
}

/// The gateway.
///
/// # Errors
/// If a file that the settings name cannot be read.
pub fn gateway(
    settings: &Settings,
    data: &Path,
    node_id: &PublicKey,
    genesis: &Genesis,
    tls: Option<gateway::Tls>,
) -> Result<gateway::Config, Error> {
    let set = &settings.gateway;
    Ok(gateway::Config {
        listen: set.listen,
        hosts: set.hosts.clone(),
        alias_zones: settings.dns.alias_zones.clone(),
        dnslinks: set
            .dnslinks
            .iter()
            .map(|link| (link.domain.clone(), link.path.clone()))
            .collect(),
        workers: set.workers.size(),
        memory_bytes: set.memory_mib.get() << 20,
        provider: provider(settings),
        tls,
        limits: gateway::Limits {
            connections_max: set.connections_max.size(),
            connections_per_prefix_max: set.connections_per_prefix_max.size(),
            connection_requests_max: set.connection_requests_max.size(),
            requests_max: set.requests_max.size(),
            streams_max: set.streams_max.size(),
            listings_max: set.listings_max.size(),
            fetches_max: set.fetches_max.size(),
            cars_max: set.cars_max.size(),
            absent_ttl: set.absent_ttl_s.seconds(),
            fills_max: set.fills_max.size(),
            compressions_max: set.compressions_max.size(),
            hops_max: set.hops_max.size(),
            listing_entries_max: set.listing_entries_max.size(),
            head_bytes_max: set.head_bytes_max.size(),
            head_timeout: set.head_timeout_s.seconds(),
            first_byte_timeout: set.first_byte_timeout_s.seconds(),
            silence_timeout: set.silence_timeout_s.seconds(),
            request_timeout: set.request_timeout_s.seconds(),
            stall_timeout: set.stall_timeout_s.seconds(),
            drain_timeout: settings.node.stop_after_s.seconds(),
        },
        guarding: gateway::Guarding {
            requests_per_s: set.requests_per_s.get(),
            requests_burst: set.requests_burst.get(),
            requests_in_flight: small(set.client_requests_max.get()),
            streams_in_flight: small(set.client_streams_max.get()),
            fetches_in_flight: small(set.client_fetches_max.get()),
            works_in_flight: small(set.client_works_max.get()),
            uncounted: set.uncounted.clone(),
            proxies: set.trusted_proxies.clone(),
        },
        sends_on: set.nearest_redirect,
        denylists: set.denylists.iter().map(|path| data.join(path)).collect(),
        access_log: (!set.access_log.is_empty()).then(|| gateway::AccessLog {
            path: data.join(&set.access_log),
            style: set.access_log_style.get(),
        }),
        origins: gateway::OriginLimits {
            allow: set.origin_allow.clone(),
            roots: authorities(&set.origin_ca, data)?,
            cache_bytes_max: set.origin_cache_mib.size() << 20,
            answer_bytes_max: set.origin_answer_kib.get() << 10,
            requests_max: set.origin_requests_max.size(),
            patience: set.origin_timeout_s.seconds(),
        },
        card: gateway::Card {
            node_id: Some(node_id.to_string()),
            chain_id: Some(genesis.chain_id.clone()),
            domains: domains(settings),
            ..gateway::Card::default()
        },
    })
}

/// The certificates of a PEM file, in the data folder if its path is relative; none if no file is named.
fn authorities(path: &str, data: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let path = data.join(path);
    let unfit = |error: pem::Error| {
        Error::content(
            &path,
            format!("(gateway.origin_ca) is no PEM file of certificates: {error}"),
        )
    };
    let found = CertificateDer::pem_file_iter(&path).map_err(unfit)?;
    found.collect::<Result<_, _>>().map_err(unfit)
}

/// What certificates of others are judged by: the authorities of the system, and those of `gateway.origin_ca`.
pub fn verifier(settings: &Settings, data: &Path) -> Option<Arc<rustls::ClientConfig>> {
    let roots = authorities(&settings.gateway.origin_ca, data).unwrap_or_default();
    gateway::verifying(roots)
        .inspect_err(|error| tracing::warn!(%error, "no certificate of an edge can be judged: install those of the usual authorities"))
        .ok()
}

/// The face for other nodes.
fn provider(settings: &Settings) -> gateway::ProviderFace {
    let set = &settings.provider;
    gateway::ProviderFace {
        listen: set.listen,
        hosts: set.hosts.clone(),
        allowance: gateway::Allowance {
            bytes_per_s: set.mib_per_s.get() << 20,
            burst_bytes: set.burst_mib.get() << 20,
        },
    }
}

/// Where others reach the HTTP servers: as configured, else under their names, else where they listen.
pub fn webs(settings: &Settings, gateway: &Gateway, mesh: &[String]) -> Webs {
    let listening = |local| {
        let addresses = presence::reached_at(local, mesh).into_iter();
        addresses.filter_map(|address| Web::plain(address.ip(), address.port()))
    };
    let set = &settings.provider;
    let external = &settings.gateway.external;
    let named = set.hosts.iter().filter_map(|host| Web::secure(host));
    let provider = match set.external.is_empty() {
        true => named
            .chain(gateway.provider_addr().into_iter().flat_map(listening))
            .collect(),
        false => set.external.clone(),
    };
    Webs {
        gateway: external
            .clone()
            .or_else(|| listening(gateway.local_addr()).next()),
        port: match external {
            Some(web) if !web.is_secure() => web.port(),
            _ => gateway.local_addr().port(),
        },
        tls_port: match external {
            Some(web) if web.is_secure() => NonZeroU16::new(web.port()),
            _ => gateway
                .tls_addr()
                .and_then(|address| NonZeroU16::new(address.port())),
        },
        provider,
    }
}

/// How far readers are from this edge.
pub fn places(settings: &Settings, key: &SecretKey) -> Places {
    let most = settings.gateway.reader_places_max.size();
    Places::new(*key.public().as_bytes(), most)
}

/// The domains whose hosts this node serves beside those of its chain, as its card says: as many as others read.
pub fn domains(settings: &Settings) -> Vec<String> {
    let all = settings.gateway.hosts.iter().chain(&settings.dns.alias_zones);
    let plain = all.map(|domain| domain.trim_matches('.').to_ascii_lowercase());
    let mut domains: Vec<String> = plain.filter(|domain| !domain.is_empty()).collect();
    domains.dedup();
    domains.truncate(DOMAINS_MAX);
    domains
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The certificates of the encrypted listener, if there is one.
///
/// # Errors
/// Settings that do not fit together, and files that cannot be used.
pub fn certificates(settings: &Settings) -> Result<Option<Certificates>, Error> {
    let set = &settings.gateway;
    let wrong = |setting, reason: &str| {
        let reason = reason.to_owned();
        Err(Error::Setting { setting, reason })
    };
    if settings.dns.tls_listen.is_some() && set.tls_listen.is_none() {
        return wrong(
            "dns.tls_listen",
            "there is no certificate to use: it takes those of the gateway, so set gateway.tls_listen too",
        );
    }
    let has_files = !set.certificates.is_empty();
    let has_hosts = !set.acme_hosts.is_empty();
    if set.tls_listen.is_none() {
        let unused = if has_files {
            "gateway.certificates"
        } else {
            "gateway.acme_hosts"
        };
        return match has_files || has_hosts {
            true => wrong(
                unused,
                "is set, but gateway.tls_listen says nowhere to use it; set that to IP:PORT",
            ),
            false => Ok(None),
        };
    }
    if !has_files && !has_hosts {
        return wrong(
            "gateway.tls_listen",
            "there is no certificate to use; name files in gateway.certificates, or hosts in gateway.acme_hosts",
        );
    }
    if has_hosts && !set.acme_agree {
        return wrong(
            "gateway.acme_hosts",
            "read the terms of the authority, and set gateway.acme_agree to true if you agree",
        );
    }
    if has_hosts && !set.acme_directory.starts_with("https://") {
        return wrong(
            "gateway.acme_directory",
            "give an address that begins with https://",
        );
    }
    let files = set
        .certificates
        .iter()
        .map(|files| CertificateFiles::parse(files));
    Ok(Some(Certificates::open(files.collect())?))
}

/// The encrypted listener, with `certificates` for it.
pub fn tls(
    settings: &Settings,
    folder: &Folder,
    certificates: &Certificates,
    challenges: Challenges,
) -> Option<gateway::Tls> {
    let set = &settings.gateway;
    let acme = gateway::Acme {
        directory: set.acme_directory.clone(),
        hosts: set.acme_hosts.clone(),
        contacts: set.acme_contacts.clone(),
        root: Some(&set.acme_root)
            .filter(|path| !path.is_empty())
            .map(Into::into),
        folder: folder.acme(),
        challenges,
    };
    Some(gateway::Tls {
        acme: Some(acme).filter(|acme| !acme.hosts.is_empty()),
        http3: set.http3,
        redirect: set.tls_redirect,
        ..gateway::Tls::new(set.tls_listen?, certificates.clone())
    })
}

/// A wildcard is proven at the name that it is below.
fn challenge_hosts(hosts: &[String]) -> Vec<String> {
    let bare = hosts.iter().map(|host| host.strip_prefix("*.").unwrap_or(host));
    bare.map(str::to_owned).collect()
}

/// The mesh.
///
/// # Errors
/// If the key of the private network cannot be had.
pub fn mesh(
    settings: &Settings,
    folder: &Folder,
    key: &SecretKey,
    genesis: &Genesis,
) -> Result<mesh::Config, Error> {
    let set = &settings.mesh;
    Ok(mesh::Config {
        seed: key.seed(),
        chain_id: genesis.chain_id.clone(),
        genesis: genesis.cid(),
        listen: set.listen,
        external: set.external.clone(),
        join: set.join.clone(),
        seeds: set.seeds.clone(),
        seed_servers: set.seed_servers.clone(),
        network_key: network_key(&set.psk_file, folder)?,
        peers_file: folder.peers(),
        providers_file: folder.providers(),
        limits: mesh::Limits {
            incoming_max: u32::try_from(set.connections_max.get()).unwrap_or(u32::MAX),
            memory_bytes_max: set.memory_mib_max.get() << 20,
            ..mesh::Limits::default()
        },
    })
}

/// The key in a file; none if no file is named. A file that is not there is an error: an open network is not what its
/// operator meant.
fn network_key(file: &str, folder: &Folder) -> Result<Option<mesh::NetworkKey>, Error> {
    if file.is_empty() {
        return Ok(None);
    }
    let path = folder.dir().join(file);
    let unfit = |reason: String| Error::content(&path, format!("(mesh.psk_file) {reason}"));
    let text = folder::read(&path, mesh::NETWORK_KEY_BYTES_MAX)?;
    let text =
        text.ok_or_else(|| unfit("is not there; copy it from another node of the network".to_owned()))?;
    let key = String::from_utf8_lossy(&text).parse();
    key.map(Some)
        .map_err(|error: mesh::NoNetworkKey| unfit(error.to_string()))
}

/// Requests that this node says it serves at once, unless the ledger says otherwise.
pub fn capacity(settings: &Settings) -> u32 {
    u32::try_from(settings.delivery.capacity.get()).unwrap_or(u32::MAX)
}

/// Delivery. `payee` is the address that it is paid to.
pub fn delivery(settings: &Settings, key: &SecretKey, genesis: &Genesis, payee: Address) -> ddp::Config {
    let set = &settings.delivery;
    ddp::Config {
        congestion: set.congestion,
        price: set.price.get(),
        price_max: set.price_max.get(),
        budget: ddp::Budget {
            all: set.budget_day.get(),
            payee: set.budget_day_payee.get(),
            name: set.budget_day_name.get(),
        },
        credit: CreditTerms {
            window_max: set.window_max.get(),
            float: set.float.get(),
            ..CreditTerms::default()
        },
        timeout: set.timeout_s.seconds(),
        silence: set.silence_s.seconds(),
        sessions_max: set.sessions_max.size(),
        rate_max: set.rate_max.get(),
        month_max: set.month_gib_max.get() << 30,
        relay: settings.relay.listen.map(|listen| ddp::RelayConfig {
            listen,
            price: settings.relay.price.get(),
            nodes_max: settings.relay.nodes_max.size(),
        }),
        relay_price_max: set.relay_price_max.get(),
        ..ddp::Config::new(key.clone(), &genesis.chain_id, set.listen, payee)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_encryption_fit_together() {
        let listen = "127.0.0.1:0".parse().ok();
        let hosts = vec!["*.ddn.example".to_owned()];
        for (change, error) in [
            (
                Box::new(|set: &mut Settings| set.gateway.certificates = vec!["a.pem".into()])
                    as Box<dyn Fn(&mut Settings)>,
                "gateway.certificates: is set, but gateway.tls_listen says nowhere to use it; set that to IP:PORT",
            ),
            (
                Box::new(|set| set.gateway.acme_hosts = hosts.clone()),
                "gateway.acme_hosts: is set, but gateway.tls_listen says nowhere to use it; set that to IP:PORT",
            ),
            (
                Box::new(|set| set.dns.tls_listen = listen),
                "dns.tls_listen: there is no certificate to use: it takes those of the gateway, so set \
                 gateway.tls_listen too",
            ),
            (
                Box::new(|set| set.gateway.tls_listen = listen),
                "gateway.tls_listen: there is no certificate to use; name files in gateway.certificates, \
                 or hosts in gateway.acme_hosts",
            ),
            (
                Box::new(|set| (set.gateway.tls_listen, set.gateway.acme_hosts) = (listen, hosts.clone())),
                "gateway.acme_hosts: read the terms of the authority, and set gateway.acme_agree to true if you agree",
            ),
            (
                Box::new(|set| {
                    (set.gateway.tls_listen, set.gateway.acme_hosts) = (listen, hosts.clone());
                    (set.gateway.acme_agree, set.gateway.acme_directory) = (true, "http://a.example".into());
                }),
                "gateway.acme_directory: give an address that begins with https://",
            ),
            (
                Box::new(|set| {
                    (set.gateway.tls_listen, set.gateway.certificates) =
                        (listen, vec!["/nowhere/a.pem".into()]);
                }),
                "gateway.certificates: cannot read /nowhere/a.pem: there is no such file; write CHAIN.pem:KEY.pem, \
                 or one file that holds both",
            ),
        ] {
            let mut settings = Settings::default();
            change(&mut settings);
            let refused = certificates(&settings).expect_err(error);
            assert_eq!(refused.to_string(), error);
        }
        assert!(
            certificates(&Settings::default())
                .expect("the defaults fit")
                .is_none()
        );
        assert_eq!(challenge_hosts(&hosts), ["ddn.example"]);
    }

    #[test]
    fn the_key_of_a_private_network_is_read_or_its_lack_is_said() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::take(&home.path().join("data")).expect("a data folder");
        let path = folder.dir().join("psk");
        assert!(network_key("", &folder).expect("an open network").is_none());
        let unfit = |what: &str| {
            let refused = network_key("psk", &folder).expect_err(what).to_string();
            refused
                .strip_prefix(&format!("{}: (mesh.psk_file) ", path.display()))
                .map(str::to_owned)
        };
        assert_eq!(
            unfit("no file").as_deref(),
            Some("is not there; copy it from another node of the network")
        );
        std::fs::write(&path, "secret").expect("a file");
        assert!(
            unfit("no key")
                .is_some_and(|text| text.starts_with("is no key of a private network: write three lines"))
        );
        let digits = "0f".repeat(32);
        std::fs::write(&path, format!("/key/swarm/psk/1.0.0/\n/base16/\n{digits}\n")).expect("a file");
        assert!(network_key("psk", &folder).expect("a key").is_some());
    }
}
