//! From the key that a request shows to the client who has it.

use std::collections::HashMap;
use std::sync::Arc;

use divan::Bencher;
use model_proxy::config::catalog::{Client, Limits};
use model_proxy::secret::{self, Digest};

use crate::samples;

#[divan::bench(args = [1, 1_000, 100_000], sample_size = 1_000)]
fn among_so_many_clients(bencher: Bencher<'_, '_>, count: usize) {
    let mut clients: HashMap<Digest, Arc<Client>> = HashMap::new();
    for number in 0..count {
        let digest = samples::secret(number).digest();
        let client = Client {
            name: format!("client-{number}"),
            digest,
            limits: Limits::default(),
        };
        clients.insert(digest, Arc::new(client));
    }
    // Enough of them that no cache knows who comes next.
    let shown: Vec<_> = (0..count.min(10_000))
        .map(|number| samples::secret(number * 7 % count))
        .collect();
    let mut shown = shown.iter().cycle();
    bencher.bench_local(|| {
        let key = shown.next().expect("an endless cycle");
        let client = clients.get(&secret::digest(key.expose()));
        Arc::clone(client.expect("a client"))
    });
}
