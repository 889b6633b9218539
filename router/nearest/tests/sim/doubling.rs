//! The reference's rule for hot content, which is not ours, for comparison.

use nearest::{Choice, Edge};

use crate::random::Random;
use crate::router::Router;

impl Router {
    /// The order by doubling homes: of the first 2, 4, 8 of the content's order, doubled while they are above a half on
    /// average, one by the room that they have; of the first two the first while it is below a half.
    pub fn doubled(&self, choice: &Choice, request: u64) -> Vec<u32> {
        let ranked: Vec<&Edge> = choice
            .ranked
            .iter()
            .map(|verdict| &verdict.edge)
            .filter(|edge| edge.alive)
            .collect();
        let load = |edge: &Edge| edge.inflight * 100 / edge.capacity.max(1);
        let mut homes = 2.min(ranked.len());
        while homes < 8.min(ranked.len())
            && ranked[..homes].iter().map(|edge| load(edge)).sum::<u32>() > 50 * homes as u32
        {
            homes = (homes * 2).min(ranked.len());
        }
        let room = |edge: &Edge| u64::from(self.policy.bound(edge.capacity).saturating_sub(edge.inflight));
        let first = match homes {
            2 if load(ranked[0]) < 50 => 0,
            _ => {
                let sums: Vec<u64> = ranked[..homes]
                    .iter()
                    .scan(0, |sum, edge| {
                        *sum += room(edge);
                        Some(*sum)
                    })
                    .collect();
                let drawn = Random::new(request).below(sums.last().copied().unwrap_or(1));
                sums.partition_point(|sum| *sum <= drawn)
            }
        };
        let with_room = ranked
            .iter()
            .enumerate()
            .filter(|(at, edge)| *at != first && room(edge) > 0)
            .map(|(at, _)| at);
        let first = Some(first).filter(|at| ranked.get(*at).is_some_and(|edge| room(edge) > 0));
        first
            .into_iter()
            .chain(with_room)
            .map(|at| self.node_of(ranked[at]))
            .collect()
    }
}
