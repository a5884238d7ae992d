//! The twin for burn-flex: each row is read from memory once and written head by head.

use std::mem::MaybeUninit;

use burn::backend::{TensorMetadata, flex::FlexTensor};
use rayon::prelude::*;

use super::launch::Form;
use crate::host::{Wide, dense, elements, new_values, rows_per_piece, sum, tensor, wide};

/// See [`crate::rms_norm_rope`]; `table` holds cosines and sines.
pub(super) fn rms_norm_rope(
    x: FlexTensor,
    weight: FlexTensor,
    table: Option<(FlexTensor, FlexTensor)>,
    form: Form,
) -> FlexTensor {
    let [b, l, width] = x.shape().dims();
    let (x, weight) = (dense(x), dense(weight));
    let table = table.map(|(cos, sin)| (dense(cos), dense(sin)));
    let table = table.as_ref().map(|(cos, sin)| (elements(cos), elements(sin)));
    let head_dim = width / form.heads;
    let piece = rows_per_piece(width);
    let values = new_values(b * l * width, |out| {
        let pieces = pieces(out, [b, form.heads, l, head_dim], piece);
        pieces.into_par_iter().for_each(|Piece { item, first, heads }| {
            let at = (item * l + first) * width;
            let rows = &elements(&x)[at..at + heads[0].len() / head_dim * width];
            wide(Work { rows, weight: elements(&weight), table, first, eps: form.eps, heads });
        });
    });
    tensor(values, vec![b, form.heads, l, head_dim], form.dtype)
}

/// Some tokens' part of the result.
struct Piece<'a> {
    /// Of the batch.
    item: usize,
    /// The first token.
    first: usize,
    /// `[tokens, d]` of each head.
    heads: Vec<&'a mut [MaybeUninit<f32>]>,
}

/// `out`: `[b, h, l, d]` cut along `l` in pieces of `tokens` tokens.
fn pieces(out: &mut [MaybeUninit<f32>], [b, h, l, d]: [usize; 4], tokens: usize) -> Vec<Piece<'_>> {
    let mut pieces: Vec<Piece> = (0..b)
        .flat_map(|item| (0..l).step_by(tokens).map(move |first| (item, first)))
        .map(|(item, first)| Piece { item, first, heads: Vec::with_capacity(h) })
        .collect();
    let per_item = l.div_ceil(tokens);
    for (n, head) in out.chunks_exact_mut(l * d).enumerate() {
        for (p, part) in head.chunks_mut(tokens * d).enumerate() {
            pieces[n / h * per_item + p].heads.push(part);
        }
    }
    pieces
}

struct Work<'a> {
    /// `[tokens, width]`.
    rows: &'a [f32],
    weight: &'a [f32],
    table: Option<(&'a [f32], &'a [f32])>,
    /// The token of the first row.
    first: usize,
    eps: f32,
    heads: Vec<&'a mut [MaybeUninit<f32>]>,
}

impl Wide for Work<'_> {
    #[inline(always)]
    fn run(mut self) {
        let (width, head_dim) = (self.weight.len(), self.weight.len() / self.heads.len());
        for (t, row) in self.rows.chunks_exact(width).enumerate() {
            let scale = (sum(row, |v| v * v) / width as f32 + self.eps).sqrt().recip();
            let token = (self.first + t) * (head_dim / 2)..(self.first + t + 1) * (head_dim / 2);
            for (h, out) in self.heads.iter_mut().enumerate() {
                let channels = h * head_dim..(h + 1) * head_dim;
                let out = &mut out[t * head_dim..(t + 1) * head_dim];
                let (row, weight) = (&row[channels.clone()], &self.weight[channels]);
                match self.table {
                    Some((cos, sin)) => {
                        rotated(row, weight, scale, &cos[token.clone()], &sin[token.clone()], out);
                    }
                    None => scaled(row, weight, scale, out),
                }
            }
        }
    }
}

#[inline(always)]
fn scaled(row: &[f32], weight: &[f32], scale: f32, out: &mut [MaybeUninit<f32>]) {
    for ((out, &v), &weight) in out.iter_mut().zip(row).zip(weight) {
        out.write(v * scale * weight);
    }
}

#[inline(always)]
fn rotated(row: &[f32], weight: &[f32], scale: f32, cos: &[f32], sin: &[f32], out: &mut [MaybeUninit<f32>]) {
    let (row, weight) = (row.as_chunks::<2>().0, weight.as_chunks::<2>().0);
    let out = out.as_chunks_mut::<2>().0;
    for ((((out, v), weight), &cos), &sin) in out.iter_mut().zip(row).zip(weight).zip(cos).zip(sin) {
        let (re, im) = (v[0] * scale * weight[0], v[1] * scale * weight[1]);
        out[0].write(re * cos - im * sin);
        out[1].write(re * sin + im * cos);
    }
}
