//! Which keys a query sees when it does not see all of them.

use std::ops::Range;

/// Keys less than `size` positions away on either side, and the first `sink` keys.
///
/// Query row `i` stands at key position `i + lk - lq`, 0 at least, so that the last query meets the last key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// At least 1, a query's own position; 0 counts as 1.
    pub size: usize,
    pub sink: usize,
}

impl Window {
    /// The keys query `row` of `lq` sees besides the sink.
    pub fn span(&self, row: usize, lq: usize, lk: usize) -> Range<usize> {
        let size = self.size.max(1);
        let at = (row + lk).saturating_sub(lq).min(lk - 1);
        (at + 1).saturating_sub(size)..at.saturating_add(size).min(lk)
    }

    /// Whether query `row` of `lq` sees `key` of `lk`.
    pub fn sees(&self, row: usize, key: usize, lq: usize, lk: usize) -> bool {
        key < self.sink || self.span(row, lq, lk).contains(&key)
    }

    /// Whether any of the query `rows` sees any of `keys`.
    pub fn reaches(&self, rows: &Range<usize>, keys: &Range<usize>, lq: usize, lk: usize) -> bool {
        let first = self.span(rows.start, lq, lk).start;
        let end = self.span(rows.end - 1, lq, lk).end;
        keys.start < self.sink || (first < keys.end && keys.start < end)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn a_window_is_centred_on_the_query() {
        let window = Window { size: 2, sink: 1 };
        let seen = |row, lq, lk| (0..lk).filter(|&key| window.sees(row, key, lq, lk)).collect::<Vec<_>>();
        assert_eq!(seen(3, 6, 6), [0, 2, 3, 4]);
        assert_eq!(seen(0, 1, 6), [0, 4, 5]);
        assert_eq!(seen(0, 6, 2), [0, 1]);
        assert_eq!(seen(5, 6, 6), [0, 4, 5]);
    }

    #[test]
    fn a_block_is_reached_if_one_pair_is_seen() {
        let (lq, lk) = (9, 12);
        for (size, sink) in [(1, 0), (3, 0), (2, 4), (usize::MAX, 0)] {
            let window = Window { size, sink };
            for rows in [0..1, 0..4, 5..9] {
                for keys in [0..3, 3..6, 8..12, 11..12] {
                    let any = rows.clone().any(|r| keys.clone().any(|k| window.sees(r, k, lq, lk)));
                    assert_eq!(window.reaches(&rows, &keys, lq, lk), any, "{window:?} {rows:?} {keys:?}");
                }
            }
        }
    }
}
