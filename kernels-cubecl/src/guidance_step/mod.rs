//! Classifier-free guidance and a linear update of the latents in one pass.

mod cpu;
pub mod kernel;
mod launch;
pub mod reference;

use burn::{backend::Dispatch, prelude::*, tensor::DType};

use crate::{KernelError, Road, dispatch::road_for};
use launch::GuidanceStep as _;
pub(crate) use launch::OPERATION;

/// The scalars of [`guidance_step`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuidanceStep {
    /// The guidance scale: 1 is the conditional prediction, more pushes away from the unconditional one.
    pub scale: f64,
    /// Weight of the latents.
    pub keep: f64,
    /// Weight of the guided prediction.
    pub flow: f64,
}

/// `keep * x + flow * (uncond + scale * (cond - uncond))` in f32: an Euler step, or a data prediction, from the two
/// predictions of guidance. In the place of `x` if nobody else holds it.
///
/// # Shapes
/// - `x`, `cond`, `uncond`, result: any one shape; the result is f32
///
/// # Panics
/// If the shapes differ.
pub fn guidance_step<const D: usize>(
    x: Tensor<D>,
    cond: Tensor<D>,
    uncond: Tensor<D>,
    step: GuidanceStep,
) -> Tensor<D> {
    check(&x, &cond, &uncond).unwrap_or_else(|error| panic!("{error}"));
    // f32: guidance amplifies what is lost here, and every later step starts from it.
    let [x, cond, uncond] = [x, cond, uncond].map(|t| t.cast(DType::F32));
    match road_for(&OPERATION, &x.device(), &[DType::F32], x.shape().num_elements()) {
        Road::Custom => Tensor::from_dispatch(Dispatch::guidance_step(
            x.into_dispatch(),
            cond.into_dispatch(),
            uncond.into_dispatch(),
            step,
        )),
        _ => reference::guidance_step(x, cond, uncond, step),
    }
}

fn check<const D: usize>(x: &Tensor<D>, cond: &Tensor<D>, uncond: &Tensor<D>) -> Result<(), KernelError> {
    if x.dims() == cond.dims() && x.dims() == uncond.dims() {
        return Ok(());
    }
    let detail = format!("latents {:?}, predictions {:?} and {:?}", x.dims(), cond.dims(), uncond.dims());
    Err(KernelError::shape(OPERATION.name, detail))
}
