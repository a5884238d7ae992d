//! The frames of a video in the groups that become one latent frame each.

use burn::prelude::*;

/// One frame, then always `factor`, whatever the chunks they come in: `[1, c, n, h, w]` each. Frames at the end that do
/// not fill a group are dropped.
pub(super) struct Groups<I> {
    chunks: I,
    factor: usize,
    /// Of the next group.
    size: usize,
    held: Option<Tensor<5>>,
}

impl<I: Iterator<Item = Tensor<5>>> Groups<I> {
    pub fn new(chunks: I, factor: usize) -> Self {
        Self { chunks, factor, size: 1, held: None }
    }

    fn held_frames(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.dims()[2])
    }
}

impl<I: Iterator<Item = Tensor<5>>> Iterator for Groups<I> {
    type Item = Tensor<5>;

    fn next(&mut self) -> Option<Tensor<5>> {
        while self.held_frames() < self.size {
            let chunk = self.chunks.next()?;
            self.held = Some(match self.held.take() {
                Some(held) => Tensor::cat(vec![held, chunk], 2),
                None => chunk,
            });
        }
        let (frames, held) = (self.held_frames(), self.held.take()?);
        let size = std::mem::replace(&mut self.size, self.factor);
        if frames == size {
            return Some(held);
        }
        self.held = Some(held.clone().slice_dim(2, size..frames));
        Some(held.slice_dim(2, 0..size))
    }
}
