//! What a stream has said so far, as raw events, within a bound. Decoded by whoever needs the text, off the hot path.

use bytes::Bytes;

/// Later events are not kept.
const LIMIT: usize = 256 * 1024;

/// The kept part of a stream.
#[derive(Default)]
pub struct Transcript {
    events: Vec<Bytes>,
    bytes: usize,
    enabled: bool,
}

impl Transcript {
    /// A transcript; a disabled one keeps nothing.
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            ..Self::default()
        }
    }

    /// Keeps an event while there is room.
    pub fn push(&mut self, event: &Bytes) {
        if !self.enabled {
            return;
        }
        self.bytes += event.len();
        if self.bytes > LIMIT {
            self.enabled = false;
            return;
        }
        self.events.push(event.clone());
    }

    /// Whether every event was kept.
    pub fn is_whole(&self) -> bool {
        self.enabled
    }

    /// The kept events.
    pub fn events(&self) -> &[Bytes] {
        &self.events
    }

    /// The kept events, and nothing else.
    pub fn into_events(self) -> Vec<Bytes> {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_keeps_events_up_to_its_bound() {
        let mut transcript = Transcript::new(true);
        let event = Bytes::from(vec![b'x'; 100 * 1024]);
        for _ in 0..2 {
            transcript.push(&event);
        }
        assert!(transcript.is_whole());
        transcript.push(&event);
        assert!(!transcript.is_whole());
        assert_eq!(transcript.into_events().len(), 2);
    }

    #[test]
    fn a_disabled_transcript_keeps_nothing() {
        let mut transcript = Transcript::new(false);
        transcript.push(&Bytes::from_static(b"data: {}\n\n"));
        assert!(!transcript.is_whole());
        assert!(transcript.into_events().is_empty());
    }
}
