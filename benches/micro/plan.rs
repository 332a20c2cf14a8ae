//! From a model's name to the routes that its request takes.

use divan::Bencher;
use model_proxy::config::catalog::Catalog;
use model_proxy::routing::course::{Course, Policy};
use model_proxy::routing::plan::plan;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::samples;

/// A catalog of so many models with so many routes each.
fn catalog(models: usize, routes: usize) -> Catalog {
    let provider = samples::provider(samples::keys(1));
    let routes: Vec<_> = (0..routes)
        .map(|_| Arc::new(samples::route(&provider)))
        .collect();
    let mut catalog = Catalog::default();
    for number in 0..models {
        let name = format!("model-{number}");
        let model = samples::model(&name, routes.clone());
        catalog.models.insert(name, model);
    }
    catalog
}

#[divan::bench(args = [1, 10, 50], sample_size = 1_000)]
fn of_a_model_with_so_many_routes(bencher: Bencher<'_, '_>, routes: usize) {
    let catalog = catalog(1, routes);
    bencher.bench_local(|| plan(&catalog, "model-0").expect("a model"));
}

#[divan::bench(args = [1, 100, 10_000], sample_size = 1_000)]
fn among_so_many_models(bencher: Bencher<'_, '_>, models: usize) {
    let catalog = catalog(models, 1);
    let names: Vec<_> = catalog.models.keys().cloned().collect();
    let mut names = names.iter().cycle();
    bencher.bench_local(|| {
        let name = names.next().expect("an endless cycle");
        plan(&catalog, name).expect("a model")
    });
}

/// The first step on the way through the planned routes.
#[divan::bench(args = [1, 10, 50], sample_size = 1_000)]
fn first_step_of_a_course(bencher: Bencher<'_, '_>, routes: usize) {
    let catalog = catalog(1, routes);
    let policy = Policy {
        max_attempts: 12,
        key_cycles: 1,
        max_wait: Duration::from_secs(5),
    };
    let now = Instant::now();
    bencher
        .with_inputs(|| plan(&catalog, "model-0").expect("a model").routes)
        .bench_local_values(|routes| {
            let mut course = Course::new(routes, policy, 0, now);
            let step = course.next(now, 0.5);
            (course, step)
        });
}
