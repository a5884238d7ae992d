//! The kernels, one row each, in the forms they are launched in.

mod products;

use std::sync::Arc;

use cubecl::{
    CubeKernel,
    ir::{DeviceProperties, ElemType, FloatKind, TargetProperties},
    prelude::{BufferArg, CubeCount, CubeDim, ExecutionMode, KernelDefinition},
    server::Handle,
};
use cubecl_common::device::{DeviceId, ServiceId};
use cubecl_environment::stream::StreamId;

use crate::{
    adapters::{Adapter, Language, Road},
    kernels::{
        attention::kernel::{
            Form, SizesLaunch, StridesLaunch,
            matrix::{Units, matrix_attention_kernel},
            units::{self, SIDE, attention_kernel},
        },
        channel_norm::kernel::{PARTS, VECTORS, channel_norm_kernel},
        conv3d::{
            form,
            kernel::{
                Form as Window, SizesLaunch as VideoSizesLaunch, StridesLaunch as VideoStridesLaunch,
                conv3d_kernel,
                winograd::{self, filters_kernel, winograd_kernel},
            },
        },
        gate_residual::kernel::gate_residual_kernel,
        gelu_bias::kernel::gelu_bias_kernel,
        guidance_step::kernel::guidance_step_kernel,
        norm_modulate::kernel::norm_modulate_kernel,
        rms_norm_rope::kernel::rms_norm_rope_kernel,
        silu::kernel::silu_kernel,
    },
};

/// A kernel, in all forms that differ in more than sizes.
pub struct Row {
    pub name: &'static str,
    pub launches: fn(&Site) -> Vec<Launch>,
}

/// Every kernel. A new one is one more row here, and its module in the list of the crate's root.
pub const ROWS: [Row; 16] = [
    Row { name: "attention", launches: attention },
    Row { name: "matrix_attention", launches: matrix_attention },
    Row { name: "linear", launches: products::linear },
    Row { name: "conv3d", launches: conv3d },
    Row { name: "winograd", launches: winograd },
    Row { name: "filters", launches: filters },
    Row { name: "channel_norm", launches: channel_norm },
    Row { name: "norm_modulate", launches: norm_modulate },
    Row { name: "rms_norm", launches: rms_norm },
    Row { name: "rms_norm_rope", launches: rms_norm_rope },
    Row { name: "gate_residual", launches: gate_residual },
    Row { name: "gelu_bias", launches: gelu_bias },
    Row { name: "guidance_step", launches: guidance_step },
    Row { name: "silu", launches: silu },
    Row { name: "quantized_product", launches: products::quantized_product },
    Row { name: "quantized_rows", launches: products::quantized_rows },
];

/// One form of a kernel, ready to be compiled.
pub struct Launch {
    pub form: String,
    /// Tensor arguments that are no other argument's memory.
    pub tensors: usize,
    /// What one cube is said to take.
    pub shared_bytes: usize,
    /// Edge of the matrices it multiplies.
    pub matrix: Option<usize>,
    kernel: Box<dyn CubeKernel>,
}

impl Launch {
    fn new(form: String, tensors: usize, shared_bytes: usize, kernel: impl CubeKernel) -> Self {
        Self { form, tensors, shared_bytes, matrix: None, kernel: Box::new(kernel) }
    }

    /// As `launch_unchecked` has it compiled: without bounds checks.
    pub fn define(&self) -> KernelDefinition {
        let mut definition = self.kernel.define();
        definition.settings.execution_mode = ExecutionMode::Unchecked;
        definition
    }
}

/// Where kernels are launched.
pub struct Site {
    properties: Arc<DeviceProperties>,
    /// As cubecl-wgpu has it in every language.
    target: Arc<TargetProperties>,
    matrix: Option<Units>,
}

impl Site {
    pub fn new(adapter: &Adapter, road: Road) -> Self {
        let (plane, packed) = (adapter.plane_size.0 as usize, road.language == Language::SpirV);
        let units = |edge: u32| Units {
            edge: edge as usize,
            plane,
            planes: if packed { 8 } else { 4 },
            rows: 16,
            keys: 32,
            packed,
            together: adapter.software,
        };
        Self {
            properties: Arc::new(adapter.properties(road)),
            target: Arc::default(),
            matrix: road.used.map(units),
        }
    }
}

const F32: ElemType = ElemType::Float(FloatKind::F32);
const F16: ElemType = ElemType::Float(FloatKind::F16);

/// Cubes of a launch, which no code depends on.
const ONE: CubeCount = CubeCount::Static(1, 1, 1);

/// Units of a cube that takes one vector per unit, or a row of the models' widths.
const UNITS: u32 = 256;

/// Bytes of the sums over a cube of [`UNITS`].
const SUMS: usize = (UNITS as usize + 16) * 4;

/// Vectors of four in a row of the models: 1,536 and 5,120 channels; and single channels of an odd width.
const WIDTHS: [(usize, usize); 3] = [(384, 4), (1280, 4), (33, 1)];

