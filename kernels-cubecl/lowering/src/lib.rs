//! Compiles every CubeCL kernel of the product for adapters that are not here, and looks at what comes out.
//!
//! The kernels are read from the product's own sources, without Burn: a definition needs no device, only what a
//! device would say of itself.

#[path = "../../tests/support/adapters.rs"]
pub mod adapters;
pub mod compile;
pub mod inspect;
pub mod rows;

#[path = "../../src/cube"]
#[allow(dead_code, reason = "what only launches use")]
mod cube {
    mod unit;
    pub(crate) use unit::{cube_sum, gelu, no_sums, sigmoid};
}

/// The product's kernels.
#[path = "../../src"]
#[allow(dead_code, reason = "what only launches use")]
mod kernels {
    pub mod attention {
        pub mod kernel;
    }
    pub mod channel_norm {
        pub mod kernel;
    }
    pub mod conv3d {
        pub mod form;
        pub mod kernel;
    }
    pub mod gate_residual {
        pub mod kernel;
    }
    pub mod gelu_bias {
        pub mod kernel;
    }
    pub mod guidance_step {
        pub mod kernel;
    }
    pub mod linear {
        pub mod kernel;
    }
    pub mod norm_modulate {
        pub mod kernel;
    }
    pub mod quant {
        pub mod kernel;
    }
    pub mod rms_norm_rope {
        pub mod kernel;
    }
    pub mod silu {
        pub mod kernel;
    }
}
