//! Sliding windows of one client.
