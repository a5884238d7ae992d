//! Products, with quantized weights and in halves.

use cubecl::{ir::ElemType, prelude::CubeDim};

use super::{F16, F32, Launch, ONE, Site, buffer};
use crate::kernels::{
    linear::kernel::{self as linear, Tiles, linear_kernel},
    quant::kernel::{
        self, Code, Form, SizesLaunch,
        few::{self, quantized_rows_kernel},
        quantized_product_kernel,
    },
};

/// Codes, and whether their scales are nested; the dtypes of activations and scales.
const FORMS: [(Code, bool); 3] = [(Code::Int8, false), (Code::Nf4, false), (Code::Nf4, true)];
const ELEMS: [[ElemType; 2]; 3] = [[F32; 2], [F16, F32], [F16; 2]];

pub(super) fn quantized_product(site: &Site) -> Vec<Launch> {
    let all = FORMS.into_iter().flat_map(|form| ELEMS.map(|elems| (form, elems)));
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

/// For one row, and for as many as it takes.
pub(super) fn quantized_rows(site: &Site) -> Vec<Launch> {
    let all = FORMS.into_iter().flat_map(|form| [(1, F32), (few::MOST_ROWS, F16)].map(|rest| (form, rest)));
    let launch = |((code, nested), (rows, elem)): ((Code, bool), (usize, ElemType))| {
        let product = quantized_rows_kernel::create_dummy_kernel(
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
            rows,
            [elem, F32],
        );
        Launch::new(format!("{code:?} {nested} {rows} {elem:?}"), 6, few::SHARED_BYTES, product)
    };
    all.map(launch).collect()
}

/// Where matrices may be loaded from words: with and without bias and GELU.
pub(super) fn linear(site: &Site) -> Vec<Launch> {
    let Some(units) = site.matrix.filter(|units| units.packed) else { return Vec::new() };
    let launch = |(biased, gelu): (bool, bool)| {
        let (edge, plane) = (units.edge, units.plane);
        let tiles = Tiles { edge, plane, planes: [2, 4], matrices: [4, 4], depth: 32 };
        let form = linear::Form { biased, gelu };
        let product = linear_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_2d(plane as u32, 8),
            4,
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            linear::SizesLaunch::new(1, 4, 4, 0, 1),
            form,
            tiles,
            [F16, if gelu { F16 } else { F32 }],
        );
        let launch = Launch::new(format!("{form:?} {tiles:?}"), 4, tiles.shared_bytes(), product);
        Launch { matrix: Some(edge), ..launch }
    };
    [(false, false), (true, false), (true, true)].map(launch).into()
}
