//! Products with quantized weights.

use cubecl::{ir::ElemType, prelude::CubeDim};

use super::{F16, F32, Launch, ONE, Site, buffer};
use crate::kernels::quant::kernel::{self, Code, Form, SizesLaunch, quantized_product_kernel};

pub(super) fn quantized_product(site: &Site) -> Vec<Launch> {
    let forms = [(Code::Int8, false), (Code::Nf4, false), (Code::Nf4, true)];
    let elems = [[F32; 2], [F16, F32], [F16; 2]];
    let all = forms.into_iter().flat_map(|form| elems.map(|elems| (form, elems)));
    let launch = |((code, nested), elems): ((Code, bool), [ElemType; 2])| {
        let product = quantized_product_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d((kernel::SIDE * kernel::SIDE) as u32),
            4,
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            SizesLaunch::new(1, 1, 8, 8, 0, 1),
            0.0,
            Form { code, nested },
            elems,
        );
        Launch::new(format!("{code:?} {nested} {elems:?}"), 6, kernel::SHARED_BYTES, product)
    };
    all.map(launch).collect()
}
