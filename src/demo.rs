//! The newcomer's door: a gateway in front of a small built-in upstream.
