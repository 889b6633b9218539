//! Sees that others reach this node: through a relay, if they do not reach its own port.

use std::time::{Duration, Instant};

use super::Node;
use super::look::{Door, Sight};
use crate::config::RelayUse;

/// How often it is looked whether a relay is needed, and whether there is one.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest that it is waited after relay upon relay has failed.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Stays at a relay as long as one is needed and there is one; at the next when it fails.
pub async fn keep_up(node: &Node) {
    let settings = &node.config.settings.delivery;
    let mut pause = LOOK_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        if !is_needed(settings.relay, &node.outlook.sights()) {
            continue;
        }
        let Some(relay) = node
            .finder
            .relays(settings.relay_price_max.get())
            .into_iter()
            .next()
        else {
            continue;
        };
        let name = relay.provider.node;
        tracing::info!(relay = %name, address = %relay.address, "others are to reach this node through a relay");
        let began = Instant::now();
        if let Err(why) = node.delivery.stay_at(&relay, node.stop.cancelled()).await {
            tracing::info!(relay = %name, "the relay was left: it {why}");
            node.finder.left_relay(&name, &why);
        }
        pause = pause_after(pause, began.elapsed());
    }
}

/// How long to wait after a stay of this length, when it was waited so long before it: twice as long after each that was
/// short.
fn pause_after(before: Duration, stayed: Duration) -> Duration {
    match stayed < PAUSE_MAX {
        true => (2 * before).min(PAUSE_MAX),
        false => LOOK_EVERY,
    }
}

/// Whether this node needs a relay, by its setting and by how others see its ports.
fn is_needed(setting: RelayUse, sights: &[Sight]) -> bool {
    match setting {
        RelayUse::Always => true,
        RelayUse::Never => false,
        RelayUse::Auto => {
            let mut delivery = sights
                .iter()
                .filter(|sight| matches!(sight.door, Door::Delivery { .. }));
            delivery.any(Sight::is_missed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_that_fail_are_tried_less_and_less_often() {
        let (short, long) = (Duration::from_secs(1), PAUSE_MAX);
        let second = pause_after(LOOK_EVERY, short);
        assert_eq!(second, 2 * LOOK_EVERY);
        assert_eq!(
            (0..20).fold(second, |pause, _| pause_after(pause, short)),
            PAUSE_MAX
        );
        assert_eq!(pause_after(PAUSE_MAX, long), LOOK_EVERY);
    }

    #[test]
    fn who_is_reached_needs_no_relay() {
        let sight = |reached, tried| Sight {
            door: Door::Delivery { port: 4102 },
            address: None,
            reached,
            tried,
            ms: None,
            reason: None,
        };
        let check = |sights: &[Sight], expected: [bool; 3]| {
            let needed = [RelayUse::Auto, RelayUse::Always, RelayUse::Never];
            assert_eq!(needed.map(|setting| is_needed(setting, sights)), expected);
        };
        check(&[], [false, true, false]);
        check(&[sight(1, 3)], [false, true, false]);
        check(&[sight(0, 0)], [false, true, false]);
        check(&[sight(0, 3)], [true, true, false]);
        let gateway = Sight {
            door: Door::Gateway {
                port: 80,
                host: "localhost".to_owned(),
            },
            ..sight(0, 3)
        };
        check(&[gateway], [false, true, false]);
    }
}
