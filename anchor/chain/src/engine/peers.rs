//! Who the other delegates are on the engine's network.
//!
//! A delegate's identity there is its delegate key, so that a genesis binds seat and peer: nobody else can take a
//! delegate's place on the network. What the key signs there is the transport's handshake, which has its own prefix.

use arc_malachitebft_app_channel::app::net::Multiaddr;
use arc_malachitebft_app_channel::app::types::{Keypair, PeerId};
use std::collections::BTreeSet;

use ledger::{Genesis, PublicKey, SecretKey, State};

use crate::Error;

/// Multihash "identity", 36 bytes; protobuf: key type ed25519, 32 bytes of key.
const ED25519_PEER_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The peer id of a delegate on the engine's network, as it stands in `/p2p/…` of its multiaddr in the genesis.
pub fn engine_peer_id(delegate: &PublicKey) -> String {
    let bytes = [&ED25519_PEER_PREFIX[..], delegate.as_bytes()].concat();
    PeerId::from_bytes(&bytes)
        .expect("an identity multihash of a key is a peer id")
        .to_base58()
}

/// The transport identity of a delegate.
pub(crate) fn keypair(delegate: &SecretKey) -> Keypair {
    Keypair::ed25519_from_bytes(delegate.seed()).expect("a seed has 32 bytes")
}

/// The addresses of all other delegates of the genesis, each with its peer id.
///
/// # Errors
/// If one of them is none: a chain cannot begin so.
pub(crate) fn check_genesis(genesis: &Genesis, me: &PublicKey) -> Result<(), Error> {
    let others = genesis.delegates.iter().filter(|delegate| delegate.key != *me);
    for delegate in others {
        address(genesis, &delegate.key, &delegate.engine)?;
    }
    Ok(())
}

/// The addresses of the others who sit, and of those who may sit next. Whoever gives an address that is none is not
/// reached; that harms only itself.
pub(crate) fn others(genesis: &Genesis, state: &impl State, me: &PublicKey) -> Result<Vec<Multiaddr>, Error> {
    let failed = |error: ledger::StateError| Error::Ledger {
        operation: "read the delegates",
        reason: error.to_string(),
    };
    let seats = state.validators().map_err(failed)?;
    let elected = state.round().map_err(failed)?.elected;
    let seats = seats.validators().iter().map(|seat| seat.address());
    let wanted: BTreeSet<ledger::Address> = seats.chain(elected).collect();
    let mut addresses = Vec::new();
    for wanted in wanted.into_iter().filter(|wanted| *wanted != me.address()) {
        let Some(delegate) = state.delegate(&wanted).map_err(failed)? else {
            continue;
        };
        match address(genesis, &delegate.key, &delegate.engine) {
            Ok(address) => addresses.push(address),
            Err(error) => tracing::warn!("a delegate cannot be reached: {error}"),
        }
    }
    Ok(addresses)
}

/// The peers of the others who sit.
///
/// # Errors
/// If the state cannot be read.
pub(crate) fn seated_others(state: &impl State, me: &PublicKey) -> Result<BTreeSet<String>, Error> {
    let set = state.validators().map_err(|error| Error::Ledger {
        operation: "read the seats",
        reason: error.to_string(),
    })?;
    let others = set.validators().iter().filter(|seat| seat.key != *me);
    Ok(others.map(|seat| engine_peer_id(&seat.key)).collect())
}

/// An address without a peer id gets the one of the key; one with another's is an error of the genesis.
fn address(genesis: &Genesis, key: &PublicKey, engine: &str) -> Result<Multiaddr, Error> {
    let who = key.address().display(&genesis.prefix);
    let bad = |reason: String| Error::genesis(genesis, format!("delegate {who}: {reason}"));
    if engine.is_empty() {
        return Err(bad(
            "it has no engine address, which a chain of several delegates needs".into(),
        ));
    }
    let (host, peer) = engine.split_once("/p2p/").unwrap_or((engine, ""));
    let wanted = engine_peer_id(key);
    if !peer.is_empty() && peer != wanted {
        return Err(bad(format!(
            "its engine address is of peer {peer}, its key makes peer {wanted}"
        )));
    }
    let whole = format!("{host}/p2p/{wanted}");
    whole
        .parse()
        .map_err(|e| bad(format!("{engine:?} is no multiaddr: {e}")))
}

#[cfg(test)]
mod tests {
    use ledger::MemoryState;

    use super::*;

    #[test]
    fn the_peer_id_of_the_public_key_is_that_of_the_transport_identity() {
        for seed in [[0; 32], [1; 32], [255; 32]] {
            let key = SecretKey::from_seed(seed);
            let peer = keypair(&key).public().to_peer_id().to_base58();
            assert_eq!(engine_peer_id(&key.public()), peer);
            assert!(peer.starts_with("12D3KooW"));
        }
    }

    #[test]
    fn an_address_must_be_of_its_key() {
        let (me, other) = (
            SecretKey::from_seed([1; 32]).public(),
            SecretKey::from_seed([2; 32]).public(),
        );
        let mut genesis = Genesis::dev("test", 1, me);
        genesis.delegates.push(ledger::GenesisDelegate {
            key: other,
            engine: "/ip4/10.0.0.1/tcp/4103".into(),
            tip: None,
        });
        genesis.delegates.sort_by_key(|delegate| delegate.key.address());
        let place = genesis
            .delegates
            .iter()
            .position(|delegate| delegate.key == other)
            .unwrap();
        let wanted = format!("/ip4/10.0.0.1/tcp/4103/p2p/{}", engine_peer_id(&other));
        let state = MemoryState(genesis.initial_state().unwrap().into_iter().collect());
        assert_eq!(others(&genesis, &state, &me).unwrap()[0].to_string(), wanted);
        check_genesis(&genesis, &me).unwrap();

        genesis.delegates[place].engine = format!("/ip4/10.0.0.1/tcp/4103/p2p/{}", engine_peer_id(&me));
        let error = check_genesis(&genesis, &me).unwrap_err().to_string();
        assert!(error.contains("its key makes peer"), "{error}");

        genesis.delegates[place].engine.clear();
        let error = check_genesis(&genesis, &me).unwrap_err().to_string();
        assert!(error.contains("it has no engine address"), "{error}");
    }
}
