use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;
use crate::linalg::Isa;

/// A Gramian of random rows plus a diagonal, as the lower triangle, and all of it in f64.
fn positive(n: usize, most: usize) -> (Blocks, Vec<f64>) {
    let mut random = ChaCha8Rng::seed_from_u64(n as u64);
    let rows: Vec<f64> = (0..(n / 2 + 3) * n).map(|_| f64::from(random.random::<f32>()) - 0.5).collect();
    let mut full = vec![0f64; n * n];
    for i in 0..n {
        for j in 0..n {
            let inner: f64 = rows.chunks(n).map(|row| row[i] * row[j]).sum();
            full[i * n + j] = inner + if i == j { 0.5 } else { 0.0 };
        }
    }
    let mut matrix = Blocks::with_side(n, most);
    matrix.fill_lower(
        || (),
        |(), row, out| {
            for (column, out) in out.iter_mut().enumerate() {
                *out = full[row * n + column] as f32;
            }
        },
    );
    (matrix, full)
}

fn bits(matrix: &Blocks) -> Vec<u32> {
    matrix.values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn an_inverse_times_its_matrix_is_the_identity() {
    for (n, most) in [(1, 16), (2, 16), (16, 16), (17, 16), (33, 16), (70, 32), (100, 48), (65, 384), (250, 48)] {
        let (mut matrix, full) = positive(n, most);
        assert_eq!(matrix.n_blocks(), n.div_ceil(most));
        matrix.invert(Isa::best(), 0.25).unwrap();
        matrix.mirror();
        for i in 0..n {
            for j in 0..n {
                let through: f64 = (0..n).map(|k| f64::from(matrix.at(i, k)) * full[k * n + j]).sum();
                let expected = f64::from(u8::from(i == j));
                assert!((through - expected).abs() < 2e-4, "{n} in blocks of {most} at {i}, {j}: {through}");
                assert_eq!(matrix.at(i, j).to_bits(), matrix.at(j, i).to_bits());
            }
        }
    }
    Blocks::zeros(0).invert(Isa::best(), 1.0).unwrap();
}

#[test]
fn instructions_and_threads_do_not_change_a_bit() {
    // More than DEPTH columns a block, and an odd number of panels.
    for (n, most) in [(100, 48), (400, 208)] {
        let (given, _) = positive(n, most);
        let by = |isa: Isa, n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let mut matrix = given.clone();
            pool.install(|| matrix.invert(isa, 0.25)).unwrap();
            bits(&matrix)
        };
        let expected = by(Isa::best(), 1);
        assert_eq!(by(Isa::best(), 3), expected);
        for isa in Isa::all() {
            assert_eq!(by(isa, 2), expected, "{isa:?}");
        }
    }
}

#[test]
fn a_pivot_that_is_not_there_is_named() {
    let (mut matrix, _) = positive(40, 16);
    // The last row becomes the one before it: singular but for rounding.
    let mut row = vec![0f32; 40];
    matrix.mirror();
    matrix.read_row(38, &mut row);
    row[39] = row[38];
    matrix.write_row(39, &row);
    let error = matrix.invert(Isa::best(), 0.25).unwrap_err();
    assert_eq!((error.row, error.least), (39, 0.25));
    assert!(error.pivot < 0.25);
    let mut matrix = Blocks::with_side(3, 16);
    matrix.write_row(1, &[0.0, f32::NAN, 0.0]);
    matrix.write_row(0, &[1.0, 0.0, 0.0]);
    assert_eq!(matrix.invert(Isa::best(), 0.5).unwrap_err().row, 1);
}

#[test]
fn rows_and_pieces() {
    let mut matrix = Blocks::with_side(50, 32);
    assert_eq!((matrix.n(), matrix.side(), matrix.n_blocks()), (50, 32, 2));
    matrix.map(|row, column, value| {
        assert_eq!(value, 0.0);
        (row * 100 + column) as f32
    });
    assert_eq!(matrix.at(49, 49), 4949.0);
    assert_eq!(matrix.pieces(33, 30..50), &[3330.0, 3331.0]);
    assert_eq!(matrix.pieces(33, 32..50).len(), 18);
    assert_eq!(matrix.pieces(0, 5..7), &[5.0, 6.0]);
    let mut row = vec![0f32; 50];
    matrix.read_row(40, &mut row);
    assert!(row.iter().enumerate().all(|(column, &value)| value == (4000 + column) as f32));
    matrix.write_row(2, &row);
    assert_eq!(matrix.at(2, 49), 4049.0);
    assert_eq!(matrix.at(1, 49), 149.0);
    assert_eq!(matrix.diagonal()[3], 303.0);
    assert_eq!(Blocks::bytes(50), 4 * 64 * 64);
    assert_eq!(Blocks::bytes(0), 0);
}
