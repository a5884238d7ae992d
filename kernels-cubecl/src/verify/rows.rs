//! Which rows of a result are compared.

use burn::prelude::*;

use super::draw::unit;

/// Rows of a long result that are compared.
const SAMPLED: usize = 16;

/// Some rows of an axis, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    total: usize,
    picked: Vec<usize>,
}

impl Rows {
    /// All of `total`.
    pub fn all(total: usize) -> Self {
        Self { total, picked: (0..total).collect() }
    }

    /// The first, the last, and between them one at random of each part of equal length.
    pub fn sample(total: usize) -> Self {
        if total <= SAMPLED {
            return Self::all(total);
        }
        let (inner, parts) = (total - 2, SAMPLED - 2);
        let between = (0..parts).map(|part| {
            let (start, end) = (part * inner / parts, (part + 1) * inner / parts);
            let offset = (unit(0, part as u64) * (end - start) as f64) as usize;
            1 + start + offset.min(end - start - 1)
        });
        let picked = std::iter::once(0).chain(between).chain([total - 1]).collect();
        Self { total, picked }
    }

    pub fn len(&self) -> usize {
        self.picked.len()
    }

    pub fn picked(&self) -> &[usize] {
        &self.picked
    }

    /// These rows of axis `dim` of `x`.
    pub fn take<const D: usize>(&self, x: Tensor<D>, dim: usize) -> Tensor<D> {
        if self.picked.len() == self.total {
            return x;
        }
        let indices: Vec<i32> = self.picked.iter().map(|&row| row as i32).collect();
        let indices = Tensor::from_data(TensorData::new(indices, [self.picked.len()]), &x.device());
        x.select(dim, indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_all_rows() {
        for total in [17, 18, 60, 256, 4_096] {
            let Rows { picked, .. } = Rows::sample(total);
            assert_eq!(picked.len(), SAMPLED);
            assert!(picked.is_sorted_by(|a, b| a < b), "{picked:?}");
            assert_eq!((picked[0], picked[SAMPLED - 1]), (0, total - 1));
            let widest = picked.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(widest <= Some(2 * total / (SAMPLED - 2) + 1), "{picked:?}");
        }
        assert_eq!(Rows::sample(5), Rows::all(5));
        assert_eq!(Rows::sample(0).len(), 0);
    }

    #[test]
    fn rows_are_taken_along_their_axis() {
        let x = Tensor::<1, Int>::arange(0..60, &Device::flex()).float().reshape([3, 20]);
        let rows = Rows::sample(20);
        let taken = rows.take(x, 1).into_data().try_into_vec::<f32>().expect("f32");
        let expected = (0..3).flat_map(|r| rows.picked.iter().map(move |c| (r * 20 + c) as f32));
        assert_eq!(taken, expected.collect::<Vec<_>>());
    }
}
