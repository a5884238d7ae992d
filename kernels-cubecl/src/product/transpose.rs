//! Rows to columns.

use std::array;

/// Rows and columns that are turned together.
const SIDE: usize = 4;

/// Writes the transpose of `from`, `rows` rows of `columns` values that start `from_stride` apart, to `to`, whose rows
/// start `to_stride` apart.
///
/// # Panics
/// If either is too short.
#[inline(always)]
pub fn transpose(
    from: &[f32],
    from_stride: usize,
    [rows, columns]: [usize; 2],
    to: &mut [f32],
    to_stride: usize,
) {
    let whole = [rows, columns].map(|n| n / SIDE * SIDE);
    for row in (0..whole[0]).step_by(SIDE) {
        for column in (0..whole[1]).step_by(SIDE) {
            let part: [[f32; SIDE]; SIDE] = array::from_fn(|i| {
                *from[(row + i) * from_stride + column..].first_chunk().expect("a whole part")
            });
            for j in 0..SIDE {
                let to = &mut to[(column + j) * to_stride + row..];
                *to.first_chunk_mut().expect("a whole part") = array::from_fn::<_, SIDE, _>(|i| part[i][j]);
            }
        }
    }
    let rest = |row: usize| if row < whole[0] { whole[1]..columns } else { 0..columns };
    for (row, column) in (0..rows).flat_map(|row| rest(row).map(move |column| (row, column))) {
        to[column * to_stride + row] = from[row * from_stride + column];
    }
}

#[cfg(test)]
mod tests {
    use super::transpose;

    #[test]
    fn every_value_changes_places() {
        for (rows, columns) in [(0, 3), (1, 1), (4, 4), (5, 7), (8, 3), (3, 9), (13, 16)] {
            let (from_stride, to_stride) = (columns + 2, rows + 3);
            let from: Vec<f32> = (0..rows * from_stride).map(|n| n as f32).collect();
            let mut to = vec![-1.0; columns * to_stride];
            transpose(&from, from_stride, [rows, columns], &mut to, to_stride);
            for (at, &value) in to.iter().enumerate() {
                let (column, row) = (at / to_stride, at % to_stride);
                let expected = if row < rows { from[row * from_stride + column] } else { -1.0 };
                assert_eq!(value, expected, "{rows}x{columns}: row {row}, column {column}");
            }
        }
    }
}
