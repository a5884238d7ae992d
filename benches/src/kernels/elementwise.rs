//! Norms, gates, activations and the guided step.

use burn::{prelude::*, tensor::DType};
use wan_kernels::{
    GuidanceStep, gate_residual, gelu_bias, guidance_step, norm_modulate, reference, rms_norm, silu,
};

use super::{
    Case, Cost, Forms,
    cases::{Inputs, LENGTHS, WIDTHS, Width},
};

const EPS: f64 = 1e-6;

/// What row-wise operations take, each some of it.
#[derive(Clone)]
struct Arguments {
    /// `[1, l, d]`
    x: Tensor<3>,
    y: Tensor<3>,
    /// `[1, 1, d]`
    scale: Tensor<3>,
    shift: Tensor<3>,
    /// `[d]`
    weight: Tensor<1>,
}

type Operation = fn(Arguments) -> Tensor<3>;

struct Rowwise {
    name: &'static str,
    width: fn(Width) -> usize,
    /// Tensors of the size of `x` that are read or written.
    passes: usize,
    custom: Operation,
    reference: Operation,
}

const ROWWISE: [Rowwise; 5] = [
    Rowwise {
        name: "norm_modulate",
        width: |w| w.dim,
        passes: 2,
        custom: |a| norm_modulate(a.x, a.scale, a.shift, EPS),
        reference: |a| reference::norm_modulate(a.x, a.scale, a.shift, EPS),
    },
    Rowwise {
        name: "rms_norm",
        width: |w| w.dim,
        passes: 2,
        custom: |a| rms_norm(a.x, a.weight, EPS),
        reference: |a| reference::rms_norm(a.x, a.weight, EPS),
    },
    Rowwise {
        name: "gate_residual",
        width: |w| w.dim,
        passes: 3,
        custom: |a| gate_residual(a.x, a.y, a.scale),
        reference: |a| reference::gate_residual(a.x, a.y, a.scale),
    },
    Rowwise {
        name: "gelu_bias",
        width: |w| w.hidden,
        passes: 2,
        custom: |a| gelu_bias(a.x, a.weight),
        reference: |a| reference::gelu_bias(a.x, a.weight),
    },
    Rowwise {
        name: "silu",
        width: |w| w.hidden,
        passes: 2,
        custom: |a| silu(a.x),
        reference: |a| reference::silu(a.x),
    },
];

pub(super) fn cases(dtype: DType) -> Vec<Case> {
    let sizes: Vec<_> = WIDTHS.into_iter().flat_map(|w| LENGTHS.map(|length| (w, length))).collect();
    let rows = ROWWISE.iter().flat_map(|row| sizes.iter().map(|&(w, length)| rowwise(dtype, row, w, length)));
    let in_place = sizes.iter().map(|&(width, length)| gelu_in_place(dtype, width, length));
    rows.chain(in_place).chain([guidance(dtype)]).collect()
}

fn rowwise(dtype: DType, row: &'static Rowwise, width: Width, length: usize) -> Case {
    let d = (row.width)(width);
    let forms = move |inputs: &Inputs| {
        let own = arguments(inputs, length, d);
        let plain = own.clone();
        Forms {
            custom: Box::new(move || drop((row.custom)(own.clone()))),
            reference: Box::new(move || drop((row.reference)(plain.clone()))),
        }
    };
    let elements = length * d;
    Case {
        operation: row.name,
        shape: format!("l{length} d{d}"),
        dtype,
        cost: Cost { flops: 0.0, bytes: (row.passes * elements * dtype.size()) as f64 },
        largest: elements,
        forms: Box::new(forms),
    }
}

fn arguments(inputs: &Inputs, length: usize, d: usize) -> Arguments {
    Arguments {
        x: inputs.random([1, length, d]),
        y: inputs.random([1, length, d]),
        scale: inputs.random([1, 1, d]),
        shift: inputs.random([1, 1, d]),
        weight: inputs.random([d]),
    }
}

/// As in a network, where the product before it belongs to nobody else.
fn gelu_in_place(dtype: DType, width: Width, length: usize) -> Case {
    let d = width.hidden;
    let forms = move |inputs: &Inputs| {
        let Arguments { x, weight: bias, .. } = arguments(inputs, length, d);
        let plain = (x.clone(), bias.clone());
        let mut own = Some(x * 1.0);
        Forms {
            custom: Box::new(move || own = own.take().map(|x| gelu_bias(x, bias.clone()))),
            reference: Box::new(move || drop(reference::gelu_bias(plain.0.clone(), plain.1.clone()))),
        }
    };
    Case {
        operation: "gelu_bias in place",
        forms: Box::new(forms),
        ..rowwise(dtype, &ROWWISE[3], width, length)
    }
}

/// Latents of 81 frames of 480x832, which are f32 whatever the networks compute in.
fn guidance(dtype: DType) -> Case {
    const LATENTS: [usize; 4] = [16, 21, 60, 104];
    let forms = |inputs: &Inputs| {
        let [x, cond, uncond] = [(); 3].map(|()| inputs.random_f32(LATENTS));
        let step = GuidanceStep { scale: 5.0, keep: 1.0, flow: -0.02 };
        let plain = [x.clone(), cond.clone(), uncond.clone()];
        Forms {
            custom: Box::new(move || drop(guidance_step(x.clone(), cond.clone(), uncond.clone(), step))),
            reference: Box::new(move || {
                let [x, cond, uncond] = plain.clone();
                drop(reference::guidance_step(x, cond, uncond, step));
            }),
        }
    };
    let elements = LATENTS.iter().product::<usize>();
    Case {
        operation: "guidance_step",
        shape: format!("{LATENTS:?}"),
        dtype,
        cost: Cost { flops: 0.0, bytes: (4 * elements * size_of::<f32>()) as f64 },
        largest: elements,
        forms: Box::new(forms),
    }
}
