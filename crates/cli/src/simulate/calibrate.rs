//! `simulate --calibrate`: what evidence means, from seeded simulations to a Rust table.
//!
//! Confidence is a probability: that a source whose evidence has come so far is an attacker. By Bayes it is
//! `π a(E) / (π a(E) + (1 − π) b(E))`, with a and b the shares of attackers and of benign source-days that
//! ever reach E, and π one attacker in a thousand source-days. Real people are less tidy than simulated
//! ones, so b is never less than what the sequential tests promise in the worst case: n requests reach E with
//! a probability of at most `n exp(−E)`. Nobody is denied meanwhile, so that everybody shows all they do.

use std::fmt::Write as _;

use api_abuse_engine::fusion::{CONFIDENCE_STEP, CONFIDENCE_STEPS, Sensitivity};

use super::plan::Plan;
use super::scenario::scenarios;
use super::source::Class;
use super::trial::{self, Learned};
use crate::Failure;

/// Attackers in all source-days.
const PRIOR: f64 = 1e-3;
/// Attacks stop when this many requests have been seen.
const ENOUGH: u32 = 2000;

/// Simulates, and returns the text of the engine's table.
pub(super) fn table(plan: &Plan, progress: impl Fn(String)) -> Result<String, Failure> {
    let (mut benign, mut attackers, mut requests) = (Vec::new(), Vec::new(), 0);
    for &seed in &plan.seeds {
        progress(format!("benign population of seed {seed}"));
        let (peaks, made) = trial::benign_peaks(seed, plan.population, plan.days)?;
        requests += made;
        benign.extend(peaks.iter().filter(|it| it.class != Class::Attacker).map(|it| it.nats));
        progress(format!("attacks of seed {seed}"));
        attackers.extend(attacks(plan, seed)?);
    }
    let each = requests as f64 / benign.len().max(1) as f64;
    let confidence = confidence(&benign, each, &attackers);
    Ok(written(plan, [benign.len(), attackers.len()], &confidence))
}

/// The highest evidence of every attacker from one source.
fn attacks(plan: &Plan, seed: u64) -> Result<Vec<f32>, Failure> {
    let learned = Learned::watching(seed ^ 0x6361_6c69, plan.population)?;
    let mut memory = learned.scratch();
    let mut peaks = Vec::new();
    for scenario in scenarios().iter().filter(|it| it.is_single_source() && !it.busy_login) {
        for run in 0..plan.runs {
            let seed = seed.wrapping_mul(1_000_003).wrapping_add(run);
            let run = learned.watch_attack(&mut memory, scenario, seed, |world| {
                world.ledger.attack.requests >= ENOUGH
            })?;
            let of_attack = run.peaks.iter().filter(|peak| peak.class == Class::Attacker);
            peaks.extend(of_attack.map(|peak| peak.nats).reduce(f32::max));
        }
    }
    Ok(peaks)
}

/// Per cent for each step of evidence, rounded down. It never falls: what is less further on is less
/// here, too. `each`: requests of a benign source-day, on the average.
fn confidence(benign: &[f32], each: f64, attackers: &[f32]) -> [u8; CONFIDENCE_STEPS] {
    let reach =
        |peaks: &[f32], nats: f32| peaks.iter().filter(|peak| **peak >= nats).count() as f64;
    let mut percent: [u8; CONFIDENCE_STEPS] = core::array::from_fn(|step| {
        let nats = step as f32 * CONFIDENCE_STEP;
        let promised = each * f64::from(-nats).exp();
        let b = (reach(benign, nats) / benign.len().max(1) as f64).max(promised).min(1.0);
        // An attacker that was convicted does no more: from the threshold on all count.
        let a = reach(attackers, nats.min(Sensitivity::Normal.threshold()));
        let a = a / attackers.len().max(1) as f64;
        let share = PRIOR * a / (PRIOR * a + (1.0 - PRIOR) * b);
        (share * 100.0) as u8
    });
    for step in (1..CONFIDENCE_STEPS).rev() {
        percent[step - 1] = percent[step - 1].min(percent[step]);
    }
    percent
}

/// The table as Rust.
fn written(
    plan: &Plan,
    [benign, attackers]: [usize; 2],
    confidence: &[u8; CONFIDENCE_STEPS],
) -> String {
    let mut out = format!(
        "//! What evidence means. Written by `make calibrate`, not by hand.\n\n\
         /// The command that wrote it.\npub const COMMAND: &str =\n    {:?};\n\
         /// Seeds of the simulations.\npub const SEEDS: &[u64] = &{:?};\n\
         /// Benign source-days, and attacks.\npub const SAMPLES: [usize; 2] = [{benign}, {attackers}];\n\n\
         /// Per cent, for each step of evidence from 0 on.\n#[rustfmt::skip]\n\
         pub const CONFIDENCE: [u8; super::CONFIDENCE_STEPS] = [",
        plan.command, plan.seeds
    );
    for (step, percent) in confidence.iter().enumerate() {
        let between = if step % 16 == 0 { "\n    " } else { " " };
        let _ = write!(out, "{between}{percent},");
    }
    out.push_str("\n];\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_is_what_bayes_says() {
        let mut benign = vec![0.0; 99_000];
        benign.extend([4.0; 1000]);
        let attackers = [25.0; 100];
        let percent = confidence(&benign, 10.0, &attackers);
        assert!(percent.is_sorted());
        assert_eq!(percent[0], 0, "one in a thousand, rounded down");
        let at = |nats: f32| percent[(nats / CONFIDENCE_STEP) as usize];
        assert_eq!(at(4.0), 0, "the worst case is worse");
        // Nobody, but ten requests reach it one time in nine at most.
        assert_eq!(at(4.5), 0);
        assert_eq!((at(9.0), at(12.0), at(20.5)), (44, 94, 99));
    }
}
