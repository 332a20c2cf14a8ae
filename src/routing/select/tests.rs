//! Orders by every strategy, and random routes of which no order may leave one out or, without weight, put one first.

use proptest::prelude::{Just, ProptestConfig, prop};
use proptest::{prop_assert, prop_assert_eq, prop_compose, prop_oneof, proptest};

use super::*;

fn candidate() -> Candidate {
    Candidate {
        weight: 1.0,
        in_flight: 0,
        pace: None,
    }
}

fn weights(weights: &[f64]) -> Vec<Candidate> {
    let weights = weights.iter().copied();
    weights
        .map(|weight| Candidate {
            weight,
            ..candidate()
        })
        .collect()
}

fn busy(in_flight: &[usize]) -> Vec<Candidate> {
    let in_flight = in_flight.iter().copied();
    in_flight
        .map(|in_flight| Candidate {
            in_flight,
            ..candidate()
        })
        .collect()
}

fn paced(milliseconds: &[Option<u64>]) -> Vec<Candidate> {
    let paces = milliseconds.iter().copied();
    paces
        .map(|pace| Candidate {
            pace: pace.map(Duration::from_millis),
            ..candidate()
        })
        .collect()
}

/// The order where chance never explores.
fn order_of(strategy: Strategy, candidates: &[Candidate], turn: u64) -> Vec<usize> {
    order(strategy, candidates, turn, &mut || 0.999)
}

fn firsts(strategy: Strategy, candidates: &[Candidate], requests: u32, seed: u64) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut firsts = vec![0; candidates.len()];
    for turn in 0..requests {
        let order = order(strategy, candidates, u64::from(turn), &mut || random.f64());
        firsts[order[0]] += 1;
    }
    firsts
}

#[test]
fn an_ordered_model_keeps_the_order_of_its_file() {
    let candidates = busy(&[9, 0, 3]);
    assert_eq!(order_of(Strategy::Ordered, &candidates, 5), [0, 1, 2]);
}

#[test]
fn each_route_is_first_in_turn() {
    let candidates = busy(&[0, 0, 0]);
    let order = |turn| order_of(Strategy::RoundRobin, &candidates, turn);
    assert_eq!(order(0), [0, 1, 2]);
    assert_eq!(order(1), [1, 2, 0]);
    assert_eq!(order(2), [2, 0, 1]);
    assert_eq!(order(3), [0, 1, 2]);
    assert_eq!(order(u64::MAX), [0, 1, 2]);
}

#[test]
fn the_least_busy_is_first_and_of_equals_the_next_in_turn() {
    let candidates = busy(&[2, 0, 1, 0]);
    let order = |turn| order_of(Strategy::LeastBusy, &candidates, turn);
    assert_eq!(order(0), [1, 3, 2, 0]);
    assert_eq!(order(2), [3, 1, 2, 0]);
}

#[test]
fn the_fastest_is_first_after_those_that_nobody_has_heard() {
    let fastest = |candidates: &[Candidate]| order_of(Strategy::Fastest, candidates, 0);
    assert_eq!(
        fastest(&paced(&[Some(300), Some(100), Some(200)])),
        [1, 2, 0]
    );
    assert_eq!(fastest(&paced(&[Some(300), None, Some(200)])), [1, 2, 0]);
}

#[test]
fn a_route_whose_first_call_is_under_way_waits_for_what_it_tells() {
    let mut candidates = paced(&[None, Some(900), None]);
    candidates[0].in_flight = 1;
    assert_eq!(order_of(Strategy::Fastest, &candidates, 0), [2, 1, 0]);
    candidates[2].in_flight = 3;
    assert_eq!(order_of(Strategy::Fastest, &candidates, 0), [1, 0, 2]);
}

#[test]
fn an_exploring_request_goes_back_to_the_fastest_next() {
    let candidates = paced(&[Some(300), Some(100), Some(200)]);
    let mut numbers = [0.0, 0.99].into_iter();
    let order = order(Strategy::Fastest, &candidates, 0, &mut || {
        numbers.next().unwrap()
    });
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn the_share_of_exploration_is_what_it_says() {
    let candidates = paced(&[Some(300), Some(100), Some(200)]);
    let firsts = firsts(Strategy::Fastest, &candidates, 50_000, 7);
    let explored = f64::from(firsts[0] + firsts[2]) / 50_000.0;
    assert!((explored - EXPLORATION).abs() < 0.005, "{firsts:?}");
    assert!(firsts[0] > 1_000 && firsts[2] > 1_000, "{firsts:?}");
}

#[test]
fn a_lone_route_is_its_own_order_and_none_is_none() {
    for strategy in Strategy::ALL {
        assert_eq!(order(strategy, &[candidate()], 3, &mut || 0.0), [0]);
        assert_eq!(order(strategy, &[], 3, &mut || 0.0), [0; 0]);
    }
}

#[test]
fn routes_without_weight_follow_the_others_as_listed() {
    let candidates = weights(&[0.0, 2.0, 0.0, 1.0]);
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let order = order(Strategy::Weighted, &candidates, 0, &mut || random.f64());
        assert_eq!(order[2..], [0, 2]);
    }
    let none = weights(&[0.0, 0.0, 0.0]);
    assert_eq!(order_of(Strategy::Weighted, &none, 1), [0, 1, 2]);
}

fn any_strategy() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop::sample::select(Strategy::ALL.to_vec())
}

prop_compose! {
    fn any_candidate()(
        weight in prop_oneof![Just(0.0), 0.0..1e6_f64],
        in_flight in 0..5_usize,
        pace in prop::option::of(0..5_000_u64),
    ) -> Candidate {
        Candidate { weight, in_flight, pace: pace.map(Duration::from_millis) }
    }
}

proptest! {
    #[test]
    fn every_order_holds_each_route_once(
        strategy in any_strategy(),
        candidates in prop::collection::vec(any_candidate(), 0..8),
        turn: u64,
        seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut order = order(strategy, &candidates, turn, &mut || random.f64());
        order.sort_unstable();
        prop_assert_eq!(order, (0..candidates.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_route_without_weight_is_never_first_while_another_has_one(
        candidates in prop::collection::vec(any_candidate(), 1..8),
        seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let order = order(Strategy::Weighted, &candidates, 0, &mut || random.f64());
        let has_weight = |position: &usize| candidates[*position].weight > 0.0;
        prop_assert_eq!(has_weight(&order[0]), order.iter().any(has_weight));
    }

    #[test]
    fn the_least_busy_is_first_whatever_the_turn(
        candidates in prop::collection::vec(any_candidate(), 1..8),
        turn: u64,
    ) {
        let order = order_of(Strategy::LeastBusy, &candidates, turn);
        let least = candidates.iter().map(|candidate| candidate.in_flight).min();
        prop_assert_eq!(Some(candidates[order[0]].in_flight), least);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn weighted_shares_converge(
        shares in prop::collection::vec(0.1..10.0_f64, 2..5),
        seed: u64,
    ) {
        let firsts = firsts(Strategy::Weighted, &weights(&shares), 10_000, seed);
        let total: f64 = shares.iter().sum();
        for (share, first) in shares.iter().zip(firsts) {
            let wanted = share / total;
            let found = f64::from(first) / 10_000.0;
            // six standard deviations at least
            prop_assert!((wanted - found).abs() < 0.03, "{wanted} {found}");
        }
    }
}
