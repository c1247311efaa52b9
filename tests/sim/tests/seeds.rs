//! Random histories.

use berth_sim::{Fault, history};

const DEEDS: u64 = 40;

fn check(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let (sim, outcome) = history(seed, DEEDS);
        let tell = |fault: Fault| {
            let story = sim.story();
            let tail = story[story.len().saturating_sub(60)..].join("\n");
            format!("seed {seed}: {fault}\n{tail}\n{}", sim.table().join("\n"))
        };
        let told = outcome.map_err(tell).err().unwrap_or_default();
        assert!(told.is_empty(), "{told}");
    }
}

#[test]
fn one_seed_is_one_history() {
    for seed in 0..5 {
        let (one, two) = (history(seed, DEEDS).0, history(seed, DEEDS).0);
        assert_eq!(one.events(), two.events());
        assert_eq!(one.fingerprint(), two.fingerprint());
    }
    assert_ne!(
        history(1, DEEDS).0.fingerprint(),
        history(2, DEEDS).0.fingerprint()
    );
}

#[test]
fn every_history_is_safe_and_comes_to_rest() {
    check(0..100);
}

#[test]
fn every_other_history_too() {
    check(100..200);
}

/// `BERTH_SIM_SEEDS=1000..5000 cargo test -p berth-sim --test seeds -- --ignored`
#[test]
#[ignore = "as many seeds as are asked for"]
fn as_many_as_asked_for() {
    let text = std::env::var("BERTH_SIM_SEEDS").unwrap_or_else(|_| "200..1000".to_owned());
    let (from, to) = text.split_once("..").expect("FROM..TO");
    check(from.parse().unwrap()..to.parse().unwrap());
}
