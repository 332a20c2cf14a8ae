//! Keys of one provider: rotation, cooldowns, half-open probes.
