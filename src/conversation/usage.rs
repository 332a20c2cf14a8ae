//! Tokens, counted one way for all protocols.

/// Tokens of one upstream call, counted OpenAI's way: `input` includes cached tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All prompt tokens, cache reads and writes included.
    pub input: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
    /// All answer tokens, reasoning included.
    pub output: u64,
    /// Answer tokens spent on reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// Tokens that count against limits: reads from the provider's cache are free.
    pub fn billed(&self) -> u64 {
        self.input.saturating_sub(self.cache_read) + self.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_reads_do_not_count_against_limits() {
        let usage = Usage {
            input: 100,
            cache_read: 90,
            output: 5,
            ..Usage::default()
        };
        assert_eq!(usage.billed(), 15);
    }
}
