//! Compressed sparse rows, the container of interactions and neighbours.

use super::{History, Stamp};

/// A sparse matrix by rows: row `r` holds `indices[indptr[r]..indptr[r + 1]]`, ascending, and its values.
///
/// A pattern (a matrix of which only the places matter) has no values at all.
///
/// Cost: 8 bytes a row, 4 bytes a cell, 4 more with values, 4 more with times.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Csr {
    /// n_rows + 1 ascending offsets into `indices`.
    pub indptr: Vec<usize>,
    /// Column numbers, ascending within a row.
    pub indices: Vec<u32>,
    /// Parallel to `indices`, or empty for a pattern.
    pub values: Vec<f32>,
    /// Last times of the pairs, parallel to `indices`; empty where times are not known, or not kept because no model asks.
    pub times: Vec<Stamp>,
    /// Number of columns.
    pub n_cols: usize,
}

impl Csr {
    /// A matrix of `n_rows` empty rows.
    #[must_use]
    pub fn empty(n_rows: usize, n_cols: usize) -> Self {
        Self { indptr: vec![0; n_rows + 1], n_cols, ..Self::default() }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Number of stored cells.
    #[must_use]
    pub fn n_cells(&self) -> usize {
        self.indices.len()
    }

    /// The columns of row `row`, ascending; empty for an empty row.
    #[inline]
    #[must_use]
    pub fn columns(&self, row: usize) -> &[u32] {
        &self.indices[self.indptr[row]..self.indptr[row + 1]]
    }

    /// The columns, values and, where they are kept, times of row `row`.
    #[inline]
    #[must_use]
    pub fn row(&self, row: usize) -> History<'_> {
        let range = self.indptr[row]..self.indptr[row + 1];
        History {
            items: &self.indices[range.clone()],
            weights: &self.values[range.clone()],
            times: self.times.get(range).unwrap_or_default(),
        }
    }

    /// Appends the rows of another matrix of the same columns.
    pub fn append_rows(&mut self, more: &Self) {
        let base = self.indices.len();
        self.indices.extend_from_slice(&more.indices);
        self.values.extend_from_slice(&more.values);
        self.times.extend_from_slice(&more.times);
        self.indptr.extend(more.indptr[1..].iter().map(|&end| base + end));
    }

    /// The same cells by columns: row `c` of the result holds column `c`, its rows ascending. Times are left out.
    ///
    /// Cost: one pass to count and one to place; the result's memory on top of the matrix's own.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut indptr = vec![0usize; self.n_cols + 1];
        for &column in &self.indices {
            indptr[column as usize + 1] += 1;
        }
        for column in 0..self.n_cols {
            indptr[column + 1] += indptr[column];
        }
        let mut next = indptr.clone();
        let mut indices = vec![0u32; self.indices.len()];
        let mut values = vec![0f32; self.values.len()];
        for row in 0..self.n_rows() {
            for at in self.indptr[row]..self.indptr[row + 1] {
                let place = &mut next[self.indices[at] as usize];
                indices[*place] = row as u32;
                if !values.is_empty() {
                    values[*place] = self.values[at];
                }
                *place += 1;
            }
        }
        Self { indptr, indices, values, n_cols: self.n_rows(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_gives_the_matrix_back() {
        let matrix = Csr {
            indptr: vec![0, 2, 2, 5],
            indices: vec![1, 3, 0, 1, 2],
            values: vec![1., 2., 3., 4., 5.],
            n_cols: 4,
            ..Csr::default()
        };
        let by_columns = matrix.transpose();
        assert_eq!(by_columns.columns(1), &[0, 2]);
        assert_eq!(by_columns.row(1).weights, &[1., 4.]);
        assert_eq!(by_columns.transpose(), matrix);
        assert_eq!(Csr::empty(3, 4).transpose(), Csr::empty(4, 3));
    }

    #[test]
    fn a_row_has_its_times_where_they_are_kept() {
        let mut matrix = Csr {
            indptr: vec![0, 1, 3],
            indices: vec![0, 0, 1],
            values: vec![1., 2., 3.],
            n_cols: 2,
            ..Csr::default()
        };
        assert!(matrix.row(0).times.is_empty() && matrix.row(1).times.is_empty());
        matrix.times = vec![Stamp(7), Stamp(8), Stamp(9)];
        assert_eq!(matrix.row(1).times, &[Stamp(8), Stamp(9)]);
    }
}
