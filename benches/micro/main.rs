//! What the pure parts cost, one by one: `cargo bench --bench micro`, with a name for some of them. Beside the time of one
//! pass over the input stands how much it allocates; counting that adds a few nanoseconds to each allocation.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark whose input is wrong stops by panicking"
)]

mod samples;

// Streams, event by event.
mod relay;
mod sse;
mod stream_conversion;

// Bodies, whole.
mod request_body;

// Decisions, as what they choose among grows.
mod client_lookup;
mod keyring;
mod plan;
mod window;

// What a head tells.
mod response_head;

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}
