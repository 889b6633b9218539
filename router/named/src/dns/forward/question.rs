//! What is sent to another server, which answer fits it, and what the asker gets of that.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::Name;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::dns::message::{Reply, Request, UDP_PAYLOAD_MAX};

/// A question as it is sent.
pub struct Outgoing {
    id: u16,
    query: Query,
    /// The packet.
    pub bytes: Vec<u8>,
}

impl Outgoing {
    /// The same question with an id and a letter case of its own. `None` if the system has no random numbers.
    pub fn new(request: &Request) -> Option<Self> {
        let mut random = [0; 2 + NAME_BYTES_MAX.div_ceil(8)];
        SystemRandom::new().fill(&mut random).ok()?;
        Self::with(request, &random)
    }

    /// As [`Outgoing::new`], from random bytes: two for the id, then a bit for each byte of the name.
    fn with(request: &Request, random: &[u8]) -> Option<Self> {
        let (id, cases) = random.split_first_chunk::<2>()?;
        let id = u16::from_be_bytes(*id);
        let mut query = request.query.clone();
        query.set_name(mixed(query.name(), cases)?);
        let mut message = Message::query();
        message.metadata.id = id;
        message.metadata.op_code = OpCode::Query;
        message.metadata.recursion_desired = true;
        message.metadata.checking_disabled = request.reply.checking_disabled;
        message.queries.push(query.clone());
        let mut edns = Edns::new();
        edns.set_version(0).set_max_payload(UDP_PAYLOAD_MAX);
        edns.set_dnssec_ok(request.edns.is_some_and(|edns| edns.dnssec_ok));
        message.edns = Some(edns);
        let bytes = message.to_vec().ok()?;
        Some(Self { id, query, bytes })
    }

    /// The answer in a packet, if it is one to this question: id, opcode and question as they were sent, the name in the
    /// same case (RFC 5452, section 9.1).
    pub fn answer(&self, packet: &[u8]) -> Option<Message> {
        let message = Message::from_vec(packet).ok()?;
        let head = &message.metadata;
        let is_reply =
            head.id == self.id && head.message_type == MessageType::Response && head.op_code == OpCode::Query;
        let [query] = &message.queries[..] else {
            return None;
        };
        let is_same = query.query_type() == self.query.query_type()
            && query.query_class() == self.query.query_class()
            && query.name().eq_case(self.query.name());
        (is_reply && is_same).then_some(message)
    }
}

/// Bytes of the longest name.
const NAME_BYTES_MAX: usize = 255;

/// The name with letters in the case that the bits say ("0x20").
fn mixed(name: &Name, cases: &[u8]) -> Option<Name> {
    let mut at = 0;
    let mut flip = |byte: &u8| {
        let bit = cases.get(at / 8).map_or(0, |bits| bits >> (at % 8) & 1);
        at += 1;
        match bit {
            1 => byte.to_ascii_uppercase(),
            _ => byte.to_ascii_lowercase(),
        }
    };
    let labels: Vec<Vec<u8>> = name
        .iter()
        .map(|label| label.iter().map(&mut flip).collect())
        .collect();
    let mut mixed = Name::from_labels(labels.iter().map(Vec::as_slice)).ok()?;
    mixed.set_fqdn(true);
    Some(mixed)
}

/// What the asker gets: the records, under the name in its own case; that they were authentic is not ours to say.
pub fn reply(request: Request, answer: Message) -> Reply {
    let code = answer.metadata.response_code;
    let own = request.query.name().clone();
    let mut reply = Reply::error(request.reply, Some(request.query), request.edns, code);
    reply.metadata.recursion_available = true;
    reply.answers = answer.answers;
    reply.authorities = answer.authorities;
    reply.additionals = answer.additionals;
    for record in &mut reply.answers {
        if record.name == own {
            record.name = own.clone();
        }
    }
    reply
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use hickory_proto::op::{Metadata, ResponseCode};
    use hickory_proto::rr::RecordType;
    use proptest::prelude::*;

    use super::*;

    fn outgoing(random: &[u8]) -> Outgoing {
        let name = Name::from_str("www.Example.org.").expect("a name");
        let request = Request {
            reply: Metadata::new(7, MessageType::Response, OpCode::Query),
            query: Query::query(name, RecordType::A),
            edns: None,
        };
        Outgoing::with(&request, random).expect("a question")
    }

    fn answered(to: &Outgoing, change: impl FnOnce(&mut Message)) -> bool {
        let mut message = Message::from_vec(&to.bytes).expect("what was sent");
        message.metadata.message_type = MessageType::Response;
        message.metadata.response_code = ResponseCode::NXDomain;
        change(&mut message);
        to.answer(&message.to_vec().expect("a message")).is_some()
    }

    #[test]
    fn only_the_answer_fits() {
        let sent = outgoing(&[1, 2, 0b0101_0101, 0b0011_0011, 0]);
        assert!(answered(&sent, |_| {}));
        let name = |text: &str| {
            let name = Name::from_str(text).expect("a name");
            move |message: &mut Message| {
                message.queries[0].set_name(name);
            }
        };
        assert!(!answered(&sent, name("www.example.org.")), "another case");
        assert!(!answered(&sent, name("www.example.com.")));
        assert!(!answered(&sent, |message| message.metadata.id += 1));
        assert!(!answered(&sent, |message| message.metadata.message_type =
            MessageType::Query));
        assert!(!answered(&sent, |message| message.metadata.op_code = OpCode::Notify));
        assert!(!answered(&sent, |message| message.queries.clear()));
        assert!(!answered(&sent, |message| {
            message.queries[0].set_query_type(RecordType::AAAA);
        }));
        assert!(!answered(&sent, |message| {
            let again = message.queries[0].clone();
            message.queries.push(again);
        }));
    }

    proptest! {
        /// The name is the same but for its case, which is that of the bits.
        #[test]
        fn cases_are_random(random in proptest::collection::vec(any::<u8>(), 34)) {
            let sent = outgoing(&random);
            prop_assert_eq!(sent.query.name().to_lowercase().to_ascii(), "www.example.org.");
            let first = sent.query.name().iter().next().map(|label| label[0]);
            prop_assert_eq!(first, Some(if random[2] & 1 == 1 { b'W' } else { b'w' }));
            prop_assert_eq!(&sent.bytes[..2], &random[..2]);
        }
    }
}
