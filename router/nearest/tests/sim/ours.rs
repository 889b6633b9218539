//! A request by the crate's own rule: its router names edges, the reader tries them in that order.

use std::cmp::Reverse;

use nearest::hedge::silence_us;
use nearest::measure::Outcome;

use crate::adverts::told;
use crate::report::Got;
use crate::run::{Decider, Run, Served, TRIES};

impl Run<'_> {
    pub fn ask_ours(&mut self, site: usize, object: u32, transfer_us: u64, now: u64) -> Got {
        let city = self.world.sites[site].city;
        let request = self.random.next();
        let choice = self.routers[city].choose(object, request);
        self.routers[city].hedge.asked();
        let mut order: Vec<u32> = choice
            .usable()
            .map(|edge| self.routers[city].node_of(edge))
            .collect();
        self.check_answer(&order, now);
        if self.decider == Decider::Doubling {
            order = self.routers[city].doubled(&choice, request);
        }
        // When those fail, the full ones are tried, and at last those that are not trusted.
        let all = choice
            .ranked
            .iter()
            .map(|verdict| self.routers[city].node_of(&verdict.edge));
        let rest: Vec<u32> = all.filter(|n| !order.contains(n)).collect();
        order.extend(rest);
        let (mut waited_us, mut got) = (0, Got::default());
        for n in order.into_iter().take(TRIES) {
            let delay_us = self.routers[city].hedge.delay_us();
            let rtt_us = self.rtt_us(site, n);
            got.messages += 1;
            match self.serve(n, city as u32, object, transfer_us, now) {
                Served::Dead => {
                    // Silence is noticed for nothing; to ask sooner is a hedge.
                    let silence_us = silence_us(self.routers[city].rtt_us(n));
                    let hedged = silence_us > delay_us && self.routers[city].hedge.may(delay_us);
                    waited_us += u64::from(if hedged { delay_us } else { silence_us });
                    // A question is in hand from when it is sent.
                    self.routers[city].begun(n, now);
                    self.failures.push(Reverse((now + waited_us, n, city as u32)));
                    got.silent += 1;
                }
                Served::Busy => {
                    let load = told(&self.world.nodes[n as usize], self.inflight[n as usize]);
                    self.routers[city].learn(n, &Outcome::default(), true, load, now);
                    waited_us += rtt_us;
                    let unavoidable = self.nearest_with_room(site, now).is_none();
                    if now >= self.config.warm_us {
                        self.counts.refused(self.world.nodes[n as usize].lie, unavoidable);
                    }
                }
                Served::Yes { took_us, hit } => {
                    let ttfb_us = rtt_us + took_us;
                    let outcome = Outcome {
                        ttfb_us: Some(ttfb_us as u32),
                        ..Outcome::default()
                    };
                    let load = told(&self.world.nodes[n as usize], self.inflight[n as usize]);
                    self.routers[city].begun(n, now);
                    self.routers[city].learn(n, &outcome, false, load, now);
                    return Got {
                        ttfb_us: Some(waited_us + ttfb_us),
                        waited_us,
                        rtt_us,
                        hit,
                        hops: 1,
                        ..got
                    };
                }
            }
        }
        got.waited_us = waited_us;
        got
    }

    /// A stopped edge may be among the first three, which DNS would name, for five seconds.
    fn check_answer(&mut self, order: &[u32], now: u64) {
        for n in order.iter().take(3) {
            let node = &self.world.nodes[*n as usize];
            if let Some((stops, _)) = node.stops.filter(|_| !node.is_up(now)) {
                self.counts.stopped_named_us = self.counts.stopped_named_us.max(now - stops);
            }
        }
    }
}
