//! Models as listings show them; the shape of a listing is each protocol's own.

/// A logical model, as far as clients may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name that requests use.
    pub id: String,
    /// The provider of its first route.
    pub owned_by: String,
    /// Seconds since 1970.
    pub created: u64,
}
