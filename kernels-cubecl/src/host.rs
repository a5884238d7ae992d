//! Parts shared by the twins for burn-flex: slices without a copy, all threads, the widest instructions.

use std::{
    marker::PhantomData,
    mem::MaybeUninit,
    sync::atomic::{AtomicUsize, Ordering},
};

use burn::{
    backend::{Flex, flex::FlexTensor, ops::FloatTensorOps},
    tensor::{DType, FloatDType, TensorData},
};
use rayon::prelude::*;

/// Elements of a piece of work: 16 KB of f32 stay in a core's first cache beside what they are computed from.
const PIECE: usize = 4_096;

/// Partial sums kept at once: two of the widest registers.
const LANES: usize = 32;

/// `x` as f32 in row-major order; itself if it is so already.
pub(crate) fn dense(x: FlexTensor) -> FlexTensor {
    let x = Flex::float_cast(x, FloatDType::F32);
    if x.is_contiguous() { x } else { x.to_contiguous() }
}

/// The elements of a [`dense`] tensor.
pub(crate) fn elements(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("dense tensors are f32 and contiguous")
}

/// `values` as a tensor of `shape` in `dtype`.
pub(crate) fn tensor(values: Vec<f32>, shape: Vec<usize>, dtype: DType) -> FlexTensor {
    cast(FlexTensor::from_data(TensorData::new(values, shape)), dtype)
}

pub(crate) fn cast(x: FlexTensor, dtype: DType) -> FlexTensor {
    Flex::float_cast(x, FloatDType::from(dtype))
}

/// Rows of `width` to a piece of work.
pub(crate) fn rows_per_piece(width: usize) -> usize {
    PIECE.div_ceil(width.max(1))
}

/// Work that [`wide`] compiles for several instruction sets. Its method must be `#[inline(always)]`, as must be those
/// of [`PieceWork`] and [`RowWork`]: only what is inlined is compiled anew.
pub(crate) trait Wide {
    fn run(self);
}

/// Work on any part of a tensor.
pub(crate) trait PieceWork: Sync {
    /// On `values`, the first of which is number `start` of its tensor.
    fn apply(&self, start: usize, values: &mut [f32]);
}

/// Work on one row at a time.
pub(crate) trait RowWork: Sync {
    /// On row number `r`.
    fn apply(&self, r: usize, row: &mut [f32]);
}

/// Whole rows of `width`, each by itself.
struct Rows<W> {
    width: usize,
    work: W,
}

impl<W: RowWork> PieceWork for Rows<W> {
    #[inline(always)]
    fn apply(&self, start: usize, values: &mut [f32]) {
        let first = start / self.width;
        for (r, row) in values.chunks_exact_mut(self.width).enumerate() {
            self.work.apply(first + r, row);
        }
    }
}

/// Work and a piece to do it on.
struct Piece<'a, W> {
    work: &'a W,
    start: usize,
    values: &'a mut [f32],
}

impl<W: PieceWork> Wide for Piece<'_, W> {
    #[inline(always)]
    fn run(self) {
        self.work.apply(self.start, self.values);
    }
}

/// Applies `work` to every row of `width`; see [`map_pieces`].
pub(crate) fn map_rows(x: FlexTensor, width: usize, work: impl RowWork) -> FlexTensor {
    map(x, rows_per_piece(width) * width, &Rows { width, work })
}

/// Applies `work` to all of `x` in pieces, on all threads: in place if nobody else holds `x`, else on a copy that is
/// made piece by piece. Keeps the dtype.
pub(crate) fn map_pieces(x: FlexTensor, work: impl PieceWork) -> FlexTensor {
    map(x, PIECE, &work)
}