/// A buffer that no device holds.
fn buffer() -> BufferArg {
    let service = ServiceId::of::<()>(DeviceId { type_id: 0, index_id: 0 });
    // SAFETY: nothing is launched, so nothing is read or written.
    unsafe { BufferArg::from_raw_parts(Handle::new(service, StreamId::current(), 64), 16) }
}

/// The memory of the first argument.
fn first_again() -> BufferArg {
    BufferArg::alias(0, 16)
}

fn strides() -> StridesLaunch {
    StridesLaunch::new(0, 0, 0)
}

fn sizes() -> SizesLaunch {
    SizesLaunch::new(1, 1, 1, 1, 0, 1, 1, 0)
}

fn video_strides() -> VideoStridesLaunch {
    VideoStridesLaunch::new(0, 0, 0)
}

fn video_sizes() -> VideoSizesLaunch {
    VideoSizesLaunch::new(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1)
}

/// Plain, rotating and within a window, with heads of `d`.
fn attention_forms(d: usize) -> [Form; 3] {
    [(false, false), (true, false), (false, true)].map(|(rotate, window)| Form { d, rotate, window })
}

fn attention(site: &Site) -> Vec<Launch> {
    let [_, rotating, within] = attention_forms(22);
    let wide = attention_forms(128).into_iter().flat_map(|form| [F32, F16].map(|elem| (form, elem)));
    let all = wide.chain([(rotating, F32), (within, F16)]);
    let launch = |(form, elem): (Form, ElemType)| {
        let kernel = attention_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d((SIDE * SIDE) as u32),
            if form.d % 4 == 0 { 4 } else { 2 },
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            strides(),
            strides(),
            strides(),
            sizes(),
            1.0,
            form,
            elem,
        );
        Launch::new(format!("{form:?} {elem:?}"), 6, units::SHARED_BYTES, kernel)
    };
    all.map(launch).collect()
}

fn matrix_attention(site: &Site) -> Vec<Launch> {
    let Some(units) = site.matrix else { return Vec::new() };
    let launch = |form: Form| {
        let kernel = matrix_attention_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_2d(units.plane as u32, units.planes as u32),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            strides(),
            strides(),
            strides(),
            sizes(),
            1.0,
            form,
            units,
            units.elems(),
        );
        let launch = Launch::new(format!("{form:?} {units:?}"), 6, units.shared_bytes(form.d), kernel);
        Launch { matrix: Some(units.edge), ..launch }
    };
    let ([_, rotating, _], [_, _, within]) = (attention_forms(80), attention_forms(16));
    attention_forms(128).into_iter().chain([rotating, within]).map(launch).collect()
}

/// The windows of the video autoencoder, for channels that take each of the three tiles.
fn conv3d(site: &Site) -> Vec<Launch> {
    let windows = [([3, 3], [1, 1]), ([3, 3], [2, 2]), ([1, 1], [1, 1])];
    let forms = windows.into_iter().flat_map(|(kernel, stride)| {
        [(3, true), (32, true), (384, true), (384, false)]
            .map(|(outputs, bias)| Window::new(kernel, stride, outputs, bias).expect("it fits every adapter"))
    });
    let all = forms.flat_map(|form| [F32, F16].map(|elem| (form, elem)));
    let launch = |(form, elem): (Window, ElemType)| {
        let kernel = conv3d_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(form::UNITS as u32),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            video_strides(),
            video_strides(),
            video_sizes(),
            form,
            elem,
        );
        Launch::new(format!("{form:?} {elem:?}"), 5, form.shared_bytes(), kernel)
    };
    all.map(launch).collect()
}

fn winograd(site: &Site) -> Vec<Launch> {
    let all = [true, false].into_iter().flat_map(|bias| [F32, F16].map(|elem| (bias, elem)));
    let launch = |(bias, elem): (bool, ElemType)| {
        let kernel = winograd_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(winograd::UNITS as u32),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            video_strides(),
            video_strides(),
            video_sizes(),
            0,
            bias,
            elem,
        );
        Launch::new(format!("{bias} {elem:?}"), 5, winograd::SHARED_BYTES, kernel)
    };
    all.map(launch).collect()
}

/// For [`winograd`].
fn filters(site: &Site) -> Vec<Launch> {
    let launch = |elem: ElemType| {
        let kernel = filters_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(UNITS),
            buffer(),
            buffer(),
            1,
            1,
            1,
            0,
            1,
            elem,
        );
        Launch::new(format!("{elem:?}"), 2, 0, kernel)
    };
    [F32, F16].map(launch).into()
}

fn channel_norm(site: &Site) -> Vec<Launch> {
    let elems = [[F32; 2], [F16, F32], [F16; 2]];
    let all = elems.into_iter().flat_map(|elems| {
        [(4, buffer(), 3, true, elems), (1, buffer(), 3, false, elems), (4, first_again(), 2, true, elems)]
    });
    let launch = |(size, out, tensors, silu, elems): (usize, BufferArg, usize, bool, [ElemType; 2])| {
        let kernel = channel_norm_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(UNITS),
            size,
            buffer(),
            buffer(),
            out,
            1,
            1,
            1,
            1.0,
            silu,
            elems,
        );
        Launch::new(format!("{size} {silu} {elems:?}"), tensors, 4 * size * VECTORS * PARTS, kernel)
    };
    all.map(launch).collect()
}

