//! Medians and their uncertainty.

/// A median with its bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The lower end of the interval of 95 %.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The median; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

/// The median, and between which values 95 % of the medians of resamples lie. The same values give the same interval.
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sample: Vec<f64> = values
                .iter()
                .map(|_| values[random.below(values.len())])
                .collect();
            median(&sample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    Some(Estimate {
        median: median(values),
        low: medians[RESAMPLES * 25 / 1000],
        high: medians[RESAMPLES * 975 / 1000],
    })
}

const RESAMPLES: usize = 10_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [
            (&[][..], 0.0),
            (&[3.0], 3.0),
            (&[3.0, 1.0], 2.0),
            (&[9.0, 1.0, 2.0], 2.0),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }

    #[test]
    fn an_interval_holds_the_median_and_nothing_outside_of_the_values() {
        let values = [1.0, 1.1, 1.2, 0.9, 1.05, 1.0, 3.0];
        let estimate = estimate(&values).expect("an estimate");
        assert_eq!(estimate.median, 1.05);
        assert!(estimate.low <= 1.05 && estimate.high >= 1.05);
        assert!(estimate.low >= 0.9 && estimate.high <= 3.0);
        assert_eq!(super::estimate(&[]), None);
        let certain = super::estimate(&[2.0; 5]).expect("an estimate");
        assert_eq!((certain.low, certain.high), (2.0, 2.0));
    }
}
