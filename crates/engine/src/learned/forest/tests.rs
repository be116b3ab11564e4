use zerocopy::FromZeros;

use super::*;

/// Features in which a stranger is one.
const STRANGE: usize = COUNT / 4;

/// Numbers from 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = combine(self.0, 0x7f4a);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self, mean: f32, deviation: f32) -> u8 {
        let sum: f32 = (0..12).map(|_| self.next()).sum();
        (mean + deviation * (sum - 6.0)).clamp(0.0, 255.0) as u8
    }

    /// One of two kinds of clients.
    fn client(&mut self) -> Features {
        let kind = f32::from(u8::from(self.next() < 0.3));
        core::array::from_fn(|f| self.normal(60.0 + 40.0 * kind + 3.0 * f as f32, 10.0))
    }

    /// Somebody who is out of the ordinary in a quarter of the features.
    fn stranger(&mut self) -> Features {
        let mut features = self.client();
        let first = (self.next() * (COUNT - STRANGE + 1) as f32) as usize;
        for value in &mut features[first..first + STRANGE] {
            *value = self.normal(235.0, 10.0);
        }
        features
    }
}

struct Memory {
    head: Head,
    trees: Vec<Tree>,
    window: Vec<Features>,
}

impl Memory {
    fn new(trees: usize) -> Self {
        let (head, tree) = (Head::new_zeroed(), Tree::new_zeroed());
        let window = vec![[0; COUNT]; trees * SAMPLES_A_TREE];
        Self { head, trees: vec![tree; trees], window }
    }

    fn forest(&mut self) -> Forest<'_> {
        Forest::new(&mut self.head, &mut self.trees, &mut self.window, 9)
    }
}

/// Probability that a stranger scores higher than a client.
fn auc(forest: &Forest<'_>, random: &mut Random) -> f32 {
    let mut score = |stranger: bool| {
        let sample = if stranger { random.stranger() } else { random.client() };
        forest.score(&sample)
    };
    let (mut right, n) = (0.0, 2000);
    for _ in 0..n {
        let (stranger, client) = (score(true), score(false));
        right += if stranger > client { 1.0 } else { 0.0 };
        right += if stranger == client { 0.5 } else { 0.0 };
    }
    right / n as f32
}

#[test]
fn strangers_are_isolated_also_in_a_poisoned_forest() {
    for (poison, least) in [(0.0, 0.95), (0.1, 0.9)] {
        let (mut memory, mut random) = (Memory::new(TREES), Random(3));
        let mut forest = memory.forest();
        for _ in 0..6000 {
            let stranger = random.next() < poison;
            let sample = if stranger { random.stranger() } else { random.client() };
            forest.teach(&sample);
        }
        let auc = auc(&forest, &mut random);
        assert!(auc >= least, "{poison}: {auc}");
        let usual = forest.surprise(forest.score(&[90; COUNT]));
        assert!(usual <= 0.0 && forest.surprise(1.0) > 0.0, "{usual}");
    }
}

#[test]
fn what_was_normal_long_ago_is_forgotten() {
    let (mut memory, mut random) = (Memory::new(TREES), Random(4));
    let mut forest = memory.forest();
    for _ in 0..3000 {
        forest.teach(&random.client());
    }
    let moved = [230; COUNT];
    let before = forest.score(&moved);
    for _ in 0..3000 {
        let sample = core::array::from_fn(|_| random.normal(230.0, 10.0));
        forest.teach(&sample);
    }
    let after = forest.score(&moved);
    assert!(before > 1.5 * after, "{before} {after}");
    for tree in memory.trees {
        assert!(u64::from(tree.0[0].count) <= memory.window.len() as u64 + 1);
        let halves = [tree.0[1].count, tree.0[2].count];
        assert!(tree.0[0].split == 0 || halves.iter().all(|&half| half <= tree.0[0].count + 64));
    }
}

#[test]
fn is_silent_before_it_has_seen_enough_and_deterministic_after() {
    let learn = || {
        let (mut memory, mut random) = (Memory::new(TREES), Random(5));
        let mut forest = memory.forest();
        for _ in 0..MATURE - 1 {
            forest.teach(&random.client());
        }
        assert_eq!(forest.score(&[255; COUNT]), 0.0);
        for _ in 0..2000 {
            forest.teach(&random.client());
        }
        forest.score(&[255; COUNT])
    };
    let score = learn();
    assert!(score > 0.0, "{score}");
    assert_eq!(score.to_bits(), learn().to_bits());
}

#[test]
fn nobody_teaches_more_than_a_share() {
    let mut memory = Memory::new(TREES);
    let mut forest = memory.forest();
    let mut lessons = 0;
    for n in 0..10_000u64 {
        lessons += u64::from(forest.offer(&[1; COUNT], 7, 0, n * GAP_MS));
    }
    assert_eq!(lessons, u64::from(LESSONS_A_NETWORK), "one network");
    assert!(forest.offer(&[1; COUNT], 8, 0, 10_001 * GAP_MS), "another network");
    assert!(!forest.offer(&[1; COUNT], 9, 0, 10_001 * GAP_MS + 1), "too soon");
    assert!(forest.offer(&[1; COUNT], 7, 1, 10_003 * GAP_MS), "another hour");
    assert_eq!(forest.lessons(), lessons + 2);
}

/// Memory that a crash left, or an attacker wrote, makes no panic and no endless loop.
#[test]
fn any_memory_is_a_forest() {
    let mut random = Random(6);
    let mut memory = Memory::new(4);
    for tree in &mut memory.trees {
        for byte in IntoBytes::as_mut_bytes(tree) {
            *byte = (random.next() * 256.0) as u8;
        }
    }
    memory.head.lessons = u64::MAX - 10;
    memory.head.scores = [u32::MAX; BINS];
    memory.head.scored = u64::MAX;
    let mut forest = memory.forest();
    for _ in 0..3000 {
        let sample = core::array::from_fn(|_| (random.next() * 256.0) as u8);
        forest.teach(&sample);
        let score = forest.score(&sample);
        assert!((0.0..=1.0).contains(&score) && forest.surprise(score).is_finite());
    }
}
