//! What measurements promise: means that follow, peaks that jump, suspicion that nobody can put off.

use nearest::hedge::{DELAY_UNKNOWN_US, DELAY_US, HEDGES_PERCENT, Hedge, explores, silence_us};
use nearest::liveness::{Beats, PHI_ACCUSE, PHI_MAX, PHI_ROUTE_AWAY, SILENCE_TENTHS, is_ill};
use nearest::measure::{Errors, Ewma, FAILS_PERMILLE, Median3, Outcome, Peak, Peer};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000;

/// Signs of life at these gaps, the first at `start`; says when the last was.
fn beaten(beats: &mut Beats, start: u64, gaps: impl IntoIterator<Item = u64>) -> u64 {
    beats.note(start);
    gaps.into_iter().fold(start, |now, gap| {
        beats.note(now + gap);
        now + gap
    })
}

/// The definition, in floats: the yardstick only.
fn expected_phi(elapsed: f64, mean: f64, sigma: f64) -> f64 {
    let y = (elapsed - mean) / sigma;
    let e = (-y * (1.5976 + 0.070_566 * y * y)).exp();
    -(e / (1.0 + e)).log10()
}

proptest! {
    #[test]
    fn a_mean_stays_between_its_values_and_arrives(values in prop::collection::vec(0u64..1 << 40, 1..50), last in 0u64..1 << 40) {
        let mut mean = Ewma::default();
        values.iter().for_each(|value| mean.note(*value));
        let (low, high) = (values.iter().min().expect("some"), values.iter().max().expect("some"));
        let got = mean.get().expect("a value was taken");
        prop_assert!(got + 1 >= *low && got <= *high, "{got} of {low}..={high}");
        (0..400).for_each(|_| mean.note(last));
        prop_assert!(mean.get().expect("values").abs_diff(last) <= 1);
    }

    #[test]
    fn a_peak_is_never_below_its_last_sample_and_falls_with_time(
        samples in prop::collection::vec((0u64..1 << 40, 0u64..10 * SECOND), 1..40), later in 0u64..100 * SECOND,
    ) {
        let mut peak = Peak::new(5 * SECOND);
        let mut now = 0;
        for (value, gap) in samples {
            now += gap;
            peak.note(value, now);
            prop_assert!(peak.get() >= value);
        }
        prop_assert!(peak.at(now + later) <= peak.get());
        prop_assert!(peak.at(now + later + 5 * SECOND) <= peak.at(now + later) / 2 + 1);
    }

    #[test]
    fn errors_stay_in_range_and_are_forgotten(outcomes in prop::collection::vec(any::<bool>(), 0..60)) {
        let mut errors = Errors::default();
        for (n, failed) in outcomes.iter().enumerate() {
            errors.note(*failed, n as u64);
        }
        let now = outcomes.len() as u64;
        prop_assert!(errors.permille(now) <= 1000);
        prop_assert!(errors.permille(now + 30 * SECOND) <= 500);
    }

    #[test]
    fn no_history_puts_off_suspicion(interval in 1_000u64..100 * SECOND, gaps in prop::collection::vec(0u64..1 << 40, 0..40)) {
        let mut beats = Beats::new(interval);
        let last = beaten(&mut beats, 7, gaps);
        prop_assert!(beats.phi_milli(last + (interval * SILENCE_TENTHS).div_ceil(10) + 1) >= PHI_ROUTE_AWAY);
    }

    #[test]
    fn one_lost_sign_of_life_is_not_suspicious(jitter in prop::collection::vec(0u64..200_000, 1..40), last in 0u64..200_000) {
        let mut beats = Beats::new(SECOND);
        let now = beaten(&mut beats, 0, jitter.iter().map(|jitter| SECOND - 100_000 + jitter));
        prop_assert!(beats.phi_milli(now + 2 * SECOND + last) < PHI_ROUTE_AWAY);
    }

    #[test]
    fn suspicion_rises_and_is_what_its_paper_says(elapsed in 0u64..8_000_000, more in 0u64..8_000_000) {
        let mut beats = Beats::new(SECOND);
        beats.note(0);
        let phi = beats.phi_milli(elapsed);
        prop_assert!(phi <= beats.phi_milli(elapsed + more));
        let exact = expected_phi(elapsed as f64, 1e6, 625_000.0);
        let exact = exact.min(f64::from(PHI_MAX) / 1000.0);
        prop_assert!((f64::from(phi) / 1000.0 - exact).abs() < 0.62, "{phi} for {exact}");
    }

    /// Doubt is about the last question alone, and is neither an error nor suspicion.
    #[test]
    fn a_peer_is_doubted_until_it_answers(asked in prop::collection::vec(0u8..3, 1..40)) {
        let mut peer = Peer::new(SECOND);
        prop_assert!(!peer.is_doubted());
        for (n, what) in asked.iter().enumerate() {
            let now = n as u64 * SECOND;
            let before = (peer.errors_permille(now), peer.phi_milli(now));
            match what {
                0 => peer.note(&Outcome::default(), now),
                1 => peer.note(&Outcome { failed: true, ..Outcome::default() }, now),
                _ => {
                    peer.missed();
                    prop_assert_eq!((peer.errors_permille(now), peer.phi_milli(now)), before);
                }
            }
            prop_assert_eq!(peer.is_doubted(), *what != 0);
        }
    }

    /// An edge that acknowledges at once, over a line that adds up to 30 ms, is never taken for silent, unless it is farther
    /// than readers wait for.
    #[test]
    fn silence_is_longer_than_the_way(rtt_us in 0u32..950_000, line_us in 0u32..30_000) {
        prop_assert!(rtt_us + line_us < silence_us(rtt_us));
        prop_assert!(silence_us(rtt_us) <= DELAY_US.1 && silence_us(u32::MAX) == DELAY_US.1);
    }

    #[test]
    fn a_median_is_one_of_the_last_three(values in prop::collection::vec(any::<u32>(), 3..30)) {
        let mut median = Median3::default();
        let medians: Vec<u32> = values.iter().map(|value| median.note(*value)).collect();
        for (three, got) in values.windows(3).zip(&medians[2..]) {
            let mut sorted = three.to_vec();
            sorted.sort_unstable();
            prop_assert_eq!(sorted[1], *got);
        }
    }

    #[test]
    fn hedges_are_few_and_their_delay_is_the_95th_of_100(answers in prop::collection::vec(5_000u32..1_000_000, 20..900)) {
        let mut hedge = Hedge::default();
        answers.iter().for_each(|ttfb| hedge.note(*ttfb));
        let mut sorted = answers;
        sorted.sort_unstable();
        let exact = sorted[(sorted.len() * 95).div_ceil(100) - 1];
        let delay = hedge.delay_us();
        prop_assert!(delay >= exact && delay <= exact + exact / 8 + 1, "{delay} for {exact}");
        let mut taken = 0;
        for _ in 0..10_000 {
            hedge.asked();
            taken += u32::from(hedge.may(u32::MAX));
            prop_assert!(!hedge.may(delay - 1));
        }
        prop_assert!(taken <= 100 * HEDGES_PERCENT + 32, "{taken}");
    }
}

