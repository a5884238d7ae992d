//! One vector per unit.

use cubecl::prelude::*;

/// All buffers: `total` vectors of f32. `out` may be `x`.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn guidance_step_kernel<N: Size>(
    x: &[Vector<f32, N>],
    cond: &[Vector<f32, N>],
    uncond: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    total: u32,
    scale: f32,
    keep: f32,
    flow: f32,
) {
    let at = ABSOLUTE_POS;
    if at >= total as usize {
        terminate!();
    }
    let base = uncond[at];
    let guided = base + (cond[at] - base) * Vector::new(scale);
    out[at] = x[at] * Vector::new(keep) + guided * Vector::new(flow);
}
