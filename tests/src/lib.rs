//! Goldens, tolerances and devices for the test suites. Knows shapes, not models.

mod compare;
pub mod counting;
mod devices;
mod golden;
pub mod hub;
mod random;
mod weights;

pub use compare::{FRAMES_MEAN, Tolerance, assert_close, mean_difference, relative_l2};
pub use devices::{TestDevice, devices, reference_device, report_skip};
pub use golden::Golden;
pub use random::{normal, tensor};