fn map(x: FlexTensor, piece: usize, work: &impl PieceWork) -> FlexTensor {
    let dtype = x.dtype();
    let mut x = dense(x);
    let whole = x.layout().num_elements() * size_of::<f32>() == x.bytes().len();
    match x.try_storage_mut::<f32>() {
        Some(values) if whole => {
            let pieces = values.par_chunks_mut(piece).enumerate();
            pieces.for_each(|(n, values)| wide(Piece { work, start: n * piece, values }));
            cast(x, dtype)
        }
        _ => {
            let values = new_values(x.layout().num_elements(), |out| {
                let pieces = out.par_chunks_mut(piece).zip(elements(&x).par_chunks(piece)).enumerate();
                pieces.for_each(|(n, (out, x))| {
                    wide(Piece { work, start: n * piece, values: out.write_copy_of_slice(x) });
                });
            });
            tensor(values, x.layout().shape().to_vec(), dtype)
        }
    }
}

/// `length` values that `write` writes, every one of them.
pub(crate) fn new_values(length: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    write(&mut values.spare_capacity_mut()[..length]);
    // SAFETY: the capacity is at least `length`, and `write` has written all of it.
    unsafe { values.set_len(length) };
    values
}

/// The result, written by several threads, each its own pixels.
pub(crate) struct Output<'a> {
    start: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: the one thing done through it is `write`, whose caller keeps threads apart.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub fn new(values: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { start: values.as_mut_ptr().cast(), len: values.len(), borrow: PhantomData }
    }

    /// Writes `values` from element `at` on.
    ///
    /// # Safety
    /// No other thread may write any of these elements.
    #[inline(always)]
    pub unsafe fn write(&self, at: usize, values: &[f32]) {
        assert!(at + values.len() <= self.len, "within the result");
        // SAFETY: the range was checked, nobody reads before all is written, and nobody else writes here.
        unsafe { self.start.add(at).copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    }
}

/// Does `count` pieces of work on all threads, each thread with one scratch of its own.
pub(crate) fn on_all_threads<T>(
    count: usize,
    scratch: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, usize) + Sync,
) {
    let next = AtomicUsize::new(0);
    let threads = rayon::current_num_threads().min(count);
    (0..threads).into_par_iter().with_max_len(1).for_each(|_| {
        let mut own = None;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                break;
            }
            work(own.get_or_insert_with(&scratch), n);
        }
    });
}

/// The sum of `f` over `values`, in an order that the compiler can turn into vector instructions.
#[inline(always)]
pub(crate) fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane += f(value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&value| f(value)).sum::<f32>()
}

/// `1 / (1 + exp(-x))` within 3e-7, in operations that vectorise.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `exp(x)` within 3e-7 of it for `x` up to 88, and bounded beyond: 2^n times a polynomial on half of ln 2 around 0.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // 1.5 * 2^23: adding it rounds to an integer, which then is in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let poly = 1.0 / 720.0;
    let poly = poly * r + 1.0 / 120.0;
    let poly = poly * r + 1.0 / 24.0;
    let poly = poly * r + 1.0 / 6.0;
    let poly = poly * r + 0.5;
    let poly = poly * r + 1.0;
    let poly = poly * r + 1.0;
    poly * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// Runs `work`, compiled for the widest vector instructions this processor has.
pub(crate) fn wide<W: Wide>(work: W) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
        fn avx512<W: Wide>(work: W) {
            work.run();
        }
        #[target_feature(enable = "avx2")]
        fn avx2<W: Wide>(work: W) {
            work.run();
        }
        let avx512_detected = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq");
        if avx512_detected {
            // SAFETY: all four were detected.
            return unsafe { avx512(work) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: it was detected.
            return unsafe { avx2(work) };
        }
    }
    work.run();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_is_close_and_bounded() {
        for k in -2_000..=2_000 {
            let x = k as f32 * 0.05;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(sigmoid(x)) - exact).abs() / exact.max(1e-37);
            assert!(error < 4e-7 || x < -87.0, "sigmoid({x}): {error:e}");
        }
        for x in [-f32::MAX, -200.0, 200.0, f32::MAX] {
            assert!((0.0..=1.0).contains(&sigmoid(x)), "sigmoid({x})");
        }
        assert!(sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn sums_of_any_length() {
        for length in [0, 1, 31, 32, 33, 100] {
            let values: Vec<f32> = (0..length).map(|k| k as f32).collect();
            let expected: f32 = values.iter().map(|v| 2.0 * v).sum();
            assert_eq!(sum(&values, |v| 2.0 * v), expected);
        }
    }
}
