//! How the work of a call is cut.

use std::ops::Range;

/// The columns of one frame in blocks, the rows of the weights in parts.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    panels: usize,
    blocks: usize,
    groups: usize,
    parts: usize,
}

impl Cut {
    /// `panels` in blocks of at most `most`, evenly over the threads; `groups` of rows in parts only where blocks
    /// leave threads idle. `times`: how often all of this is done in parallel.
    pub fn new(panels: usize, most: usize, groups: usize, times: usize) -> Self {
        let threads = rayon::current_num_threads();
        let blocks = panels.div_ceil(most.max(1)).next_multiple_of(threads).min(panels);
        let parts = threads.div_ceil((blocks * times).max(1)).min(groups);
        Self { panels, blocks, groups, parts }
    }

    pub fn pieces(&self) -> usize {
        self.blocks * self.parts
    }

    /// The panels and groups of a piece.
    pub fn piece(&self, n: usize) -> (Range<usize>, Range<usize>) {
        let even = |k: usize, of: usize, all: usize| k * all / of..(k + 1) * all / of;
        (even(n % self.blocks, self.blocks, self.panels), even(n / self.blocks, self.parts, self.groups))
    }

    /// Panels of the largest block.
    pub fn most_panels(&self) -> usize {
        self.panels.div_ceil(self.blocks.max(1))
    }
}

/// Neighbouring columns of one row of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub row: usize,
    pub column: usize,
    pub len: usize,
    /// Of its first element, among all.
    pub at: usize,
}

/// The elements `range` of a grid of `width` columns, row by row.
#[inline(always)]
pub fn runs(range: Range<usize>, width: usize) -> impl Iterator<Item = Run> {
    let (first, mut next) = (range.start, range.start);
    std::iter::from_fn(move || {
        if next >= range.end {
            return None;
        }
        let (row, column) = (next / width, next % width);
        let len = (width - column).min(range.end - next);
        let run = Run { row, column, len, at: next - first };
        next += len;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_break_at_the_end_of_a_row() {
        let lens: Vec<_> = runs(3..12, 5).map(|r| (r.row, r.column, r.len, r.at)).collect();
        assert_eq!(lens, [(0, 3, 2, 0), (1, 0, 5, 2), (2, 0, 2, 7)]);
    }

    #[test]
    fn pieces_cover_everything_once() {
        for (panels, most, groups, times) in [(25, 3, 16, 1), (1, 4, 64, 1), (7, 2, 1, 5), (1, 1, 1, 1)] {
            let cut = Cut::new(panels, most, groups, times);
            let mut seen = vec![0; panels * groups];
            for (p, g) in (0..cut.pieces()).map(|n| cut.piece(n)) {
                assert!(p.len() <= cut.most_panels());
                p.for_each(|p| g.clone().for_each(|g| seen[p * groups + g] += 1));
            }
            assert_eq!(seen, vec![1; panels * groups]);
        }
    }
}
