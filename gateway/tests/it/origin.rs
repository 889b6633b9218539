//! Names that are served from an origin: what readers get, what origins see, and what neither can do to the other.

mod attack;
mod cache;
mod serve;
mod world;
