//! The link emulator: moves packets between two TUN devices in two network namespaces, as late, as slowly and with as much
//! loss as it is told. Linux has netem for this where the kernel was built with it.
//!
//! `testkit-link near DEVICE NAMESPACE DEVICE` runs in the namespace of the first device, and goes on in the other one with
//! that device as its output: so no process needs rights in two namespaces at once, and no code a system call of its own.
//! Each line of its input is a [`Link`]; packets move from the first line on, and the end of the input ends it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::env;
use std::fs::File;
use std::io::{self, Read, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tappers::{Interface, Tun};
use testkit::net::{Link, Shaper};

/// No device hands over more at once.
const PACKET_BYTES_MAX: usize = 65_536;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ended = match args[..] {
        ["near", near, namespace, far] => go_on(near, namespace, far),
        ["far", far] => run(far),
        _ => Err(anyhow::anyhow!(
            "usage: testkit-link near DEVICE NAMESPACE DEVICE"
        )),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the near device, and becomes the emulator in the other namespace.
fn go_on(near: &str, namespace: &str, far: &str) -> Result<()> {
    let near = device(near)?.as_fd().try_clone_to_owned()?;
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={namespace}"))
        .arg(env::current_exe()?)
        .args(["far", far]);
    Err(command.stdout(Stdio::from(near)).exec()).context("starting nsenter")
}

fn device(name: &str) -> Result<Tun> {
    let made = Interface::new(name).and_then(Tun::new_named);
    made.with_context(|| format!("making the TUN device {name}"))
}

fn run(far: &str) -> Result<()> {
    let near = File::from(stdout().as_fd().try_clone_to_owned()?);
    let far = File::from(device(far)?.as_fd().try_clone_to_owned()?);
    eprintln!("ready");
    let mut lanes: Option<[Arc<Lane>; 2]> = None;
    for line in stdin().lines() {
        let link: Link = line?.parse()?;
        match &lanes {
            Some(lanes) => (0..)
                .zip(lanes)
                .for_each(|(number, lane)| lane.set(Shaper::new(link, number))),
            None => {
                let there = Lane::start(Shaper::new(link, 0), near.try_clone()?, far.try_clone()?);
                let back = Lane::start(Shaper::new(link, 1), far.try_clone()?, near.try_clone()?);
                lanes = Some([there, back]);
            }
        }
    }
    Ok(())
}

/// One direction.
struct Lane {
    start: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    shaper: Shaper,
    /// The packets on their way, the next to arrive on top. Their number keeps those of one moment in order.
    packets: BinaryHeap<Reverse<(Duration, u64, Vec<u8>)>>,
    count: u64,
}

impl Lane {
    fn start(shaper: Shaper, from: File, to: File) -> Arc<Self> {
        let state = State {
            shaper,
            packets: BinaryHeap::new(),
            count: 0,
        };
        let lane = Arc::new(Self {
            start: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let (reader, writer) = (Arc::clone(&lane), Arc::clone(&lane));
        thread::spawn(move || reader.take_all(from));
        thread::spawn(move || writer.give_all(to));
        lane
    }

    fn set(&self, shaper: Shaper) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).shaper = shaper;
    }

    /// Until the device goes away.
    fn take_all(&self, mut from: File) -> io::Result<()> {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        loop {
            let length = from.read(&mut packet)?;
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(due) = state.shaper.take(self.start.elapsed(), length) else {
                continue;
            };
            state.count += 1;
            let number = state.count;
            state
                .packets
                .push(Reverse((due, number, packet[..length].to_vec())));
            self.changed.notify_one();
        }
    }

    fn give_all(&self, mut to: File) {
        loop {
            // A device that is down takes nothing; the packet is lost, as on a cable that is not plugged in.
            let _ = to.write(&self.next());
        }
    }

    /// Waits for the next packet to be due.
    fn next(&self) -> Vec<u8> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = self.start.elapsed();
            let wait = match state.packets.peek() {
                None => Duration::MAX,
                Some(Reverse((due, ..))) => due.saturating_sub(now),
            };
            if wait.is_zero()
                && let Some(Reverse((_, _, packet))) = state.packets.pop()
            {
                return packet;
            }
            state = match wait {
                Duration::MAX => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                _ => {
                    self.changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }
}
