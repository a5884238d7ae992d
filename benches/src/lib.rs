//! Measurements on full-size random weights.
