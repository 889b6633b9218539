//! The HTTP client with which the command line talks to the node.

/// A client for loopback. No proxy of the environment may come between us and it.
///
/// The data plane's build of the HTTP library includes TLS and leaves the choice of the cryptography to the program. We
/// never use it here, but a client is not built without: it is the data plane's own choice.
pub fn client() -> reqwest::ClientBuilder {
    // An error means that it was chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}
