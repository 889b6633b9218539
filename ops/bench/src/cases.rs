//! The rows of the plan.

use crate::case::Peer::{Caddy, Floor, FloorSame, Nginx, NginxSendfile, Varnish};
use crate::case::{Case, Load};

/// Every case, in the order in which they are measured.
pub const CASES: &[Case] = &[
    Case {
        row: "B1",
        name: "1 KiB from memory",
        load: Load::Wrk {
            file: "1k.bin",
            connections: 32,
            tls: false,
        },
        peers: &[Floor, FloorSame, NginxSendfile, Nginx, Varnish, Caddy],
        goals: &[(NginxSendfile, 1.15), (Nginx, 1.15), (Floor, 0.9)],
    },
    Case {
        row: "B1",
        name: "1 KiB from memory, by a client that costs less",
        load: Load::Light {
            file: "1k.bin",
            connections: 32,
        },
        peers: &[Floor, FloorSame, NginxSendfile, Nginx],
        goals: &[(NginxSendfile, 1.15), (Nginx, 1.15), (Floor, 0.9)],
    },
    Case {
        row: "B1",
        name: "10 KiB from memory",
        load: Load::Wrk {
            file: "10k.bin",
            connections: 32,
            tls: false,
        },
        peers: &[Floor, FloorSame, NginxSendfile, Nginx, Varnish, Caddy],
        goals: &[],
    },
    Case {
        row: "B1",
        name: "1 KiB, 256 connections",
        load: Load::Wrk {
            file: "1k.bin",
            connections: 256,
            tls: false,
        },
        peers: &[Floor, FloorSame, NginxSendfile, Nginx],
        goals: &[],
    },
    Case {
        row: "B2",
        name: "1 MiB from memory",
        load: Load::Wrk {
            file: "1m.bin",
            connections: 8,
            tls: false,
        },
        peers: &[Floor, Varnish, Nginx, Caddy],
        goals: &[(Varnish, 1.0), (Floor, 0.9)],
    },
    Case {
        row: "B2",
        name: "100 KiB from memory",
        load: Load::Wrk {
            file: "100k.bin",
            connections: 16,
            tls: false,
        },
        peers: &[Floor, Varnish, NginxSendfile],
        goals: &[],
    },
    Case {
        row: "B3",
        name: "one stream of a large file",
        load: Load::Stream,
        peers: &[Floor, Nginx, Caddy],
        goals: &[(Floor, 0.8)],
    },
    Case {
        row: "B4",
        name: "random ranges of a large file",
        load: Load::Ranges { connections: 32 },
        peers: &[Floor, Nginx, Caddy],
        goals: &[(Nginx, 1.1)],
    },
    Case {
        row: "B5",
        name: "1 KiB, TLS, HTTP/1.1",
        load: Load::Wrk {
            file: "1k.bin",
            connections: 32,
            tls: true,
        },
        peers: &[Nginx, Caddy],
        goals: &[(Nginx, 1.0)],
    },
    Case {
        row: "B5",
        name: "1 MiB, TLS, HTTP/1.1",
        load: Load::Wrk {
            file: "1m.bin",
            connections: 8,
            tls: true,
        },
        peers: &[Nginx, Caddy],
        goals: &[(Nginx, 1.0)],
    },
    Case {
        row: "B5",
        name: "1 KiB, TLS, HTTP/2",
        load: Load::H2 {
            file: "1k.bin",
            connections: 16,
            streams: 8,
        },
        peers: &[Nginx, Caddy],
        goals: &[(Nginx, 1.0)],
    },
    Case {
        row: "B5",
        name: "1 MiB, TLS, HTTP/2",
        load: Load::H2 {
            file: "1m.bin",
            connections: 8,
            streams: 1,
        },
        peers: &[Nginx, Caddy],
        goals: &[(Nginx, 1.0)],
    },
    Case {
        row: "B5",
        name: "1 KiB, HTTP/3",
        load: Load::H3 {
            file: "1k.bin",
            connections: 16,
            streams: 8,
        },
        peers: &[Caddy],
        goals: &[(Caddy, 2.0)],
    },
    Case {
        row: "H",
        name: "idle connections",
        load: Load::Idle {
            connections: 1000,
            tls: false,
        },
        peers: &[Floor, NginxSendfile, Varnish, Caddy],
        goals: &[],
    },
    Case {
        row: "H",
        name: "idle connections of TLS",
        load: Load::Idle {
            connections: 1000,
            tls: true,
        },
        peers: &[Nginx, Caddy],
        goals: &[],
    },
];
