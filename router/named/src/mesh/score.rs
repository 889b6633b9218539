//! What peers are worth to gossip, as GossipSub 1.1 counts it.
//!
//! The sum of a peer's score decides: below a quarter of a ban it gets no gossip about messages, below half of one none of
//! our own, below a whole one nothing that it says is looked at.

use std::collections::HashSet;
use std::time::Duration;

use libp2p::gossipsub::{PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams};

use super::standing::SEVERE;

/// How often scores decay.
const DECAY_EVERY: Duration = Duration::from_secs(1);

/// The parameters, each with its reason.
pub fn scoring(topics: &HashSet<TopicHash>) -> (PeerScoreParams, PeerScoreThresholds) {
    let params = PeerScoreParams {
        topics: topics.iter().map(|hash| (hash.clone(), topic())).collect(),
        // What a peer earned by being first is a tenth of a ban at most: nobody saves up for an attack.
        topic_score_cap: SEVERE as f64 / 10.0,
        // The standing, which the node keeps itself and which bans, counts as it is.
        app_specific_weight: 1.0,
        // Nodes behind one address are no offence: a cluster on one machine, operators in one office.
        ip_colocation_factor_weight: 0.0,
        ip_colocation_factor_threshold: f64::MAX,
        ip_colocation_factor_whitelist: HashSet::new(),
        // Promises that are broken now and then are lost packets; ten within seconds are an attack.
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_decay: 0.9,
        decay_interval: DECAY_EVERY,
        decay_to_zero: 0.01,
        // Who leaves with a bad score and comes back has it still, for as long as a ban lasts.
        retain_score: super::standing::BAN,
        slow_peer_weight: -0.2,
        slow_peer_threshold: 0.0,
        slow_peer_decay: 0.2,
    };
    let ban = -(SEVERE as f64);
    let thresholds = PeerScoreThresholds {
        gossip_threshold: ban * 0.25,
        publish_threshold: ban * 0.5,
        graylist_threshold: ban,
        // Nobody's word about other peers is taken: the hash table and identify know them.
        accept_px_threshold: f64::MAX,
        // Peers that never bring anything first are exchanged for others while the mesh is as a whole poor.
        opportunistic_graft_threshold: 1.0,
    };
    (params, thresholds)
}

fn topic() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        // To be there is no merit, and silence no fault: topics may be quiet for long.
        time_in_mesh_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // To bring what nobody else brought is one.
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 50.0,
        // The square of the invalid messages of the last minutes. Ten at once are worth ten points here, beside the ten for
        // each that the standing takes: the tenth is heard, and bans; and after the ban it is not forgotten at once.
        invalid_message_deliveries_weight: -0.1,
        invalid_message_deliveries_decay: 0.99,
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::standing::REFUSED;

    fn after_invalid(count: u32) -> f64 {
        let (params, _) = scoring(&HashSet::from([TopicHash::from_raw("one")]));
        let topic = topic();
        let squared = topic.invalid_message_deliveries_weight * f64::from(count * count) * topic.topic_weight;
        squared - params.app_specific_weight * REFUSED as f64 * f64::from(count)
    }

    #[test]
    fn the_numbers_are_valid() {
        let (params, thresholds) = scoring(&HashSet::from([TopicHash::from_raw("one")]));
        params.validate().expect("parameters");
        thresholds.validate().expect("thresholds");
    }

    #[test]
    fn invalid_messages_lead_to_the_graylist_with_the_ban_and_not_before() {
        let (_, thresholds) = scoring(&HashSet::new());
        // The ninth leaves a peer heard, so that the tenth counts; with the tenth the standing bans it.
        assert!(after_invalid(9) > thresholds.graylist_threshold);
        assert!(after_invalid(10) < thresholds.graylist_threshold);
        // One mistake costs nothing but itself, two or three cost no more than gossip.
        assert!(after_invalid(2) > thresholds.gossip_threshold);
        assert!(after_invalid(3) > thresholds.publish_threshold);
    }
}
