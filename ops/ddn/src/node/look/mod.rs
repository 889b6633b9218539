//! Looking at each other from outside: a node asks peers whether they reach its ports, and does the same for them.
//!
//! Whoever is asked tries the address from which the other came, and no other: so nobody is sent against a third. One look
//! costs a few packets; each peer has one in ten seconds, and few are under way at once.

mod outlook;
mod serve;

use std::io;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::probe;

pub use outlook::{Outlook, Sight};
pub use serve::Looker;

/// How a question begins: no message of the chain's sync begins like this, since they are all DAG-CBOR maps.
const TAG: &[u8] = b"ddn/look/1\n";
/// The most doors of one question.
const DOORS_MAX: usize = 8;
/// The longest host or zone: a host name.
const NAME_BYTES_MAX: usize = 253;
/// The longest reason.
const REASON_BYTES_MAX: usize = 200;

/// What should be reached at a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Door {
    /// The mesh (TCP).
    Mesh {
        /// Its port.
        port: u16,
        /// Whether it is of a private network.
        private: bool,
    },
    /// Deliveries (UDP).
    Delivery {
        /// Its port.
        port: u16,
    },
    /// The gateway (TCP), which should answer for `host`.
    Gateway {
        /// Its port.
        port: u16,
        /// The host that it serves.
        host: String,
    },
    /// The DNS server (UDP), which should answer for `zone`.
    Dns {
        /// Its port.
        port: u16,
        /// A zone that it serves.
        zone: String,
    },
}

/// A question: do you reach these?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    doors: Vec<Door>,
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Answer {
    /// Each door as it was found, at the address that was tried.
    Looked { address: String, found: Vec<Found> },
    /// Not now.
    Refused { reason: String },
}

/// How a door was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Found {
    /// It answered, after so long.
    Reached {
        /// Milliseconds.
        ms: u32,
    },
    /// It did not, for a reason of one line.
    Missed {
        /// What happened instead.
        reason: String,
    },
}

impl Door {
    /// What it is for, as its section of the settings is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mesh { .. } => "mesh",
            Self::Delivery { .. } => "delivery",
            Self::Gateway { .. } => "gateway",
            Self::Dns { .. } => "dns",
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Mesh { port, .. } | Self::Delivery { port } => *port,
            Self::Gateway { port, .. } | Self::Dns { port, .. } => *port,
        }
    }

    /// How it is reached.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Mesh { .. } | Self::Gateway { .. } => "TCP",
            Self::Delivery { .. } | Self::Dns { .. } => "UDP",
        }
    }

    /// What others say goes onto our wire only if it is a name.
    fn is_sound(&self) -> bool {
        let is_name = |name: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
            (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
        };
        let named = match self {
            Self::Gateway { host, .. } => is_name(host),
            Self::Dns { zone, .. } => is_name(zone),
            Self::Mesh { .. } | Self::Delivery { .. } => true,
        };
        named && self.port() != 0
    }

    /// Tries it at `ip`, where the node `node_id` should be.
    async fn try_at(&self, ip: IpAddr, node_id: &str) -> io::Result<()> {
        let address = SocketAddr::new(ip, self.port());
        match self {
            Self::Mesh { private, .. } => probe::mesh(address, *private).await,
            Self::Delivery { .. } => probe::delivery(address).await,
            Self::Gateway { host, .. } => probe::gateway(address, host, node_id).await,
            Self::Dns { zone, .. } => probe::dns(address, zone).await,
        }
    }
}

impl Question {
    fn encode(&self) -> Vec<u8> {
        [TAG, &ledger::encode(self)].concat()
    }

    /// None if it is no question of this kind, or asks too much.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let question: Self = ledger::decode(bytes.strip_prefix(TAG)?).ok()?;
        let is_sound = question.doors.len() <= DOORS_MAX && question.doors.iter().all(Door::is_sound);
        is_sound.then_some(question)
    }
}

impl Answer {
    /// None if it is no answer to so many doors.
    fn decode(bytes: &[u8], doors: usize) -> Option<Self> {
        let answer: Self = ledger::decode(bytes).ok()?;
        let is_short =
            |reason: &String| reason.len() <= REASON_BYTES_MAX && !reason.contains(char::is_control);
        let is_sound = match &answer {
            Self::Looked { address, found } => {
                address.parse::<IpAddr>().is_ok()
                    && found.len() == doors
                    && found.iter().all(|found| match found {
                        Found::Reached { .. } => true,
                        Found::Missed { reason } => is_short(reason),
                    })
            }
            Self::Refused { reason } => is_short(reason),
        };
        is_sound.then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors() -> Vec<Door> {
        let (host, zone) = ("edge.example".to_owned(), "ddn".to_owned());
        vec![
            Door::Mesh {
                port: 4101,
                private: false,
            },
            Door::Delivery { port: 4102 },
            Door::Gateway { port: 8080, host },
            Door::Dns { port: 5300, zone },
        ]
    }

    /// What is sent does not change unnoticed.
    #[test]
    fn fixtures() {
        let question = Question { doors: doors() };
        let expected = include_str!("question.hex").trim_end();
        assert_eq!(hex::encode(question.encode()), expected);
        assert_eq!(Question::decode(&question.encode()), Some(question));
        let (reached, missed) = (
            Found::Reached { ms: 12 },
            Found::Missed {
                reason: "no answer".to_owned(),
            },
        );
        let answer = Answer::Looked {
            address: "192.0.2.1".to_owned(),
            found: vec![reached, missed],
        };
        let bytes = ledger::encode(&answer);
        assert_eq!(hex::encode(&bytes), include_str!("answer.hex").trim_end());
        assert_eq!(Answer::decode(&bytes, 3), None, "not so many were asked about");
        assert_eq!(Answer::decode(&bytes, 2), Some(answer));
    }

    #[test]
    fn what_asks_too_much_is_no_question() {
        for doors in [
            vec![Door::Delivery { port: 1 }; DOORS_MAX + 1],
            vec![Door::Delivery { port: 0 }],
            vec![Door::Gateway {
                port: 80,
                host: "a\r\nX: y".to_owned(),
            }],
            vec![Door::Gateway {
                port: 80,
                host: String::new(),
            }],
            vec![Door::Dns {
                port: 53,
                zone: "a".repeat(NAME_BYTES_MAX + 1),
            }],
        ] {
            assert_eq!(Question::decode(&Question { doors }.encode()), None);
        }
        assert_eq!(
            Question::decode(&ledger::encode(&Question { doors: doors() })),
            None,
            "without its tag"
        );
        let long = Answer::Refused {
            reason: "x".repeat(REASON_BYTES_MAX + 1),
        };
        assert_eq!(Answer::decode(&ledger::encode(&long), 0), None);
    }
}
