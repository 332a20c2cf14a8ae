//! What one route has to show: the requests under way on it, and how long it takes to say something, apart for streams
//! and for whole answers. It has no clock of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Candidate;
use super::pace::Pace;

/// The record of one route of one model.
#[derive(Debug, Default)]
pub struct Track {
    streamed: Record,
    whole: Record,
    calls: u64,
    in_flight: usize,
}

/// The calls of one kind.
#[derive(Debug, Default)]
struct Record {
    pace: Pace,
    /// Calls that have not said anything yet, oldest first, with their beginning.
    silent: BTreeMap<u64, Instant>,
}

/// A call under way. It comes back by [`Track::end`], once.
#[derive(Debug)]
#[must_use]
pub struct CallId {
    number: u64,
    streaming: bool,
}

impl Track {
    /// What a request that chooses now needs to know.
    pub fn candidate(&self, now: Instant, streaming: bool, weight: f64) -> Candidate {
        let record = if streaming {
            &self.streamed
        } else {
            &self.whole
        };
        Candidate {
            weight,
            in_flight: self.in_flight,
            pace: record.value(now),
        }
    }

    /// A call begins.
    pub fn begin(&mut self, now: Instant, streaming: bool) -> CallId {
        self.calls = self.calls.wrapping_add(1);
        self.in_flight = self.in_flight.saturating_add(1);
        let number = self.calls;
        self.record(streaming).silent.insert(number, now);
        CallId { number, streaming }
    }

    /// The call said its first content, or all of a whole answer, at this moment. Only the first time counts.
    pub fn answered(&mut self, call: &CallId, at: Instant) {
        let record = self.record(call.streaming);
        if let Some(began) = record.silent.remove(&call.number) {
            record.pace.took(at, at.saturating_duration_since(began));
        }
    }

    /// The call failed by the route's fault, before it said something or after.
    pub fn failed(&mut self, call: &CallId, at: Instant) {
        let began = self.record(call.streaming).silent.remove(&call.number);
        let time = began.map_or(Duration::ZERO, |began| at.saturating_duration_since(began));
        for record in [&mut self.streamed, &mut self.whole] {
            record.pace.failed(at, time);
        }
    }

    /// The call came to nothing by the request's own fault, which tells nothing of the route.
    pub fn told_nothing(&mut self, call: &CallId) {
        self.record(call.streaming).silent.remove(&call.number);
    }

    /// The call is over. One that has neither answered nor failed was given up.
    pub fn end(&mut self, call: &CallId, at: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let record = self.record(call.streaming);
        if let Some(began) = record.silent.remove(&call.number) {
            record
                .pace
                .abandoned(at, at.saturating_duration_since(began));
        }
    }

    fn record(&mut self, streaming: bool) -> &mut Record {
        if streaming {
            &mut self.streamed
        } else {
            &mut self.whole
        }
    }
}

impl Record {
    /// A call that has been silent for longer than calls used to take tells already that they take longer now.
    fn value(&self, now: Instant) -> Option<Duration> {
        let value = self.pace.value()?;
        let silent = self.silent.first_key_value();
        let silence = silent.map(|(_, began)| now.saturating_duration_since(*began));
        Some(silence.map_or(value, |silence| silence.max(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::FAILED;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(track: &Track, now: Instant, streaming: bool) -> Option<Duration> {
        track.candidate(now, streaming, 1.0).pace
    }

    #[test]
    fn a_call_is_under_way_until_it_ends_and_measured_at_its_first_word() {
        let now = Instant::now();
        let mut track = Track::default();
        let call = track.begin(now, true);
        assert_eq!(track.candidate(now, true, 1.0).in_flight, 1);
        assert_eq!(pace(&track, now, true), None);
        track.answered(&call, now + SECOND);
        track.answered(&call, now + 9 * SECOND);
        assert_eq!(track.candidate(now, true, 1.0).in_flight, 1);
        track.end(&call, now + 20 * SECOND);
        assert_eq!(track.candidate(now, true, 1.0).in_flight, 0);
        assert_eq!(pace(&track, now, true), Some(SECOND));
    }

    #[test]
    fn streams_and_whole_answers_are_measured_apart_and_a_failure_counts_for_both() {
        let now = Instant::now();
        let mut track = Track::default();
        let call = track.begin(now, true);
        track.answered(&call, now + SECOND);
        track.end(&call, now + SECOND);
        assert_eq!(pace(&track, now, false), None);
        let call = track.begin(now, false);
        track.failed(&call, now + SECOND);
        track.end(&call, now + SECOND);
        assert_eq!(pace(&track, now, false), Some(FAILED));
        assert_eq!(pace(&track, now, true), Some(FAILED));
    }

    #[test]
    fn a_stream_that_breaks_after_its_first_word_counts_as_slow() {
        let now = Instant::now();
        let mut track = Track::default();
        let call = track.begin(now, true);
        track.answered(&call, now + SECOND);
        track.failed(&call, now + 2 * SECOND);
        track.end(&call, now + 2 * SECOND);
        assert_eq!(pace(&track, now, true), Some(FAILED));
    }

    #[test]
    fn silence_counts_while_it_lasts() {
        let now = Instant::now();
        let mut track = Track::default();
        let first = track.begin(now, true);
        track.answered(&first, now + SECOND);
        track.end(&first, now + SECOND);
        let stuck = track.begin(now + SECOND, true);
        assert_eq!(pace(&track, now + 31 * SECOND, true), Some(30 * SECOND));
        assert_eq!(pace(&track, now + SECOND, true), Some(SECOND));
        track.end(&stuck, now + 31 * SECOND);
        assert_eq!(pace(&track, now + 31 * SECOND, true), Some(30 * SECOND));
    }

    #[test]
    fn what_is_the_request_s_own_fault_tells_nothing_of_the_route() {
        let now = Instant::now();
        let mut track = Track::default();
        let call = track.begin(now, false);
        track.told_nothing(&call);
        track.end(&call, now + SECOND);
        assert_eq!(pace(&track, now, false), None);
        assert_eq!(track.candidate(now, false, 1.0).in_flight, 0);
    }
}
