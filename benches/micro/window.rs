//! Admitting a request of one client and settling its tokens, by how many it has had in the last minute.

use std::time::{Duration, Instant};

use divan::Bencher;
use model_proxy::config::catalog::Limits;
use model_proxy::routing::window::Window;

const MINUTE: Duration = Duration::from_secs(60);

#[divan::bench(args = [0, 1_000, 1_000_000], sample_size = 1_000)]
fn admit_and_settle(bencher: Bencher<'_, '_>, before: u32) {
    let limits = Limits {
        requests_per_minute: Some(u64::MAX / 2),
        tokens_per_minute: Some(u64::MAX / 2),
        concurrent_requests: Some(100),
    };
    let mut window = Window::default();
    let mut now = Instant::now();
    let step = MINUTE / before.max(1);
    let mut request = move |step: Duration| {
        now += step;
        let mut admission = window.admit(now, &limits, 1_000).expect("room");
        let gauges = window.gauges(now, &limits);
        window.settle(now, &mut admission, 700);
        window.release(admission);
        gauges
    };
    for _ in 0..before {
        request(step);
    }
    bencher.bench_local(|| request(step));
}
