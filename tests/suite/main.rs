//! One black-box binary for the whole suite.
