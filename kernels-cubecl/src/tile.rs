//! The register tile the twins' matrix products are made of.

#![allow(
    clippy::needless_range_loop,
    reason = "accumulators stay in registers only when indexed by constants"
)]

use pulp::{Arch, Simd, WithSimd};

/// Floats of a cache line.
const LINE: usize = 16;

/// Floats that start on a cache line, so that no vector load crosses one.
pub(crate) struct Buffer {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// `len` zeros. The system hands out zeros as they are touched: unused ones cost nothing.
    pub(crate) fn zeros(len: usize) -> Self {
        let values = vec![0.0; len + LINE];
        let start = values.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { values, start, len }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.values[self.start..][..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.values[self.start..][..self.len]
    }
}

/// Work compiled for the widest vectors of this processor, on register tiles of `MR` rows and `NV` vectors. Its method
/// must be `#[inline(always)]`, as must what it calls: only what is inlined is compiled anew.
pub(crate) trait TileWork {
    type Output;

    fn run<S: Simd, const MR: usize, const NV: usize>(self, simd: S) -> Self::Output;
}

/// Runs `work` on twelve to twenty-four accumulators: the tile that fills 16 or 32 registers.
pub(crate) fn on_tiles<W: TileWork>(work: W) -> W::Output {
    // `Arch` passes over AVX2 unless pulp's feature `x86-v3` is on, and Burn's features switch on `x86-v4` alone.
    #[cfg(target_arch = "x86_64")]
    if let (Arch::Scalar, Some(simd)) = (Arch::new(), pulp::x86::V3::try_new()) {
        return Simd::vectorize(simd, OnTiles(work));
    }
    Arch::new().dispatch(OnTiles(work))
}

struct OnTiles<W>(W);

impl<W: TileWork> WithSimd for OnTiles<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> W::Output {
        match S::F32_LANES {
            16 => self.0.run::<S, 8, 2>(simd),
            8 => self.0.run::<S, 6, 2>(simd),
            4 => self.0.run::<S, 6, 4>(simd),
            _ => self.0.run::<S, 4, 4>(simd),
        }
    }
}

/// Rows and columns of the register tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileShape {
    pub rows: usize,
    pub columns: usize,
}

impl TileShape {
    pub(crate) fn of_this_machine() -> Self {
        struct Ask;
        impl TileWork for Ask {
            type Output = TileShape;

            #[inline(always)]
            fn run<S: Simd, const MR: usize, const NV: usize>(self, _: S) -> TileShape {
                TileShape { rows: MR, columns: NV * S::F32_LANES }
            }
        }
        on_tiles(Ask)
    }
}

/// `acc[i] += sum over k of a[i][k] * b[k]`, where `b` holds `NV` vectors for each `k`.
#[inline(always)]
pub(crate) fn accumulate<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    a: [&[f32]; MR],
    b: &[S::f32s],
    acc: [[S::f32s; NV]; MR],
) -> [[S::f32s; NV]; MR] {
    let mut acc = acc;
    let a = a.map(|row| &row[..b.len() / NV]);
    for (k, b) in b.chunks_exact(NV).enumerate() {
        for i in 0..MR {
            // SAFETY: every row was cut to the number of steps of this loop. The check costs a third of its time.
            let x = simd.splat_f32s(unsafe { *a[i].get_unchecked(k) });
            for j in 0..NV {
                acc[i][j] = simd.mul_add_e_f32s(x, b[j], acc[i][j]);
            }
        }
    }
    acc
}
