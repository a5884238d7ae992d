//! The twin for burn-flex: a block of neighbouring pixels with all its channels stays in cache between norm and scale.

use std::mem::MaybeUninit;

use burn::backend::{TensorMetadata, flex::FlexTensor};
use rayon::prelude::*;

use super::SMALLEST;
use crate::host::{Wide, cast, dense, elements, new_values, sigmoid, tensor, wide};

/// Elements of a block: 256 KB of f32.
const BLOCK: usize = 65_536;

/// Pixels of a block are a multiple of this, whole lines of cache, unless their channel ends.
const LINE: usize = 16;

/// See [`crate::channel_norm`]. In the place of `x` if nobody else holds it.
pub(super) fn channel_norm(x: FlexTensor, gamma: FlexTensor, silu: bool) -> FlexTensor {
    let [_, _, t, h, w] = x.shape().dims();
    let (dtype, pixels) = (x.dtype(), t * h * w);
    let (mut x, gamma) = (dense(x), dense(gamma));
    let gamma = elements(&gamma);
    let whole = x.layout().num_elements() * size_of::<f32>() == x.bytes().len();
    if let Some(values) = x.try_storage_mut::<f32>().filter(|_| whole) {
        // SAFETY: initialised values may be seen as maybe initialised; only values are written through the slice.
        let values = unsafe { &mut *(std::ptr::from_mut(values) as *mut [MaybeUninit<f32>]) };
        normalise(None, values, gamma, pixels, silu);
        return cast(x, dtype);
    }
    let values = new_values(x.layout().num_elements(), |out| {
        normalise(Some(elements(&x)), out, gamma, pixels, silu);
    });
    tensor(values, x.layout().shape().to_vec(), dtype)
}

/// `out`: `[b, c, pixels]`, holding the input unless `x` does.
fn normalise(x: Option<&[f32]>, out: &mut [MaybeUninit<f32>], gamma: &[f32], pixels: usize, silu: bool) {
    let block = (BLOCK / gamma.len() / LINE * LINE).max(LINE);
    let plane = pixels * gamma.len();
    let out = Planes { start: out.as_mut_ptr(), length: out.len() };
    let blocks = pixels.div_ceil(block);
    (0..out.length / plane * blocks).into_par_iter().for_each(|n| {
        let first = n % blocks * block;
        let at = n / blocks * plane + first;
        let count = block.min(pixels - first);
        wide(Work { x, out: &out, gamma, at, count, pixels, silu });
    });
}

/// A result whose blocks are written by several threads.
struct Planes {
    start: *mut MaybeUninit<f32>,
    length: usize,
}

// SAFETY: each value is reached through the one [`Work`] whose block it is in.
unsafe impl Sync for Planes {}

/// A block: all channels of `count` pixels, which nothing else reaches while it lives.
struct Work<'a> {
    x: Option<&'a [f32]>,
    out: &'a Planes,
    gamma: &'a [f32],
    /// The first pixel of the first channel.
    at: usize,
    count: usize,
    /// From one channel to the next.
    pixels: usize,
    silu: bool,
}

impl Work<'_> {
    /// The block's pixels of `channel`.
    #[inline(always)]
    fn channel(&mut self, channel: usize) -> &mut [MaybeUninit<f32>] {
        let at = self.at + channel * self.pixels;
        assert!(at + self.count <= self.out.length, "within the result");
        // SAFETY: in bounds, and borrowed no longer than the block, whose pixels no other block holds.
        unsafe { std::slice::from_raw_parts_mut(self.out.start.add(at), self.count) }
    }

    /// As [`Self::channel`], with the input there.
    #[inline(always)]
    fn input(&mut self, channel: usize) -> &mut [f32] {
        let at = self.at + channel * self.pixels;
        let source = self.x.map(|x| &x[at..at + self.count]);
        let values = self.channel(channel);
        match source {
            Some(source) => values.write_copy_of_slice(source),
            // SAFETY: without a source the result holds the input from the beginning.
            None => unsafe { values.assume_init_mut() },
        }
    }

    /// `sqrt(c) / ||x||` of each pixel; leaves the input in the result.
    #[inline(always)]
    fn scales(&mut self) -> Vec<f32> {
        let mut scale = vec![0f32; self.count];
        for channel in 0..self.gamma.len() {
            for (sum, &v) in scale.iter_mut().zip(&*self.input(channel)) {
                *sum += v * v;
            }
        }
        let root = (self.gamma.len() as f32).sqrt();
        for sum in &mut scale {
            *sum = root / sum.sqrt().max(SMALLEST);
        }
        scale
    }
}

impl Wide for Work<'_> {
    #[inline(always)]
    fn run(mut self) {
        let scale = self.scales();
        let silu = self.silu;
        for (channel, &gamma) in self.gamma.iter().enumerate() {
            // SAFETY: `scales` has brought the input there.
            let values = unsafe { self.channel(channel).assume_init_mut() };
            match silu {
                true => scaled(values, &scale, |y| y * gamma * sigmoid(y * gamma)),
                false => scaled(values, &scale, |y| y * gamma),
            }
        }
    }
}

#[inline(always)]
fn scaled(values: &mut [f32], scale: &[f32], f: impl Fn(f32) -> f32) {
    for (v, &scale) in values.iter_mut().zip(scale) {
        *v = f(*v * scale);
    }
}