#[test]
fn three_failures_in_a_row_are_enough_and_one_is_not() {
    let mut peer = Peer::new(SECOND);
    let good = Outcome {
        rtt_us: Some(1_000),
        ..Outcome::default()
    };
    let bad = Outcome {
        failed: true,
        ..Outcome::default()
    };
    for _ in 0..20 {
        peer.note(&good, SECOND);
    }
    let mut suspect = || {
        peer.note(&bad, SECOND);
        (peer.is_suspect(SECOND), peer.errors_permille(SECOND))
    };
    assert_eq!(
        [suspect(), suspect(), suspect()],
        [(false, 250), (false, 437), (true, 577)]
    );
    const { assert!(FAILS_PERMILLE <= 577) };
    peer.note(&good, 2 * SECOND);
    assert_eq!(peer.rtt_us(), Some(1_000));
}

#[test]
fn a_peer_is_measured() {
    let mut peer = Peer::new(SECOND);
    assert_eq!(
        (peer.rtt_us(), peer.goodput(), peer.phi_milli(0)),
        (None, None, PHI_MAX)
    );
    let outcome = |rtt_us, ttfb_us, bytes| Outcome {
        rtt_us: Some(rtt_us),
        ttfb_us: Some(ttfb_us),
        transfer: Some((bytes, 500_000)),
        failed: false,
    };
    peer.note(&outcome(8_000, 10_000, 1 << 20), SECOND);
    // One late packet: the median of three keeps it out. The slow first byte counts at once.
    peer.note(&outcome(8_000, 10_000, 10), SECOND);
    peer.note(&outcome(900_000, 950_000, 10), SECOND);
    assert_eq!(peer.rtt_us(), Some(8_000));
    assert_eq!(peer.goodput(), Some(2 << 20));
    assert_eq!(
        (peer.ttfb_us(SECOND), peer.ttfb_us(6 * SECOND)),
        (950_000, 475_000)
    );
    assert!(size_of::<Peer>() < 200);
}

#[test]
fn silence_is_suspicious_after_three_seconds_and_may_be_accused_after_five() {
    let mut beats = Beats::new(SECOND);
    let last = beaten(&mut beats, 0, (0..20).map(|n| SECOND + n % 3 * 10_000));
    let phis: Vec<u32> = (1..6)
        .map(|after| beats.phi_milli(last + after * SECOND))
        .collect();
    assert_eq!(phis, [0, 1_613, 4_697, 10_710, 21_123]);
    assert!(phis[2] >= PHI_ROUTE_AWAY && phis[4] >= PHI_ACCUSE);
}

#[test]
fn who_finds_most_of_its_peers_suspect_at_once_is_ill_itself() {
    for (suspect, watched, ill) in [
        (0, 0, false),
        (1, 1, false),
        (2, 3, true),
        (2, 4, false),
        (12, 24, false),
        (13, 24, true),
    ] {
        assert_eq!(is_ill(suspect, watched), ill, "{suspect} of {watched}");
    }
}

#[test]
fn the_delay_is_a_guess_until_it_is_learned_and_one_in_a_hundred_explores() {
    let mut hedge = Hedge::default();
    assert_eq!(hedge.delay_us(), DELAY_UNKNOWN_US);
    (0..5_000).for_each(|_| hedge.note(1_000_000));
    (0..4_000).for_each(|_| hedge.note(20_000));
    assert!(
        hedge.delay_us() < 25_000,
        "old times are forgotten: {}",
        hedge.delay_us()
    );
    let explored = (0..100_000).filter(|request| explores(*request)).count();
    assert!((900..1_100).contains(&explored), "{explored}");
}
