//! The ledger from outside: every rule, every format, every refusal.

mod assets;
mod blocks;
mod bundles;
mod chains;
mod claims;
mod credit;
mod delivery;
mod duel;
mod edges;
mod elections;
mod escrows;
mod exhaustive;
mod fixtures;
mod genesis;
mod keys;
mod light;
mod metered;
mod money;
mod names;
mod paying;
mod random;
mod signed;
mod splits;
mod tree;
mod vouchers;
mod world;
