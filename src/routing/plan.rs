//! Model name and catalog to an ordered list of routes.
