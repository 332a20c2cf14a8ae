//! The process log: subscriber and field names.
