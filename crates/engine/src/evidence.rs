//! Sequential evidence: reflected walks of log likelihood ratios, mixed over alternatives.
//!
//! For one source and threat, each alternative m keeps
//! `S[m] = max(0, S[m] + clip(ln p1/p0))`, and the evidence is `E = ln mean_m exp(S[m])`. A mixture of
//! e-detectors is an e-detector (Shin, Ramdas, Rinaldo: *E-detectors*, 2022): while the null
//! dominates, the mean number of events between false alarms is at least `exp(h)`, whatever the
//! dependence between events. Thresholds are therefore stated in events.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Alternatives of one threat.
pub const ALTERNATIVES: usize = 4;
/// Bounds of one event's log likelihood ratio, nats: no single request convicts, and no single
/// request acquits.
pub const CLIP: (f32, f32) = (-2.5, 4.0);
/// Evidence loses half its weight in this time.
pub const HALF_LIFE_MS: f32 = 86_400_000.0;
/// Steps of a walk in one nat: a walk is stored as fixed point, half the size of a float, with any
/// bit pattern a valid value.
const STEPS: f32 = 1024.0;
/// Highest value of a walk, nats: a source that stops is forgiven in bounded time.
pub const CEILING: f32 = u16::MAX as f32 / STEPS;

/// The log likelihood ratios of one event under each alternative, nats. Alternatives that a detector
/// does not use are never above zero.
pub type Ratios = [f32; ALTERNATIVES];

/// The walks of one source and threat.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Walks([u16; ALTERNATIVES]);

impl Walks {
    /// Walks at these values, nats.
    pub fn at(values: [f32; ALTERNATIVES]) -> Self {
        Self(values.map(|value| {
            // Rounded half up by hand: a call of the mathematics library for each costs more than all
            // the rest of a step.
            let steps = value.clamp(0.0, CEILING) * STEPS;
            let whole = steps as u16;
            whole + u16::from(steps - f32::from(whole) >= 0.5)
        }))
    }

    /// The values, nats.
    pub fn values(&self) -> [f32; ALTERNATIVES] {
        self.0.map(|value| f32::from(value) / STEPS)
    }

    /// All of them are zero, as those of nearly everybody are.
    pub fn is_zero(&self) -> bool {
        u64::from_ne_bytes(zerocopy::transmute!(self.0)) == 0
    }

    /// Adds one event; false where there was nothing, and nothing came.
    pub fn step(&mut self, ratios: &Ratios) -> bool {
        if self.is_zero() && ratios.iter().fold(0.0f32, |most, ratio| most.max(*ratio)) <= 0.0 {
            return false;
        }
        let values = self.values();
        *self = Self::at(core::array::from_fn(|m| values[m] + ratios[m].clamp(CLIP.0, CLIP.1)));
        true
    }

    /// The highest of them, nats: an upper bound of the evidence that costs no logarithm.
    pub fn peak(&self) -> f32 {
        f32::from(self.0.into_iter().fold(0, u16::max)) / STEPS
    }

    /// The highest of all walks, nats.
    pub fn peak_of(all: &[Self; 8]) -> f32 {
        // In whole registers: this is asked of every source of every record.
        let lanes: [[u16; 8]; ALTERNATIVES] = zerocopy::transmute!(*all);
        let any = lanes.iter().flatten().fold(0, |any, &value| any | value);
        if any == 0 {
            return 0.0;
        }
        let [mut top, rest @ ..] = lanes;
        for lane in rest {
            for (top, value) in top.iter_mut().zip(lane) {
                *top = (*top).max(value);
            }
        }
        f32::from(top.into_iter().fold(0, u16::max)) / STEPS
    }

    /// Whether the evidence is at least `nats`: it is never more than the peak, which costs no logarithm.
    pub fn passes(&self, nats: f32) -> bool {
        self.peak() >= nats && self.evidence() >= nats
    }

    /// Evidence, nats: the mixture over alternatives with equal weights. Zero for fresh walks.
    pub fn evidence(&self) -> f32 {
        log_mean_exp(&self.values())
    }

    /// Raises the walks to at least `floor`, nats.
    #[inline(never)]
    pub fn raise(&mut self, floor: f32) {
        *self = Self::at(self.values().map(|value| value.max(floor)));
    }

    /// Multiplies the walks by `factor`, 0 to 1.
    pub fn fade(&mut self, factor: f32) {
        *self = Self::at(self.values().map(|value| value * factor));
    }
}

/// `ln(mean(exp(x)))`, without overflow.
pub fn log_mean_exp(values: &[f32]) -> f32 {
    let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = values.iter().map(|value| (value - top).exp()).sum();
    top + (sum / values.len() as f32).ln()
}

/// What remains of evidence after `elapsed_ms`.
pub fn decay(elapsed_ms: u64) -> f32 {
    (-(elapsed_ms as f32) / HALF_LIFE_MS).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_are_reflected_and_clipped() {
        let mut walks = Walks::default();
        walks.step(&[-9.0, 9.0, 1.0, 0.0]);
        assert_eq!(walks.values(), [0.0, 4.0, 1.0, 0.0]);
        walks.step(&[1.0, -9.0, -9.0, 0.0]);
        assert_eq!(walks.values(), [1.0, 1.5, 0.0, 0.0]);
        assert_eq!(Walks::at([1e9, f32::NAN, -3.0, 0.0]).values(), [CEILING, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn evidence_is_the_mixture() {
        assert_eq!(Walks::default().evidence(), 0.0);
        let evidence = Walks::at([24.0, 0.0, 0.0, 0.0]).evidence();
        assert!((evidence - (24.0 - 4f32.ln())).abs() < 1e-3, "{evidence}");
    }

    /// The guarantee that thresholds rest on, by simulation: under the null the mean of `exp(S)`
    /// increments is one, so the mean time to pass h is at least `exp(h)`.
    #[test]
    fn false_alarms_are_rarer_than_promised() {
        let (p0, p1, h) = (0.05f32, 0.4f32, 4.0f32);
        let ratios = |hit: bool| {
            let ratio = if hit { (p1 / p0).ln() } else { ((1.0 - p1) / (1.0 - p0)).ln() };
            [ratio; ALTERNATIVES]
        };
        let (mut seed, mut events, mut alarms) = (1u64, 0u64, 0u64);
        let mut walks = Walks::default();
        while events < 400_000 {
            seed = crate::hash::combine(seed, events);
            walks.step(&ratios((seed >> 40) as f32 / (1u64 << 24) as f32 <= p0));
            events += 1;
            if walks.evidence() >= h {
                alarms += 1;
                walks = Walks::default();
            }
        }
        assert!(alarms > 0, "the simulation never alarmed: it shows nothing");
        assert!(events as f32 / alarms as f32 >= h.exp(), "{events} events, {alarms} alarms");
    }
}
