//! Sees that others reach this node: through a relay, if they do not reach its own port.

use std::time::Duration;

use super::Node;
use super::look::{Door, Sight};
use crate::config::RelayUse;

/// How often it is looked whether a relay is needed, and whether there is one.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Stays at a relay as long as one is needed and there is one; at the next when it fails.
pub async fn keep_up(node: &Node) {
    let settings = &node.config.settings.delivery;
    let mut beat = tokio::time::interval(LOOK_EVERY);
    loop {
        beat.tick().await;
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
        if let Err(why) = node.delivery.stay_at(&relay, node.stop.cancelled()).await {
            tracing::info!(relay = %name, "the relay was left: it {why}");
            node.finder.left_relay(&name, &why);
        }
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
