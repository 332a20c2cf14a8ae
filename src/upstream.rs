//! Calls to providers over awc.
