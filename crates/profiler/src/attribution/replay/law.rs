//! How long a visit to a stage takes: draws that are the same for the same seed, stage and item.

/// How service times scatter about their mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Not at all.
    Fixed,
    /// As the times between random arrivals.
    Exponential,
    /// As the logarithm of a normal law, with this ratio of standard deviation to mean.
    Lognormal(f64),
    /// This share of the items takes so many times as long as the others.
    Either(f64, f64),
}

impl Law {
    /// The draw for an item, of mean 1. Every `stream` draws for itself.
    pub(super) fn draw(self, stream: u64, item: u64) -> f64 {
        let bits = mix(stream ^ mix(item));
        let uniform = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
        let either = |bits: u64, share: f64, times: f64| {
            let drawn = if uniform(bits) < share { times } else { 1.0 };
            drawn / (1.0 + (times - 1.0) * share)
        };
        match self {
            Law::Fixed => 1.0,
            Law::Exponential => -(1.0 - uniform(bits)).ln(),
            Law::Lognormal(variation) => {
                let variance = (1.0 + variation * variation).ln();
                // Box and Muller.
                let radius = (-2.0 * (1.0 - uniform(bits)).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * uniform(mix(bits))).cos();
                (variance.sqrt() * normal - 0.5 * variance).exp()
            }
            Law::Either(share, times) => either(bits, share, times),
        }
    }

    /// That of the mean of so many draws, about.
    pub(super) fn of_mean(self, draws: f64) -> Self {
        if draws <= 1.0 {
            return self;
        }
        let variation = match self {
            Law::Fixed => return Law::Fixed,
            Law::Exponential => 1.0,
            Law::Lognormal(variation) => variation,
            Law::Either(share, times) => {
                (times - 1.0) * (share * (1.0 - share)).sqrt() / (1.0 + (times - 1.0) * share)
            }
        };
        Law::Lognormal(variation / draws.sqrt())
    }
}

/// The finalizer of SplitMix64: every bit of the key tells on every bit of the hash.
pub(super) fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
