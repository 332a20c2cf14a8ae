//! Splices over both protocols.
