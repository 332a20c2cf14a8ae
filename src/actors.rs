//! The four actors and what they share: thin shells around `routing` and `storage`.
//! Questions are sent and answered; facts are sent and forgotten; what is shared between workers is in the ledger.

pub mod config_watcher;
pub mod key_pool;
pub mod ledger;
pub mod logger;
pub mod rate_limiter;
pub mod registry;
