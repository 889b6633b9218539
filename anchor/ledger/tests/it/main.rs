//! The ledger from outside: every rule, every format, every refusal.

mod assets;
mod blocks;
mod bundles;
mod claims;
mod fixtures;
mod genesis;
mod keys;
mod money;
mod names;
mod random;
mod tree;
mod world;
