//! The four actors and what they share: thin shells around `routing` and `storage`.
