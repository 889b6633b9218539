//! The threads that connections live on: each has a runtime of its own and its own listener, so that a request meets no
//! other thread on its way. What blocks goes to threads for it.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::clock;

/// The threads. They end when this is dropped, and everything on them with them.
#[derive(Debug)]
pub(super) struct Workers {
    handles: Vec<Handle>,
    _end: DropGuard,
}

impl Workers {
    /// Starts `count` of them; 0 stands for one per core.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let count = if count == 0 { cores() } else { count };
        let end = CancellationToken::new();
        let handles = (0..count)
            .map(|at| start(at, end.clone()))
            .collect::<io::Result<_>>();
        let end = end.drop_guard();
        Ok(Self {
            handles: handles?,
            _end: end,
        })
    }

    /// Where to spawn what a worker shall do.
    pub(super) fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

fn start(at: usize, end: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name("gateway-blocking")
        .on_thread_unpark(clock::tick)
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(format!("gateway-{at}"))
        .spawn(move || {
            clock::tick();
            runtime.block_on(end.cancelled_owned());
            // Reads that block on a disk or on others end by themselves.
            runtime.shutdown_background();
        })?;
    Ok(handle)
}
