//! How many files the process may have open: sockets are files, and many systems begin with 1024.

use rlimit::{Resource, increase_nofile_limit};

/// A request may have two sockets, its client's and its upstream's.
const PER_REQUEST: u64 = 2;
/// For the database, the workers and idle connections.
const BESIDE: u64 = 64;

/// Takes as many as the system gives, and says so if they are too few for `max_in_flight` requests.
pub(super) fn raise(max_in_flight: usize) {
    let limit = match increase_nofile_limit(u64::MAX) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "could not raise the limit of open files");
            match Resource::NOFILE.get_soft() {
                Ok(limit) => limit,
                Err(_) => return,
            }
        }
    };
    if let Some(needed) = shortage(limit, max_in_flight) {
        tracing::warn!(
            limit,
            needed,
            "too few files may be open for max_in_flight requests: raise the limit (`ulimit -Hn`, LimitNOFILE) or lower \
             max_in_flight"
        );
    }
}

/// How many files so many requests need, if that is more than there may be.
fn shortage(limit: u64, max_in_flight: usize) -> Option<u64> {
    let requests = u64::try_from(max_in_flight).unwrap_or(u64::MAX);
    let needed = requests.saturating_mul(PER_REQUEST).saturating_add(BESIDE);
    (requests > 0 && needed > limit).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_needs_two_files_and_no_limit_of_requests_needs_none() {
        assert_eq!(shortage(1024, 480), None);
        assert_eq!(shortage(1024, 481), Some(1026));
        assert_eq!(shortage(1024, 0), None);
        assert_eq!(shortage(u64::MAX, usize::MAX), None);
    }
}
