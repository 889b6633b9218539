//! The encrypted listener: one port, HTTP/1.1 and HTTP/2 over TCP, HTTP/3 over UDP.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use quinn::Endpoint;
use tokio::time::{MissedTickBehavior, interval};

use super::Error;
use super::accept::{Acceptor, House};
use super::connection::Limited;
use super::http3;
use super::listen::listeners;
use super::upgrade::Upgrade;
use super::workers::Workers;
use crate::acme;
use crate::config::Tls;
use crate::tls::{Agreements, LOOK_EVERY};

const SETTING: &str = "gateway.tls_listen";

/// A port that is free for TCP may be taken for UDP; with port 0 another one is tried, this often.
const FREE_PORT_ATTEMPTS: usize = 32;

/// The encrypted listener, before it takes connections.
pub(super) struct Secure {
    /// Where it listens.
    pub address: SocketAddr,
    settings: Tls,
    agreements: Agreements,
    listeners: Vec<TcpListener>,
    endpoint: Option<Endpoint>,
}

impl Secure {
    /// One that has a listener for each of `workers`.
    pub(super) fn bind(settings: &Tls, limits: &Limited, workers: usize) -> Result<Self, Error> {
        if let Some(acme) = &settings.acme {
            acme::recall(acme, &settings.certificates);
        }
        let agreements = Agreements::new(&settings.certificates)?;
        let (listeners, address, socket) = bind_both(settings, workers)?;
        let endpoint = socket.map(|socket| http3::endpoint(socket, Arc::clone(&agreements.quic), limits));
        let endpoint = endpoint
            .transpose()
            .map_err(failed(SETTING, "HTTP/3 (UDP)", address))?;
        Ok(Self {
            address,
            settings: settings.clone(),
            agreements,
            listeners,
            endpoint,
        })
    }

    /// What plain and encrypted answers say of it.
    pub(super) fn upgrade(&self) -> Upgrade {
        let Tls {
            certificates,
            redirect,
            ..
        } = &self.settings;
        let port = self.address.port();
        Upgrade::new(certificates.clone(), *redirect, port, self.endpoint.is_some())
    }

    /// Takes connections until the house stops: those of TCP on the workers, those of QUIC on this runtime.
    pub(super) fn start(self, house: &Arc<House>, workers: &Workers) -> Result<(), Error> {
        let acceptor = Acceptor {
            is_node: false,
            agreement: Some(self.agreements.tcp),
            house: Arc::clone(house),
        };
        acceptor
            .start(self.listeners, workers)
            .map_err(failed(SETTING, "HTTPS", self.address))?;
        let http3 = self.endpoint.is_some();
        if let Some(endpoint) = self.endpoint {
            let house = Arc::clone(house);
            let tasks = house.tasks.clone();
            tasks.spawn(http3::Acceptor { endpoint, house }.run());
        }
        if let Some(settings) = self.settings.acme.clone() {
            let certificates = self.settings.certificates.clone();
            let (metrics, stop) = (Arc::clone(&house.metrics), house.stop.token());
            house
                .tasks
                .spawn(acme::keep(settings, certificates, metrics, stop));
        }
        house.tasks.spawn(watch(self.settings, Arc::clone(house)));
        tracing::info!(address = %self.address, http3, "the gateway listens for encrypted connections");
        Ok(())
    }
}

/// Takes new certificates in use when their files change.
async fn watch(settings: Tls, house: Arc<House>) {
    let certificates = settings.certificates;
    house.metrics.certificates(certificates.ends());
    let (stop, mut looks) = (house.stop.token(), interval(LOOK_EVERY));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let looking = certificates.clone();
        // A panic there is in the log, and the next look may do better.
        match tokio::task::spawn_blocking(move || looking.look())
            .await
            .ok()
            .flatten()
        {
            None => {}
            Some(Ok(())) => {
                tracing::info!("the certificates have changed and are in use");
                // Plain answers for new hosts may be redirects from now on.
                house.service.forget();
                house.metrics.certificates(certificates.ends());
            }
            Some(Err(error)) => tracing::warn!("{error}; the certificates stay as they were"),
        }
    }
}

/// Both, on one port; UDP only if HTTP/3 is spoken.
fn bind_both(
    settings: &Tls,
    workers: usize,
) -> Result<(Vec<TcpListener>, SocketAddr, Option<UdpSocket>), Error> {
    let mut attempts = match settings.listen.port() {
        0 => FREE_PORT_ATTEMPTS,
        _ => 1,
    };
    loop {
        let failed_tcp = || failed(SETTING, "HTTPS", settings.listen);
        let sockets = listeners(settings.listen, workers).map_err(failed_tcp())?;
        let address = sockets[0].local_addr().map_err(failed_tcp())?;
        if !settings.http3 {
            return Ok((sockets, address, None));
        }
        attempts -= 1;
        match UdpSocket::bind(address) {
            Ok(socket) => return Ok((sockets, address, Some(socket))),
            Err(source) if attempts == 0 => return Err(failed(SETTING, "HTTP/3 (UDP)", address)(source)),
            Err(_) => {}
        }
    }
}

/// For `map_err`: an address cannot be listened on.
pub(super) fn failed(
    setting: &'static str,
    protocol: &'static str,
    address: SocketAddr,
) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Listen {
        setting,
        protocol,
        address,
        source,
    }
}
