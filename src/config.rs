//! Configuration: files and environment as typed, and the [`Catalog`](catalog::Catalog) as meant.
//! Pure: text and maps come in, values and faults go out. Reading directories is the caller's.

pub mod catalog;
pub mod settings;
