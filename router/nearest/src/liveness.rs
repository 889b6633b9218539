//! Whether a peer is there: φ-accrual suspicion in integers, and whether it is perhaps us.
//!
//! After Hayashibara, Défago, Yared and Katayama, "The φ Accrual Failure Detector" (SRDS 2004): φ = −log₁₀ of the chance
//! that a sign of life would come this late. The normal tail is taken by the logistic approximation that Akka uses, of
//! which the logarithm is, but for at most 0.31, a cubic in y = (elapsed − mean) / σ:
//! φ = (1.5976 y + 0.070566 y³) · log₁₀ e. So it needs no exponential, and every machine gives the same.
//!
//! The mean is kept between the expected interval and one and a half of it, σ between a half and three quarters of it. So
//! dense traffic does not make a pause suspicious, one lost sign of life does not either, and no history, however it was
//! made, can put off [`PHI_ROUTE_AWAY`] beyond 3.8 intervals.

/// From this φ on traffic goes around a peer, in thousandths.
pub const PHI_ROUTE_AWAY: u32 = 3_000;
/// From this φ on a peer may be accused, in thousandths (Cassandra convicts at 8).
pub const PHI_ACCUSE: u32 = 8_000;
/// The most that φ gets, in thousandths.
pub const PHI_MAX: u32 = 37_000;
/// After so many tenths of the expected interval without a sign of life every peer is routed around, whatever its history.
pub const SILENCE_TENTHS: u64 = 38;

/// The signs of life of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beats {
    interval_us: u64,
    /// Eighths, as in [`crate::measure::Ewma`].
    mean: u64,
    deviation: u64,
    last_us: Option<u64>,
}

impl Beats {
    /// A peer of which a sign of life is expected every `interval_us`, 1,000 to 2^32.
    #[must_use]
    pub fn new(interval_us: u64) -> Self {
        let interval_us = interval_us.clamp(1_000, 1 << 32);
        Self {
            interval_us,
            mean: interval_us * 8,
            deviation: interval_us * 4,
            last_us: None,
        }
    }

    /// Takes note of a sign of life.
    pub fn note(&mut self, now_us: u64) {
        if let Some(last_us) = self.last_us {
            // A pause is no measure of the usual interval: a peer that comes back starts where it was.
            let gap = now_us.saturating_sub(last_us).min(self.interval_us * 2);
            let off = gap.abs_diff(self.mean / 8);
            self.mean = self.mean - self.mean / 8 + gap;
            self.deviation = self.deviation - self.deviation / 8 + off;
        }
        self.last_us = Some(now_us.max(self.last_us.unwrap_or(0)));
    }

    /// When there was a sign of life; `None` if never.
    #[must_use]
    pub fn last_us(&self) -> Option<u64> {
        self.last_us
    }

    /// The suspicion in thousandths of φ, up to [`PHI_MAX`]; rises with time. Of whom nothing was ever heard it is the
    /// highest.
    #[must_use]
    pub fn phi_milli(&self, now_us: u64) -> u32 {
        let Some(last_us) = self.last_us else {
            return PHI_MAX;
        };
        let mean = (self.mean / 8).clamp(self.interval_us, self.interval_us * 3 / 2);
        // σ is five quarters of the mean deviation, for normal values.
        let sigma =
            (self.deviation / 8 * 5 / 4).clamp(self.interval_us.div_ceil(2), self.interval_us * 3 / 4);
        let late = now_us.saturating_sub(last_us).saturating_sub(mean);
        // Thousandths; at 10 the cubic is at its end.
        let y = (u128::from(late) * 1000 / u128::from(sigma)).min(10_000) as u64;
        let phi = (y * 693_830 + y * y / 1000 * y / 1000 * 30_646) / 1_000_000;
        (phi as u32).min(PHI_MAX)
    }
}

/// Whether it is this node that is ill, and not its peers: when more than half of those that it watches, and at least
/// two, are suspect at once, what they have in common is the one who watches (the self-awareness of Lifeguard: Dadgar,
/// Phillips and Currey, DSN-W 2018). Who is ill accuses nobody.
#[must_use]
pub fn is_ill(suspect: usize, watched: usize) -> bool {
    suspect >= 2 && suspect * 2 > watched
}
