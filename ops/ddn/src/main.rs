//! `ddn`: a node of the Data Delivery Network and the commands that talk to it, in one program.

mod api;
mod cli;
mod config;
mod http;
mod node;
mod probe;

// RocksDB and our own code share one allocator, which keeps large buffers instead of giving them back for each block.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
