//! What a link does to packets: pure rules, with the time passed in. The emulator (`bin/testkit-link.rs`) moves the bytes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Millionths: the unit of probabilities.
const MILLION: u32 = 1_000_000;

/// What waits before a slow link by default: a second of 8 Mbit/s, as home routers have it.
const QUEUE_BYTES: u64 = 1 << 20;

/// One link, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// One way.
    pub delay: Duration,
    /// Added to the delay of each packet: even between nothing and this. Packets stay in order.
    pub jitter: Duration,
    /// In each direction; none is as fast as the machine.
    pub rate_kbit: Option<u32>,
    /// What may wait for the rate in each direction; what comes beyond is dropped.
    pub queue_bytes: u64,
    /// Packets that are lost, of a million.
    pub loss_ppm: u32,
    /// Packets that are overtaken, of a million: they take half the delay longer, and a millisecond.
    pub reorder_ppm: u32,
    /// Decides, with the number of a packet, what happens to it.
    pub seed: u64,
}

impl Link {
    /// A link that only takes time.
    pub const fn delay_ms(one_way: u64) -> Self {
        Self {
            delay: Duration::from_millis(one_way),
            jitter: Duration::ZERO,
            rate_kbit: None,
            queue_bytes: QUEUE_BYTES,
            loss_ppm: 0,
            reorder_ppm: 0,
            seed: 0,
        }
    }
}

/// Numbers with spaces between, as the emulator reads them.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (delay, jitter) = (self.delay.as_micros(), self.jitter.as_micros());
        write!(f, "{delay} {jitter} {} ", self.rate_kbit.unwrap_or(0))?;
        let Self {
            queue_bytes,
            loss_ppm,
            reorder_ppm,
            seed,
            ..
        } = self;
        write!(f, "{queue_bytes} {loss_ppm} {reorder_ppm} {seed}")
    }
}

impl FromStr for Link {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Vec<u64> = text
            .split_ascii_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("the link {text:?}"))?;
        let [delay, jitter, rate, queue_bytes, loss, reorder, seed] = numbers[..] else {
            anyhow::bail!("a link has seven numbers, not {}: {text:?}", numbers.len());
        };
        ensure!(
            loss.max(reorder) <= u64::from(MILLION),
            "more than a million of a million: {text:?}"
        );
        Ok(Self {
            delay: Duration::from_micros(delay),
            jitter: Duration::from_micros(jitter),
            rate_kbit: (rate > 0).then(|| u32::try_from(rate)).transpose()?,
            queue_bytes,
            loss_ppm: u32::try_from(loss)?,
            reorder_ppm: u32::try_from(reorder)?,
            seed,
        })
    }
}

/// One direction of a link. Times count from any fixed moment.
#[derive(Debug)]
pub struct Shaper {
    link: Link,
    random: StdRng,
    /// When the last packet that was accepted has left towards the line.
    sent: Duration,
    /// When the last packet that was not overtaken arrives.
    arrived: Duration,
}

impl Shaper {
    /// The direction `number` (0 or 1) of `link`, which is idle.
    pub fn new(link: Link, number: u64) -> Self {
        Self {
            link,
            random: StdRng::seed_from_u64(link.seed.wrapping_mul(2).wrapping_add(number)),
            sent: Duration::ZERO,
            arrived: Duration::ZERO,
        }
    }

    /// When a packet of `bytes` that comes `now` reaches the other end; none if it is lost.
    pub fn take(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        // Every packet draws the same numbers, so that what happens to one depends on its number alone.
        let (lost, overtaken) = (self.draw(self.link.loss_ppm), self.draw(self.link.reorder_ppm));
        let jitter = self.link.jitter.mul_f64(self.random.random());
        let start = self.sent.max(now);
        if lost || self.waiting_bytes(start - now) > self.link.queue_bytes {
            return None;
        }
        self.sent = start + self.duration(bytes as u64);
        let due = self.sent + self.link.delay + jitter;
        if overtaken {
            return Some(due + self.link.delay / 2 + Duration::from_millis(1));
        }
        self.arrived = due.max(self.arrived);
        Some(self.arrived)
    }

    fn draw(&mut self, ppm: u32) -> bool {
        self.random.random_range(0..MILLION) < ppm
    }

    /// How long the line is busy with so many bytes.
    fn duration(&self, bytes: u64) -> Duration {
        match self.link.rate_kbit {
            Some(rate_kbit) => Duration::from_micros(bytes * 8_000 / u64::from(rate_kbit)),
            None => Duration::ZERO,
        }
    }

    /// The bytes that the line sends in that time.
    fn waiting_bytes(&self, time: Duration) -> u64 {
        let rate_kbit = u64::from(self.link.rate_kbit.unwrap_or(0));
        u64::try_from(time.as_micros())
            .unwrap_or(u64::MAX)
            .saturating_mul(rate_kbit)
            / 8_000
    }
}