fn norm_modulate(site: &Site) -> Vec<Launch> {
    let all =
        WIDTHS.into_iter().flat_map(|width| [[F32, F32], [F16, F32], [F16, F16]].map(|elems| (width, elems)));
    let launch = |((vectors, size), elems): ((usize, usize), [ElemType; 2])| {
        let kernel = norm_modulate_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(UNITS),
            size,
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            1,
            1,
            1,
            1.0,
            1e-6,
            vectors,
            UNITS as usize,
            elems,
        );
        Launch::new(format!("{vectors} x {size} {elems:?}"), 4, SUMS, kernel)
    };
    all.map(launch).collect()
}

fn rms_norm(site: &Site) -> Vec<Launch> {
    let all = WIDTHS
        .into_iter()
        .flat_map(|width| [[F32; 3], [F16, F32, F16], [F16; 3]].map(|elems| (width, elems)));
    all.map(|((vectors, size), elems)| norm_heads(site, [vectors, vectors, size], false, elems)).collect()
}

fn rms_norm_rope(site: &Site) -> Vec<Launch> {
    // Heads of 128 channels, and of 6.
    let all = [[384, 32, 4], [1280, 32, 4], [9, 3, 2]]
        .into_iter()
        .flat_map(|sizes| [[F32; 3], [F32, F32, F16], [F16, F32, F16]].map(|elems| (sizes, elems)));
    all.map(|(sizes, elems)| norm_heads(site, sizes, true, elems)).collect()
}

/// Of `vectors` of `size` channels, in heads of so many.
fn norm_heads(
    site: &Site,
    [vectors, head_vectors, size]: [usize; 3],
    rotate: bool,
    elems: [ElemType; 3],
) -> Launch {
    let kernel = rms_norm_rope_kernel::create_dummy_kernel(
        site.properties.clone(),
        site.target.clone(),
        ONE,
        CubeDim::new_1d(UNITS),
        size,
        buffer(),
        buffer(),
        buffer(),
        buffer(),
        buffer(),
        1,
        1,
        1.0,
        1e-6,
        vectors,
        head_vectors,
        size / 2,
        UNITS as usize,
        rotate,
        elems,
    );
    Launch::new(format!("{vectors} x {size} {elems:?}"), 5, SUMS, kernel)
}

fn gate_residual(site: &Site) -> Vec<Launch> {
    let elems = [[F32; 3], [F32, F16, F32], [F16; 3]];
    let all = elems.into_iter().flat_map(|elems| [(4, buffer(), 4, elems), (1, first_again(), 3, elems)]);
    let launch = |(size, out, tensors, elems): (usize, BufferArg, usize, [ElemType; 3])| {
        let kernel = gate_residual_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(UNITS),
            size,
            buffer(),
            buffer(),
            buffer(),
            out,
            1,
            1,
            1,
            1,
            elems,
        );
        Launch::new(format!("{size} {elems:?}"), tensors, 0, kernel)
    };
    all.map(launch).collect()
}

fn gelu_bias(site: &Site) -> Vec<Launch> {
    let all = [[F32; 2], [F16, F32], [F16; 2]].into_iter().flat_map(|elems| {
        [(4, buffer(), 3, true, elems), (4, buffer(), 3, false, elems), (1, first_again(), 2, true, elems)]
    });
    let launch = |(size, out, tensors, biased, elems): (usize, BufferArg, usize, bool, [ElemType; 2])| {
        let kernel = gelu_bias_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(UNITS),
            size,
            buffer(),
            buffer(),
            out,
            1,
            1,
            biased,
            elems,
        );
        Launch::new(format!("{size} {biased} {elems:?}"), tensors, 0, kernel)
    };
    all.map(launch).collect()
}

fn guidance_step(site: &Site) -> Vec<Launch> {
    let launch = |(size, out, tensors): (usize, BufferArg, usize)| {
        let kernel = guidance_step_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(UNITS),
            size,
            buffer(),
            buffer(),
            buffer(),
            out,
            1,
            1.0,
            1.0,
            1.0,
        );
        Launch::new(size.to_string(), tensors, 0, kernel)
    };
    [(4, buffer(), 4), (1, buffer(), 4), (4, first_again(), 3)].map(launch).into()
}

fn silu(site: &Site) -> Vec<Launch> {
    let all = [F32, F16]
        .into_iter()
        .flat_map(|elem| [(4, buffer(), 2, elem), (1, buffer(), 2, elem), (4, first_again(), 1, elem)]);
    let launch = |(size, out, tensors, elem): (usize, BufferArg, usize, ElemType)| {
        let kernel = silu_kernel::create_dummy_kernel(
            site.properties.clone(),
            site.target.clone(),
            ONE,
            CubeDim::new_1d(UNITS),
            size,
            buffer(),
            out,
            1,
            elem,
        );
        Launch::new(format!("{size} {elem:?}"), tensors, 0, kernel)
    };
    all.map(launch).collect()
}
