use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;

fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| random.random::<f32>() * 2.0 - 1.0).collect()
}

/// Bits, so that zeros of different sign and NaNs differ too.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Runs every kernel that takes part in a model, on every set of instructions, and returns all results.
struct Everything;

impl Task for Everything {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        struct Times;
        impl Coefficient for Times {
            #[inline(always)]
            fn of(&mut self, row: usize, product: f32) -> f32 {
                product * (1.0 + row as f32)
            }
        }
        let (a, b) = (random(80, 1), random(80, 2));
        let mut out = vec![dot(simd, &a, &b)];
        let mut y = b.clone();
        axpy(simd, 0.3, &a, &mut y);
        scale(simd, &a, &mut y);
        out.extend(&y);
        multiply(simd, &a, &b, &mut y);
        out.extend(&y);
        let rows = random(48 * 11, 3);
        let mut sum = vec![0.0; 48];
        sweep(simd, &rows, &a[..48], &mut sum, &mut Times);
        out.extend(&sum);
        let mut gram = vec![0.0; 48 * 48];
        add_gramian(simd, &rows, 48, &mut gram);
        for k in 0..48 {
            gram[k * 48 + k] += 1.0;
        }
        cholesky(simd, &mut gram, 48, 48, 1.0);
        out.extend(&gram);
        let (mut b, mut x) = (sum.clone(), vec![0.0; 48]);
        cholesky_solve(simd, &gram, 48, 48, &mut b, &mut x);
        out.extend(&x);
        let mut outer = vec![0.0; 11 * 16];
        outer_gramian(simd, &rows, 48, &mut outer, 16, &mut Vec::new());
        out.extend(&outer);
        out
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let expected = bits(&Isa::all()[0].run(Everything));
    assert!(expected.len() > 2000);
    for isa in Isa::all() {
        assert_eq!(bits(&isa.run(Everything)), expected, "{isa:?}");
        let rows = random(300 * 32, 4);
        let by = |isa| gramian(isa, &rows, 32).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(by(isa), by(Isa::all()[0]), "{isa:?}");
        let of = |isa| eigen(isa, gramian(isa, &rows, 32), 32).unwrap();
        let (here, there) = (of(isa), of(Isa::all()[0]));
        assert_eq!((here.values, here.vectors), (there.values, there.vectors), "{isa:?}");
    }
}

#[test]
fn products_are_chains_and_do_not_depend_on_the_tile() {
    let width = 24;
    let (left, right) = (random(13 * width, 5), random(37 * width, 6));
    let naive: Vec<f32> = left
        .chunks(width)
        .flat_map(|a| right.chunks(width).map(|b| a.iter().zip(b).fold(0f32, |sum, (a, b)| a.mul_add(*b, sum))))
        .collect();
    let (groups, panels) = (Groups::pack(&left, width), Panels::pack(&right, width));
    for isa in Isa::all() {
        for (start, end) in [(0, 37), (0, 16), (16, 32), (5, 6), (3, 33), (36, 37), (9, 9), (31, 37)] {
            let mut out = vec![f32::NAN; 13 * (end - start)];
            product(isa, &groups, &panels, start..end, &mut out);
            for row in 0..13 {
                let expected = &naive[row * 37 + start..row * 37 + end];
                assert_eq!(bits(&out[row * (end - start)..(row + 1) * (end - start)]), bits(expected));
            }
        }
    }
    assert_eq!((panels.n_rows(), panels.width(), groups.n_rows()), (37, width, 13));
}

#[test]
fn the_gramian_is_that_of_a_naive_sum() {
    for n_rows in [0, 1, 127, 128, 129, 1000] {
        let rows = random(n_rows * 16, 7);
        let found = gramian(Isa::best(), &rows, 16);
        for i in 0..16 {
            for j in 0..16 {
                let sum: f64 = rows.chunks(16).map(|row| f64::from(row[i]) * f64::from(row[j])).sum();
                assert!((found[i * 16 + j] - sum).abs() <= 1e-5 * (1.0 + n_rows as f64), "{n_rows} rows at {i}, {j}");
            }
        }
    }
}

