//! Every setting: its type, its default and its help, in one list. The help is the documentation.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gateway::{Network, Redirect};
use named::mesh::Web;
use storage::ddp::Congestion;

use super::value::{Coins, DomainPath, LogStyle, Loopback, OtherChain, RelayUse, Setting, Whole};

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
        /// Where the gateway listens for encrypted connections, `IP:PORT`: HTTP/1.1 and HTTP/2 over TCP, HTTP/3 over UDP; port 0
        /// takes one that is free for both. Empty: nowhere. It needs `certificates`, `acme_hosts` or both.
        tls_listen: Option<SocketAddr> = None;
        /// Certificates for it, each `CHAIN.pem:KEY.pem` or one file that holds both. Clients get the one that names the host
        /// that they ask for, else the first. Files that change are taken in use within seconds.
        certificates: Vec<String> = Vec::new();
        /// Hosts for which a certificate is obtained and renewed, `*.` for everything one label below. The authority asks this
        /// node's DNS server, which has to be reachable for it: the hosts are in a zone of `dns.alias_zones` that the public
        /// DNS delegates here, or `_acme-challenge` below them is delegated here. With several name servers all but this
        /// node would be asked in vain.
        acme_hosts: Vec<String> = Vec::new();
        /// The directory of the authority (ACME).
        acme_directory: String = "https://acme-v02.api.letsencrypt.org/directory".to_owned();
        /// Where the authority can reach you, such as `mailto:you@example.org`.
        acme_contacts: Vec<String> = Vec::new();
        /// That you agree to the terms of the authority.
        acme_agree: bool = false;
        /// A certificate (PEM file) that the authority's own one is signed by, if it is not a public one.
        acme_root: String = String::new();
        /// Whether encrypted connections may be HTTP/3, and whether others are told so (`Alt-Svc`, HTTPS records).
        http3: bool = true;
        /// Which plain requests are sent to the encrypted listener, of those for hosts that a certificate names: `off` none,
        /// `on` all but those for `localhost` and names below it, `all`.
        tls_redirect: Redirect = Redirect::Off;
        /// The gateway's own host names. On them content has paths (`/ipfs/…`, `/ipns/…`), below them are sites.
        hosts: Vec<String> = vec!["localhost".to_owned()];
        /// Domains that are sites here without a DNSLink record, each with its content path: `example.org=/ipns/alice.ddn`.
        dnslinks: Vec<DomainPath> = Vec::new();
        /// Whether domains of the public DNS are sites here, by their DNSLink or by a CNAME to a name of the ledger.
        dnslink: bool = true;
        /// Name servers that are asked about domains, `IP:PORT`; empty takes those of this machine.
        dnslink_servers: Vec<SocketAddr> = Vec::new();
        /// Requests that wait for name servers at once, each with a thread; more are answered 502. Domains that are known
        /// do not wait.
        dnslink_lookups_max: Whole<1, 256> = Whole::new(64);
        /// Domains that are remembered for the time that their records say; each takes some 500 bytes.
        dnslink_known_max: Whole<16, 10_000_000> = Whole::new(16_384);
        /// Keys of which the IPNS record is kept; each takes at most 10 KiB of the disk. Of more, those that were not
        /// published for the longest are let go.
        ipns_names_max: Whole<1, 1_000_000> = Whole::new(16_384);
        /// Places (a /24, a /48) that readers come from, of which their distance is remembered for an hour; each takes
        /// some 400 bytes.
        reader_places_max: Whole<2_048, 1_048_576> = Whole::new(16_384);
        /// Where readers elsewhere reach this gateway, as `https://edge.example`, if that is not where it listens. Other nodes
        /// are told, and send readers here.
        external: Option<Web> = None;
        /// Threads that connections live on; 0 takes one per core.
        workers: Whole<0, 1024> = Whole::new(0);
        /// Memory, in MiB, for answers and blocks that are asked for often; 0 keeps none.
        memory_mib: Whole<0, 1_048_576> = Whole::new(128);
        /// Connections at once; each costs about 10 KiB and a file descriptor. More are answered 503 and closed.
        connections_max: Whole<1, 1_000_000> = Whole::new(4096);
        /// Connections at once from one network (/24, /56), so that nobody takes all; a proxy in front is one network.
        connections_per_prefix_max: Whole<1, 1_000_000> = Whole::new(1024);
        /// Requests at once on one connection of HTTP/2 or HTTP/3.
        connection_requests_max: Whole<1, 1000> = Whole::new(100);
        /// Requests at once, slow downloads included; each holds up to a block of 1 MiB. More are answered 503.
        requests_max: Whole<1, 1_000_000> = Whole::new(1024);
        /// Answers at once that are longer than a block; each holds up to three. More are answered 503.
        streams_max: Whole<1, 1_000_000> = Whole::new(256);
        /// Listings that are made at once, each with some MiB. More are answered 503.
        listings_max: Whole<1, 448> = Whole::new(16);
        /// Requests that wait for content from other nodes at once, each with a thread; of more, those that have not begun to
        /// answer are answered 503.
        fetches_max: Whole<1, 448> = Whole::new(256);
        /// CAR downloads at once; each occupies a thread for as long as the client reads. More are answered 503.
        cars_max: Whole<1, 448> = Whole::new(64);
        /// Rows of one page of a generated listing of a folder; entries beyond are on the next pages.
        listing_entries_max: Whole<1, 1_000_000> = Whole::new(2_000);
        /// Bytes of a request's head, at least 8192; longer ones are answered 431.
        head_bytes_max: Whole<8192, 1_048_576> = Whole::new(32 << 10);
        /// Seconds that a client may take for the head of a request, or lie idle before the next one.
        head_timeout_s: Whole<1, 3600> = Whole::new(30);
        /// Seconds that a request may wait for the head of its answer; then it is answered 504. More than `delivery.timeout_s`,
        /// so that a reader is told who did not give a block.
        first_byte_timeout_s: Whole<1, 3600> = Whole::new(60);
        /// Seconds that a download may wait for its next part; then it is cut.
        silence_timeout_s: Whole<1, 3600> = Whole::new(60);
        /// Seconds that a download may take in all, so that none takes its place for ever.
        request_timeout_s: Whole<1, 604_800> = Whole::new(3600);
        /// Seconds within which a client has to take 16 KiB of an answer, or all that is left; else it is cut.
        stall_timeout_s: Whole<1, 3600> = Whole::new(60);
        /// Requests a second that one client may make on average, 0 for any number; a client is an IPv4 address or an IPv6
        /// /56. More are answered 429. A page has some hundred parts.
        requests_per_s: Whole<0, 1_000_000> = Whole::new(500);
        /// Requests that one client may make at once before the average counts.
        requests_burst: Whole<1, 10_000_000> = Whole::new(5000);
        /// Requests of one client at once, so that nobody takes all of `requests_max`. More are answered 429.
        client_requests_max: Whole<1, 1_000_000> = Whole::new(256);
        /// Answers to one client at once that are longer than a block, so that nobody takes all of `streams_max`.
        client_streams_max: Whole<1, 1_000_000> = Whole::new(64);
        /// Requests of one client that wait for other nodes at once, so that nobody takes all of `fetches_max`.
        client_fetches_max: Whole<1, 448> = Whole::new(64);
        /// Listings and compressions for one client at once, so that nobody takes all of `listings_max` and
        /// `compressions_max`; a listing beyond is answered 429, and an answer goes out as it is.
        client_works_max: Whole<1, 10_000> = Whole::new(4);
        /// Clients that are not counted, as networks such as `192.0.2.0/24`; by default this machine.
        uncounted: Vec<Network> = Network::loopback();
        /// Proxies in front of the gateway, as networks, by default those on this machine: they say for whom they ask and how
        /// they were asked (`X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`). Nobody else is believed.
        trusted_proxies: Vec<Network> = Network::loopback();
        /// Send who opens a page here on to the edge that should serve it, if that is another one: 307, once, and never who
        /// came through a proxy.
        nearest_redirect: bool = false;
        /// Other gateways that a request may have come through (`CDN-Loop`, RFC 8586); more are answered 508.
        hops_max: Whole<0, 100> = Whole::new(3);
        /// Denylists in the compact format of IPFS: files, and folders whose `.deny` files count. What they name is answered
        /// 410, or 451 if they say so; a change holds within seconds. Paths begin at the data folder.
        denylists: Vec<String> = Vec::new();
        /// A file that gets a line for each request; empty for none. It may be moved away for rotation. Its path begins at the
        /// data folder.
        access_log: String = String::new();
        /// How a line looks: `combined`, as web servers write it, or `json`.
        access_log_style: LogStyle = LogStyle::default();
        /// Seconds for which it is remembered that nobody has a block; not while other nodes fail. 0 remembers nothing.
        absent_ttl_s: Whole<0, 3600> = Whole::new(5);
        /// Large files of which more is fetched while readers take parts of them, as much as they took; 0 for none.
        fills_max: Whole<0, 64> = Whole::new(4);
        /// Answers that are compressed at the same time, each with some 4 MiB; what is beyond goes out as it is. 0 for none.
        compressions_max: Whole<0, 10_000> = Whole::new(8);
        /// Serve names that have an `origin` and no content from that HTTP site, through a cache.
        origins: bool = true;
        /// Addresses, `IP:PORT`, at which origins may be though they are not public: sites of this network that names are to
        /// be served from. Whoever holds a name can make the gateway ask there.
        origin_allow: Vec<SocketAddr> = Vec::new();
        /// A PEM file with certificates of authorities that origins and other edges are verified by, besides those of the
        /// system; a relative path is in the data folder.
        origin_ca: String = String::new();
        /// Memory for answers of origins, in MiB.
        origin_cache_mib: Whole<1, 1_048_576> = Whole::new(64);
        /// The largest answer of an origin that is kept, in KiB; at most an eighth of the cache. Larger ones are passed on.
        origin_answer_kib: Whole<1, 1_048_576> = Whole::new(4096);
        /// Requests to origins at once, a quarter of them to one origin; each holds a connection and about 100 KiB. More are
        /// answered 503.
        origin_requests_max: Whole<1, 100_000> = Whole::new(64);
        /// Seconds that an origin may take for the head of an answer, and for each part of its body.
        origin_timeout_s: Whole<1, 600> = Whole::new(15);
    }
    /// The provider face: single blocks for IPFS clients and other nodes, of what is here and nothing else.
    provider: ProviderSettings {
        /// Where it listens, `IP:PORT`; port 0 takes a free one, "" has none. Without TLS, IPFS clients take blocks only from
        /// addresses of their own machine or network.
        listen: Option<SocketAddr> = None;
        /// Host names under which it is found on the gateway's listeners, with TLS on the encrypted one. They should be used
        /// for nothing else.
        hosts: Vec<String> = Vec::new();
        /// Where others reach it, as `https://provider.example` or `http://10.0.0.7:8081`, if that is neither its hosts nor
        /// where it listens.
        external: Vec<Web> = Vec::new();
        /// MiB a second that one network prefix (/24, /56) may take, free as they are; then it is answered 429.
        mib_per_s: Whole<1, 100_000> = Whole::new(1);
        /// MiB that a prefix may take at once after a rest.
        burst_mib: Whole<1, 1_000_000> = Whole::new(64);
    }
    /// The DNS server.
    dns: DnsSettings {
        /// Where the DNS server listens, over UDP and TCP, `IP:PORT`; port 0 takes one that is free for both.
        listen: SocketAddr = loopback(5300);
        /// Addresses that names with content are answered with, those of the gateways, as long as no edge on the ledger is
        /// known whose ports this node reaches.
        edges: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        /// Host names of the name servers of the zones; the first is the primary.
        name_servers: Vec<String> = vec!["localhost".to_owned()];
        /// Addresses of these name servers, for names inside the zones.
        name_server_addresses: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        /// Domains of the public DNS under which the chain's names are served too, such as `ddn.example`.
        alias_zones: Vec<String> = Vec::new();
        /// Where questions over TLS are taken (DoT), `IP:PORT`, usually port 853; with the certificates of the gateway, so
        /// `gateway.tls_listen` has to be set too. Nothing: no TLS.
        tls_listen: Option<SocketAddr> = None;
        /// Name servers that are asked about names that are not in the zones, `IP:PORT`, the first that answers; empty
        /// refuses such questions.
        forward: Vec<SocketAddr> = Vec::new();
        /// Whose questions are forwarded, over HTTPS too, as networks such as `192.0.2.0/24`; by default this machine. A
        /// resolver that is open to everybody is used for attacks: with a proxy on this machine before the gateway, set
        /// `gateway.trusted_proxies`, or all who come by it are this machine.
        forward_clients: Vec<Network> = Network::loopback();
        /// Forwarded questions on their way at once, each with a socket; more are answered SERVFAIL.
        forwards_max: Whole<1, 100_000> = Whole::new(256);
        /// Seconds that a name server has for its answer before the next one is asked.
        forward_timeout_s: Whole<1, 60> = Whole::new(2);
        /// Folder with the keys that the zones are signed with (DNSSEC), `ZONE.pem` each (PKCS#8, ECDSA P-256); empty takes
        /// `keys/dns` in the data folder. A key that is not there is made. Nodes that serve the same zone need the same key.
        key_folder: String = String::new();
        /// Signatures that are kept, so that the same records are not signed for each question; each takes some 300 bytes.
        signatures_max: Whole<16, 10_000_000> = Whole::new(65_536);
        /// Seconds that answers may be kept, if a name says nothing else. A change is seen everywhere within it.
        ttl_s: Whole<0, 86_400> = Whole::new(20);
        /// Threads that answer from memory over UDP, each with a socket of its own; 0: one for each core.
        threads: Whole<0, 1024> = Whole::new(0);
        /// MiB of memory for answers. An answer takes some 300 bytes, a signed one twice that; what is not in memory is read
        /// from the ledger and composed, which takes some ten times as long. A quarter is for names that do not exist.
        memory_mib: Whole<1, 1_048_576> = Whole::new(64);
        /// Threads that compose answers that are not in memory, over UDP; they may wait for a disk.
        compose_threads: Whole<1, 256> = Whole::new(8);
        /// Questions over UDP that wait for them; each holds at most 4 KiB. More are dropped, and asked again.
        compose_waiting_max: Whole<1, 1_000_000> = Whole::new(1024);
        /// Answers in a second, over UDP, to each network (the /24 of an IPv4 address, the /56 of an IPv6 address) and of each
        /// sort (records, absences, errors), so that nobody is flooded with answers to questions that he did not ask;
        /// 0: any number. Measured: a burst of 20,000 forged questions brings 0.84 bytes for each of theirs, without this 31.
        /// Who shows a cookie (RFC 7873) or comes over TCP is not counted.
        responses_per_s: Whole<0, 1_000_000_000> = Whole::new(200);
        /// Of the answers above that, each so many-th is sent empty, with the request to come over TCP; 0: none.
        slip: Whole<0, 100> = Whole::new(2);
        /// Networks that are not counted, in CIDR notation.
        uncounted: Vec<Network> = Network::loopback();
        /// Questions of one TCP connection that are composed at the same time; more wait in the connection (RFC 7766, 6.2.1.1).
        tcp_in_flight_max: Whole<1, 1024> = Whole::new(32);
        /// TCP connections at once; each holds up to two messages of 64 KiB.
        tcp_connections_max: Whole<1, 100_000> = Whole::new(256);
        /// TCP connections at once from one address, so that nobody takes all.
        tcp_connections_per_source_max: Whole<1, 100_000> = Whole::new(32);
        /// Seconds without a whole question after which a TCP connection is closed (RFC 7766, 6.2.3).
        tcp_idle_s: Whole<1, 3600> = Whole::new(10);
    }
    /// The mesh: who is there, who has what, blocks of the chain and transactions.
    mesh: MeshSettings {
        /// Where the mesh listens for other nodes (TCP), `IP:PORT`; port 0 takes a free one.
        listen: SocketAddr = loopback(4101);
        /// Nodes to join, as multiaddrs with the node's id: `/ip4/192.0.2.7/tcp/4101/p2p/12D3Koo…`. `--join` adds to them.
        join: Vec<String> = Vec::new();
        /// Domains that name nodes to join, by TXT records `dnsaddr=MULTIADDR` at `_dnsaddr.DOMAIN`; asked while there are
        /// few peers.
        seeds: Vec<String> = Vec::new();
        /// Name servers to ask for the seeds, `IP:PORT`; none takes those of this machine.
        seed_servers: Vec<SocketAddr> = Vec::new();
        /// A file with the key of a private network, in the data folder or absolute: only nodes with the same key can join.
        /// Three lines: `/key/swarm/psk/1.0.0/`, `/base16/`, and 64 hexadecimal digits.
        psk_file: String = String::new();
        /// Addresses at which others reach the mesh, as multiaddrs, if they are not those that it listens on.
        external: Vec<String> = Vec::new();
        /// Connections that others may open at once; each takes some 100 KiB and a file descriptor. More are refused.
        connections_max: Whole<8, 100_000> = Whole::new(256);
        /// Memory of the process, in MiB, above which no more connections are taken: far above what the block cache takes.
        memory_mib_max: Whole<256, 1_048_576> = Whole::new(4096);
    }
    /// Content from and for other nodes, and what is paid for it.
    delivery: DeliverySettings {
        /// Where other nodes get blocks (UDP), `IP:PORT`; port 0 takes a free one.
        listen: SocketAddr = loopback(4102);
        /// Addresses at which others reach it, `IP:PORT`, at most 8, if they are not those that it listens on.
        external: Vec<SocketAddr> = Vec::new();
        /// How fast this node sends on a path: "bbr3" as much as arrives, "cubic" until packets are lost, then less; "auto":
        /// "cubic" within this machine and private networks, "bbr3" to all others. Where one packet of a hundred is lost
        /// for other reasons than a full line, "cubic" sends a tenth of what "bbr3" does; within a machine, two times as much.
        congestion: Congestion = Congestion::default();
        /// Coins that this node asks for a MiB (2^20 bytes); "0" delivers for nothing, also to those without an escrow.
        price: Coins = Coins::from_units(10_000);
        /// The most coins that this node pays for a MiB; dearer providers are not used.
        price_max: Coins = Coins::from_units(1_000_000);
        /// Coins that deliveries cost this node in a day (UTC) at most; what was asked for by then is still paid, and what
        /// costs nothing still comes. "0": any amount.
        budget_day: Coins = Coins::from_units(0);
        /// The same for what is paid to one address: an edge, or all edges of one operator.
        budget_day_payee: Coins = Coins::from_units(0);
        /// The same for what is read under one name.
        budget_day_name: Coins = Coins::from_units(0);
        /// Coins that an escrow may owe this node without having set them aside for it. What is set aside is sure to be
        /// paid; this much is risked, so that nobody waits for a block before the first delivery.
        float: Coins = Coins::from_units(1_000_000);
        /// Coins that go into an escrow when something is to be paid for the first time; "0" never opens one. Only one is
        /// opened like this: whoever closes it opens the next with `ddn pay open`.
        escrow: Coins = Coins::from_units(10 * ledger::COIN);
        /// The wallet that is paid for what this node delivers.
        payout: String = "default".to_owned();
        /// Seconds after which what was earned is claimed from the ledger, if that is worth twenty fees; what could be lost
        /// otherwise is claimed at once, if it is worth its fee. 0: only `ddn earn claim` claims.
        claim_every_s: Whole<0, 604_800> = Whole::new(3600);
        /// Bytes that a payer may be ahead of its vouchers at most, however well it pays; it begins with one block of 1 MiB.
        window_max: Whole<1_048_576, 1_073_741_824> = Whole::new(64 << 20);
        /// Seconds after which a read gives up on a block that no provider gives; the gateway then answers 504.
        timeout_s: Whole<2, 600> = Whole::new(30);
        /// Seconds without a byte after which the next provider is asked; less than `timeout_s`.
        silence_s: Whole<1, 300> = Whole::new(5);
        /// Requests that this node says it serves at once, so that others choose it accordingly.
        capacity: Whole<1, 1_000_000> = Whole::new(64);
        /// Bytes that leave for other nodes in a second, shared fairly between them; 0: as fast as they take them. Those who
        /// would wait for more than two seconds are told to come later.
        rate_max: Whole<0, 1_000_000_000_000> = Whole::new(0);
        /// GiB (2^30 bytes) that leave for other nodes in a calendar month (UTC); then they are told to come back in the next
        /// one, and this node's advert says that it is full. 0: any number.
        month_gib_max: Whole<0, 1_000_000_000> = Whole::new(0);
        /// Sessions with other nodes at once; each holds up to two blocks of 2 MiB. More are told to come later.
        sessions_max: Whole<1, 1_000_000> = Whole::new(256);
        /// Whether others reach this node through a relay: "auto" if peers do not reach its port, as behind a NAT; "always";
        /// "never". The relay is paid for each byte; where both sides find a way without it, it carries little.
        relay: RelayUse = RelayUse::default();
        /// The most coins that this node pays a relay for a MiB.
        relay_price_max: Coins = Coins::from_units(100_000);
    }
    /// The relay: passes packets on to nodes that cannot be reached, and is paid by them.
    relay: RelaySettings {
        /// Where it listens (TCP), `IP:PORT`, usually port 4104; port 0 takes a free one. Empty: this node is no relay.
        listen: Option<SocketAddr> = None;
        /// The address at which others reach it, `IP:PORT`, if that is not the one that it listens on.
        external: Option<SocketAddr> = None;
        /// Coins that it asks for a MiB (2^20 bytes) that it passes on; "0" asks for nothing.
        price: Coins = Coins::from_units(1_000);
        /// Nodes that it passes packets on for at once, each with up to 16 that speak to it; more are told to go elsewhere.
        nodes_max: Whole<1, 100_000> = Whole::new(256);
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
        /// Chains that this node does not follow, and whose names it resolves: for each its genesis file, relative to the data
        /// folder, and after spaces the gateways of nodes that follow it, as in
        /// `mmt.genesis.json https://gateway.example http://192.0.2.7:8080`. They are asked for names with proofs, and
        /// believed for the proofs alone.
        others: Vec<OtherChain> = Vec::new();
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
