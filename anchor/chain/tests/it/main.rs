//! A chain as the rest of a node sees it: real engines, real disks, loopback.

mod claims;
mod four_seats;
mod journal;
mod one_seat;
mod pool;
mod quiet;
mod refusals;
mod roots;
mod world;
