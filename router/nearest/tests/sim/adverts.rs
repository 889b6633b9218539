//! What nodes tell of themselves, and how late it is known.

use std::collections::VecDeque;

use nearest::advert::{Advert, Belongs, Health};

use crate::router::SECOND;
use crate::world::{Lie, Node};

/// How long an advert holds.
const LIFE_US: u64 = 60 * SECOND;

/// The load that a node tells.
pub fn told(node: &Node, load: u32) -> u32 {
    if node.lie == Lie::Load { 0 } else { load }
}

/// What a node says of itself.
pub fn advert(node: &Node, load: u32, issued_us: u64) -> Advert {
    let (capacity, load) = match node.lie {
        Lie::Load => (node.capacity * 4, 0),
        _ => (node.capacity, load),
    };
    let mut operator = [0; 32];
    operator[..4].copy_from_slice(&node.operator.to_be_bytes());
    Advert {
        edge: node.id,
        belongs: Belongs {
            operator: Some(operator),
            place: node.place,
            network: None,
        },
        capacity,
        load,
        price: 1,
        coordinate: node.coordinate,
        health: Health::default(),
        issued_us,
        expires_us: issued_us + LIFE_US,
    }
}

/// The loads of all nodes at each of the last seconds.
#[derive(Default)]
pub struct Loads(VecDeque<(u64, Vec<u32>)>);

impl Loads {
    pub fn note(&mut self, now: u64, loads: &[u32]) {
        self.0.push_front((now, loads.to_vec()));
        self.0.truncate(5);
    }

    /// The latest at that time.
    pub fn at(&self, time: u64) -> (u64, &[u32]) {
        let latest = self.0.iter().find(|(at, _)| *at <= time).or(self.0.back());
        latest
            .map(|(at, loads)| (*at, loads.as_slice()))
            .expect("noted before it is read")
    }
}
