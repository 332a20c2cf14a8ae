//! One request through its plan: attempts, the commit point, and the exchange that ends in one log record.
