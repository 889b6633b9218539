//! Every setting: its type, its default and its help, in one list. The help is the documentation.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::value::{Loopback, Setting, Whole};

/// One setting, for code that treats them all alike.
pub(super) struct Key {
    /// `SECTION.KEY`.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    pub get: fn(&Settings) -> toml::Value,
    pub set: fn(&mut Settings, &toml::Value) -> Result<(), String>,
}

impl Key {
    /// The part of the name before the dot.
    pub fn section(&self) -> &'static str {
        self.name
            .split_once('.')
            .map_or(self.name, |(section, _)| section)
    }
}

/// Makes [`Settings`] with a struct for each section, and [`KEYS`].
macro_rules! settings {
    ($($(#[doc = $about:literal])+ $section:ident: $Section:ident {
        $($(#[doc = $help:literal])+ $key:ident: $Type:ty = $default:expr;)+
    })+) => {
        /// All settings of a node.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Settings {
            $($(#[doc = $about])+ pub $section: $Section,)+
        }
        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section {
                $($(#[doc = $help])+ pub $key: $Type,)+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// Every setting, in the order in which it is shown.
        pub(super) const KEYS: &[Key] = &[$($(
            Key {
                name: concat!(stringify!($section), ".", stringify!($key)),
                help: concat!($($help),+),
                get: |settings| settings.$section.$key.show(),
                set: |settings, value| {
                    settings.$section.$key = Setting::read(value)?;
                    Ok(())
                },
            },
        )+)+];
    };
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

settings! {
    /// The node as a whole.
    node: NodeSettings {
        /// Draw coins at the start if the default wallet has none and the chain has a faucet.
        faucet: bool = true;
        /// Seconds that a stopping node gives to requests, uploads and downloads in hand.
        stop_after_s: Whole<1, 3600> = Whole::new(10);
        /// Publishes at once, uploads and those that wait for blocks; more are answered `busy`. Each upload holds a
        /// thread and a few MiB, each waiting one a small file.
        publishes_max: Whole<1, 1024> = Whole::new(32);
    }
    /// The HTTP gateway: the public face.
    gateway: GatewaySettings {
        /// Where the gateway listens, `IP:PORT`; port 0 takes a free one.
        listen: SocketAddr = loopback(8080);
        /// The gateway's own host names. On them content has paths (`/ipfs/…`, `/ipns/…`), below them are sites.
        hosts: Vec<String> = vec!["localhost".to_owned()];
        /// Connections at once; each costs about 20 KiB and a file descriptor. More are answered 503 and closed.
        connections_max: Whole<1, 1_000_000> = Whole::new(4096);
        /// Requests at once, slow downloads included; each holds up to three blocks of 1 MiB. More are answered 503.
        requests_max: Whole<1, 1_000_000> = Whole::new(1024);
        /// CAR downloads at once; each occupies a thread for as long as the client reads. More are answered 503.
        cars_max: Whole<1, 448> = Whole::new(64);
        /// Rows of a generated listing of a folder; entries beyond are reached by their names.
        listing_entries_max: Whole<1, 1_000_000> = Whole::new(10_000);
        /// Bytes of a request's head, at least 8192; longer ones are answered 431.
        head_bytes_max: Whole<8192, 1_048_576> = Whole::new(32 << 10);
        /// Seconds that a client may take for the head of a request, or lie idle before the next one.
        head_timeout_s: Whole<1, 3600> = Whole::new(30);
        /// Seconds without a byte taken after which a download is cut.
        stall_timeout_s: Whole<1, 3600> = Whole::new(60);
    }
    /// The DNS server.
    dns: DnsSettings {
        /// Where the DNS server listens, over UDP and TCP, `IP:PORT`; port 0 takes one that is free for both.
        listen: SocketAddr = loopback(5300);
        /// Addresses that names with content are answered with: those of the gateways.
        edges: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        /// Host names of the name servers of the zones; the first is the primary.
        name_servers: Vec<String> = vec!["localhost".to_owned()];
        /// Addresses of these name servers, for names inside the zones.
        name_server_addresses: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        /// Domains of the public DNS under which the chain's names are served too, such as `ddn.example`.
        alias_zones: Vec<String> = Vec::new();
        /// Seconds that answers may be kept, if a name says nothing else. A change is seen everywhere within it.
        ttl_s: Whole<0, 86_400> = Whole::new(20);
        /// TCP connections at once; each holds up to two messages of 64 KiB.
        tcp_connections_max: Whole<1, 100_000> = Whole::new(256);
        /// TCP connections at once from one address, so that nobody takes all.
        tcp_connections_per_source_max: Whole<1, 100_000> = Whole::new(32);
        /// Seconds without a whole question after which a TCP connection is closed (RFC 7766, 6.2.3).
        tcp_idle_s: Whole<1, 3600> = Whole::new(10);
    }
    /// The consensus engine.
    engine: EngineSettings {
        /// Where the engine listens for other delegates (TCP), `IP:PORT`; port 0 takes a free one.
        listen: SocketAddr = loopback(4103);
    }
    /// The chain, as this node keeps it. The rules of the chain are in its genesis.
    chain: ChainSettings {
        /// Transactions that may wait for a block; each is checked anew after each block.
        mempool_txs_max: Whole<1, 1_000_000> = Whole::new(4096);
        /// Bytes of the transactions that may wait; the default is four full blocks.
        mempool_bytes_max: Whole<65_536, 1_073_741_824> = Whole::new(8 << 20);
        /// Refused transactions of which the reason is remembered.
        refusals_max: Whole<1, 1_000_000> = Whole::new(4096);
        /// Seconds without a block after which the engine counts as dead and the node ends; at least ten block times.
        silent_after_s: Whole<5, 86_400> = Whole::new(60);
        /// Certificates in a row without this delegate's signature after which the node ends, to be started again.
        mute_after: Whole<3, 100_000> = Whole::new(30);
    }
    /// The admin API.
    admin: AdminSettings {
        /// Where the admin API listens, an address of this machine only; port 0 takes a free one.
        listen: Loopback = Loopback::new(4100);
        /// Bytes of a request's body that is no upload: the largest is a full set of records.
        body_bytes_max: Whole<16_384, 67_108_864> = Whole::new(1 << 20);
        /// Seconds without a byte of an upload after which it counts as broken.
        upload_timeout_s: Whole<1, 86_400> = Whole::new(120);
    }
}