#[test]
fn a_cholesky_solution_solves_its_system() {
    struct Solve {
        n: usize,
    }
    impl Task for Solve {
        type Output = f32;
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            let (n, stride) = (self.n, padded(self.n));
            let rows = random(n * 32, n as u64);
            let mut matrix = vec![0.0; n * stride];
            outer_gramian(simd, &rows, 32, &mut matrix, stride, &mut Vec::new());
            let mut full = vec![0f64; n * n];
            for i in 0..n {
                matrix[i * stride + i] += 1.0;
                for j in i..n {
                    full[i * n + j] = f64::from(matrix[i * stride + j]);
                    full[j * n + i] = full[i * n + j];
                }
            }
            let target = random(stride, 9);
            let (mut b, mut x) = (target.clone(), vec![0.0; stride]);
            cholesky(simd, &mut matrix, n, stride, 1.0);
            cholesky_solve(simd, &matrix, n, stride, &mut b, &mut x);
            assert!(x[n..].iter().all(|&x| x == 0.0));
            (0..n)
                .map(|i| {
                    let sum: f64 = (0..n).map(|j| full[i * n + j] * f64::from(x[j])).sum();
                    (sum - f64::from(target[i])).abs() as f32
                })
                .fold(0.0, f32::max)
        }
    }
    for n in [1, 2, 15, 16, 17, 40, 65] {
        let off = Isa::best().run(Solve { n });
        assert!(off < 1e-4, "{n} unknowns are off by {off}");
    }
}

#[test]
fn a_pivot_lost_to_rounding_is_put_back() {
    struct Twins;
    impl Task for Twins {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            // I + z z^T of two equal cells so heavy that the identity is lost.
            let mut matrix = vec![0.0; 32];
            (matrix[0], matrix[1], matrix[17]) = (1e9, 1e9, 1e9);
            cholesky(simd, &mut matrix, 2, 16, 1.0);
            let (mut b, mut x) = (vec![1.0; 16], vec![0.0; 16]);
            cholesky_solve(simd, &matrix, 2, 16, &mut b, &mut x);
            x
        }
    }
    assert!(Isa::best().run(Twins).iter().all(|x| x.is_finite() && x.abs() < 1.0));
}

#[test]
fn eigenvectors_diagonalise() {
    for n in [1, 2, 3, 16, 33, 70] {
        // Rank below n, so that zero eigenvalues repeat.
        let n_rows = n / 2 + 1;
        let rows = random(n_rows * n, n as u64);
        let mut matrix = vec![0f64; n * n];
        for row in rows.chunks(n) {
            for i in 0..n {
                for j in 0..n {
                    matrix[i * n + j] += f64::from(row[i]) * f64::from(row[j]);
                }
            }
        }
        let Eigen { values, vectors } = eigen(Isa::best(), matrix.clone(), n).unwrap();
        assert!(values.is_sorted_by(|a, b| a >= b));
        let size = values[0].abs().max(1.0);
        for a in 0..n {
            for b in 0..n {
                let inner: f64 = (0..n).map(|k| vectors[a * n + k] * vectors[b * n + k]).sum();
                assert!((inner - f64::from(u8::from(a == b))).abs() < 1e-12, "{n}: vectors {a}, {b}");
                let through: f64 = (0..n)
                    .flat_map(|i| (0..n).map(move |j| (i, j)))
                    .map(|(i, j)| vectors[a * n + i] * matrix[i * n + j] * vectors[b * n + j])
                    .sum();
                let expected = if a == b { values[a] } else { 0.0 };
                assert!((through - expected).abs() < 1e-12 * size * n as f64, "{n}: {a}, {b}");
            }
        }
    }
    assert!(eigen(Isa::best(), Vec::new(), 0).unwrap().values.is_empty());
    assert_eq!(eigen(Isa::best(), vec![f64::NAN], 1).unwrap_err(), NotConverged { n: 1 });
}

#[test]
fn a_rotation_keeps_dot_products() {
    let n = 32;
    let vectors = eigen(Isa::best(), gramian(Isa::best(), &random(100 * n, 1), n), n).unwrap().vectors;
    let vectors: Vec<f32> = vectors.iter().map(|&value| value as f32).collect();
    let rows = random(200 * n, 2);
    let mut rotated = rows.clone();
    Panels::pack(&vectors, n).rotate(Isa::best(), &mut rotated);
    assert_ne!(rows, rotated);
    for (a, b) in [(0, 0), (3, 150), (95, 96), (199, 7)] {
        let inner = |rows: &[f32]| -> f32 { (0..n).map(|k| rows[a * n + k] * rows[b * n + k]).sum() };
        assert!((inner(&rows) - inner(&rotated)).abs() < 1e-4);
    }
}
