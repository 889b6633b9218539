//! A chain as the rest of a node sees it: real engines, real disks, loopback. Followers are joined by memory (`net`).

mod claims;
mod follower;
mod four_seats;
mod heard;
mod journal;
mod killed;
mod liars;
mod net;
mod one_seat;
mod passed_on;
mod pool;
mod quiet;
mod refusals;
mod roots;
mod snapshots;
mod wire;
mod world;
