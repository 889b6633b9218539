//! `CONNECT`: a browser that takes this gateway for its proxy asks for a connection to a host. If the host is this gateway,
//! the connection that there is goes on as one to that host, and carries plain HTTP. It leads nowhere else.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::Request;
use hyper::upgrade::{OnUpgrade, Upgraded};

/// Where a request for a tunnel leaves the promise of its connection.
#[derive(Clone, Default)]
pub(super) struct Tunnel(Arc<Mutex<Option<OnUpgrade>>>);

impl Tunnel {
    /// Keeps the promise of the connection that `request` came by. It is fulfilled if the request is granted.
    pub(super) fn ask<B>(&self, request: &mut Request<B>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(request));
    }

    /// The request is refused: the connection stays what it is.
    pub(super) fn refuse(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The connection of which the last request was granted, once nothing else is done with it.
    pub(super) async fn opened(&self) -> Option<Upgraded> {
        let promised = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        promised?.await.ok()
    }
}
