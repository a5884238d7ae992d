//! Operands in the order the inner loops read them.

use burn::tensor::Element;
use rayon::prelude::*;

/// A `[b, h, l, d]` operand of any layout whose rows of `d` are contiguous.
#[derive(Clone, Copy)]
pub struct Rows<'a, E> {
    /// From the first element on.
    pub data: &'a [E],
    /// Elements from one batch, head and token to the next.
    pub strides: [usize; 3],
    pub width: usize,
}

impl<'a, E> Rows<'a, E> {
    pub fn row(&self, batch: usize, head: usize, token: usize) -> &'a [E] {
        let [b, h, l] = self.strides;
        &self.data[batch * b + head * h + token * l..][..self.width]
    }
}

/// Cosines and sines `[l, d / 2]`.
#[derive(Clone, Copy)]
pub struct Rotation<'a> {
    pub cos: &'a [f32],
    pub sin: &'a [f32],
}

impl Rotation<'_> {
    /// Writes `factor * x`, rotated by the position `token`, to `y`.
    pub fn apply<E: Element>(&self, token: usize, x: &[E], factor: f32, y: &mut [f32]) {
        let half = x.len() / 2;
        let (cos, sin) = (&self.cos[token * half..][..half], &self.sin[token * half..][..half]);
        for (((y, x), &c), &s) in y.chunks_exact_mut(2).zip(x.chunks_exact(2)).zip(cos).zip(sin) {
            let (re, im) = (x[0].to_f32(), x[1].to_f32());
            y[0] = (re * c - im * s) * factor;
            y[1] = (re * s + im * c) * factor;
        }
    }
}

/// Copies a row scaled by `factor`, rotated if there is a rotation.
pub fn load_row<E: Element>(
    rotation: Option<Rotation<'_>>,
    token: usize,
    x: &[E],
    factor: f32,
    y: &mut [f32],
) {
    match rotation {
        Some(rotation) => rotation.apply(token, x, factor, y),
        None => y.iter_mut().zip(x).for_each(|(y, x)| *y = x.to_f32() * factor),
    }
}

/// Sizes of packed keys and values.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Keys or columns in one panel: the width of a register tile.
    pub panel: usize,
    /// Keys in one block, whole panels.
    pub block: usize,
    /// Blocks of one head.
    pub blocks: usize,
    /// Width of a head.
    pub d: usize,
}

impl Layout {
    /// For `lk` keys in blocks of at most `block`, shorter where `lk` allows.
    pub fn new(lk: usize, d: usize, panel: usize, block: usize) -> Self {
        let blocks = lk.div_ceil(block);
        let block = lk.div_ceil(blocks).next_multiple_of(panel);
        Self { panel, block, blocks: lk.div_ceil(block), d }
    }

    /// Width of a head in whole panels.
    pub fn padded_d(&self) -> usize {
        self.d.next_multiple_of(self.panel)
    }

    /// Floats of the keys of one block.
    pub fn key_len(&self) -> usize {
        self.block * self.d
    }

    /// Floats of one block, keys and values.
    pub fn block_len(&self) -> usize {
        self.block * (self.d + self.padded_d())
    }

    /// Floats of one head.
    pub fn head_len(&self) -> usize {
        self.blocks * self.block_len()
    }
}

/// Packs the heads `(batch, head)` of `k` and `v`, one after the other. A block holds its keys as panels
/// `[d][panel keys]`, then its values as panels `[keys][panel columns]`; keys are rotated on the way.
pub fn pack<E: Element>(
    layout: Layout,
    [k, v]: [Rows<'_, E>; 2],
    lk: usize,
    rotation: Option<Rotation<'_>>,
    heads: &[(usize, usize)],
    packed: &mut [f32],
) {
    packed.par_chunks_exact_mut(layout.block_len()).take(heads.len() * layout.blocks).enumerate().for_each(
        |(index, chunk)| {
            let (batch, head) = heads[index / layout.blocks];
            let first = index % layout.blocks * layout.block;
            let tokens = first..(first + layout.block).min(lk);
            let (keys, values) = chunk.split_at_mut(layout.key_len());
            let row = |token| k.row(batch, head, token);
            pack_keys(layout, tokens.clone().map(|token| (token, row(token))), rotation, keys);
            pack_values(layout, tokens.map(|token| v.row(batch, head, token)), values);
        },
    );
}

fn pack_keys<'a, E: Element>(
    layout: Layout,
    rows: impl Iterator<Item = (usize, &'a [E])>,
    rotation: Option<Rotation<'_>>,
    keys: &mut [f32],
) {
    let mut rotated = vec![0.0; layout.d];
    for (at, (token, row)) in rows.enumerate() {
        load_row(rotation, token, row, 1.0, &mut rotated);
        let panel = &mut keys[at / layout.panel * layout.panel * layout.d..][..layout.panel * layout.d];
        let column = panel.iter_mut().skip(at % layout.panel).step_by(layout.panel);
        column.zip(&rotated).for_each(|(y, &x)| *y = x);
    }
}

fn pack_values<'a, E: Element>(layout: Layout, rows: impl Iterator<Item = &'a [E]>, values: &mut [f32]) {
    for (at, row) in rows.enumerate() {
        for (part, panel) in
            row.chunks(layout.panel).zip(values.chunks_exact_mut(layout.block * layout.panel))
        {
            let row = &mut panel[at * layout.panel..][..part.len()];
            row.iter_mut().zip(part).for_each(|(y, x)| *y = x.to_f32());
        }
    }
}
