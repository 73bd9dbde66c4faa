//! The features beyond the specification's releases that `/versions` tells clients of, by the names under
//! which clients look for them.
//!
//! Each area adds its line with the code that makes it true: one line per name, in alphabetical order, with
//! the condition on the configuration under which it holds. A name that is not true is not listed.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions>

use pli_schema::config::Config;

/// When a feature works.
type Condition = fn(&Config) -> bool;

/// Whatever the configuration says.
const fn always(_: &Config) -> bool {
    true
}

/// Users may schedule events.
const fn delayed_events(config: &Config) -> bool {
    config.rooms.delayed_events.per_user > 0
}

/// Clients sign in with OAuth, so a QR code can bring a new one in.
const fn oauth(config: &Config) -> bool {
    config.oauth.enabled
}

/// The server knows where calls are held.
const fn rtc_transports(config: &Config) -> bool {
    !config.calls.livekit_service_urls.is_empty()
}

/// The features, in alphabetical order.
const FEATURES: &[(&str, Condition)] = &[
    ("fi.mau.msc2659", always),
    ("fi.mau.msc2659.stable", always),
    ("im.nheko.summary", always),
    ("io.element.msc4388", oauth),
    ("org.matrix.e2e_cross_signing", always),
    ("org.matrix.msc2285.stable", always),
    ("org.matrix.msc2946", always),
    ("org.matrix.msc3391", always),
    ("org.matrix.msc3440.stable", always),
    ("org.matrix.msc3814", always),
    ("org.matrix.msc3874", always),
    ("org.matrix.msc3890", always),
    ("org.matrix.msc3916.stable", always),
    ("org.matrix.msc4108", oauth),
    ("org.matrix.msc4140", delayed_events),
    ("org.matrix.msc4143", rtc_transports),
    ("org.matrix.msc4151", always),
    ("org.matrix.msc4155", always),
    ("org.matrix.msc4222", always),
    ("org.matrix.msc4260", always),
    ("org.matrix.msc4306", always),
    ("org.matrix.msc4308", always),
    ("org.matrix.msc4354", always),
    ("org.matrix.msc4380", always),
    ("org.matrix.msc4380.stable", always),
    ("org.matrix.simplified_msc3575", always),
    ("uk.half-shot.msc2666", always),
    ("uk.half-shot.msc2666.mutual_rooms", always),
    ("uk.half-shot.msc2666.query_mutual_rooms", always),
    ("uk.half-shot.msc2666.query_mutual_rooms.stable", always),
    ("uk.tcpip.msc4133", always),
    ("uk.tcpip.msc4133.stable", always),
    ("uk.timedout.msc4323", always),
];

/// The features that work with this configuration.
pub(super) fn unstable_features(config: &Config) -> impl Iterator<Item = (String, bool)> {
    let true_ones = FEATURES.iter().filter(|(_, condition)| condition(config));
    true_ones.map(|(name, _)| ((*name).to_owned(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_stands_once_and_in_order() {
        let out_of_order = FEATURES.windows(2).find(|pair| pair[0].0 >= pair[1].0);
        assert_eq!(out_of_order.map(|pair| pair[1].0), None);
        assert!(unstable_features(&Config::default()).count() > 0);
    }
}
