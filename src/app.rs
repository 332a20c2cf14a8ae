//! The application: start order and stop order.
