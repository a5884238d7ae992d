//! The only place that decides which implementation of an operation runs on a device.

use burn::{backend::DispatchDevice, prelude::*};

/// How an operation is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// The backend's own operation, known to be tiled or fused there.
    Backend,
    /// Portable tensor code.
    Reference,
}

/// The road for attention and layer norm on `device`: burn-flex has tiled, fused versions of both; every other
/// backend would hold the whole score matrix.
pub fn dispatch(device: &Device) -> Road {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => Road::Backend,
        _ => Road::Reference,
    }
}
