//! What cross-attention reads, and what blocks make of things that stay the same for a run.

use std::sync::OnceLock;

use burn::prelude::*;

/// Of the first blocks: made when first asked for, then kept.
#[derive(Clone, Debug)]
pub(super) struct Kept<T>(Vec<OnceLock<T>>);

impl<T: Clone> Kept<T> {
    pub(super) fn of_first(blocks: usize) -> Self {
        Self((0..blocks).map(|_| OnceLock::new()).collect())
    }

    /// Whether that of block `index` is kept.
    pub(super) fn reaches(&self, index: usize) -> bool {
        index < self.0.len()
    }

    /// How many are made.
    pub(super) fn made(&self) -> usize {
        self.0.iter().filter(|kept| kept.get().is_some()).count()
    }

    /// That of block `index`, which `make` makes.
    pub(super) fn of(&self, index: usize, make: impl FnOnce() -> T) -> T {
        match self.0.get(index) {
            Some(kept) => kept.get_or_init(make).clone(),
            None => make(),
        }
    }
}

/// Keys and values of one block, `[1, h, n, d]` each in the matmuls' dtype; the last ones count `times` times.
#[derive(Clone, Debug)]
pub(super) struct KeysValues {
    pub(super) k: Tensor<4>,
    pub(super) v: Tensor<4>,
    pub(super) times: usize,
}

/// Embedded rows of a text or of pictures, with the keys and values that blocks make of them ahead of or in their first
/// pass; the same for every step of a run.
///
/// A text is padded to the model's length and its padding attended to like all other rows, but those rows are all
/// alike: one stands for them, so that keys and values of 20 words take a 24th of those of 512 rows.
#[derive(Clone, Debug)]
pub struct Context {
    /// `[1, n, d]`.
    rows: Tensor<3>,
    /// How often the last row counts.
    times: usize,
    pub(super) kept: Kept<KeysValues>,
}

impl Context {
    pub(super) fn new(rows: Tensor<3>, times: usize, blocks: usize) -> Self {
        Self { rows, times, kept: Kept::of_first(blocks) }
    }

    /// Keeps keys and values of the first `blocks` blocks only; the others compute theirs in every pass.
    pub fn keeping(self, blocks: usize) -> Self {
        Self { kept: Kept::of_first(blocks), ..self }
    }

    /// Blocks whose keys and values are made and kept.
    pub fn blocks_made(&self) -> usize {
        self.kept.made()
    }

    /// `[1, n, d]`, without repetitions of the last.
    pub fn rows(&self) -> &Tensor<3> {
        &self.rows
    }

    /// Those of block `index`, whose projections and split in heads are `project`.
    pub(super) fn keys_values(
        &self,
        index: usize,
        project: impl FnOnce(&Tensor<3>) -> [Tensor<4>; 2],
    ) -> KeysValues {
        self.kept.of(index, || {
            let [k, v] = project(&self.rows);
            KeysValues { k, v, times: self.times }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;

    #[test]
    fn what_is_kept_is_made_once() {
        let (kept, mut made) = (Kept::of_first(2), 0);
        for _ in 0..3 {
            for index in 0..3 {
                let one = kept.of(index, || {
                    made += 1;
                    10 * index
                });
                assert_eq!(one, 10 * index);
            }
        }
        assert_eq!(made, 2 + 3);
    }
}
