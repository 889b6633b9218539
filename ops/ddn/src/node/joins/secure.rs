//! What the DNS server may say of the gateway's encrypted listener.

use std::net::SocketAddr;

use gateway::{Certificates, Tls};
use named::dns::{Service, Services};

/// The hosts for which there is a certificate.
pub struct SecureHosts {
    certificates: Certificates,
    service: Service,
}

impl SecureHosts {
    /// Those of a listener that is at `address`.
    pub fn new(tls: Tls, address: SocketAddr) -> Self {
        Self {
            certificates: tls.certificates,
            service: Service {
                port: address.port(),
                http3: tls.http3,
            },
        }
    }
}

impl Services for SecureHosts {
    fn service(&self, host: &str) -> Option<Service> {
        self.certificates.cover(host).then_some(self.service)
    }
}
