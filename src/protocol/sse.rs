//! Server-sent events: an incremental decoder.
