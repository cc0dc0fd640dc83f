//! Logarithm, power and cosine from `+ - * /` alone.
//!
//! The system's libm may differ in the last bit from machine to machine, and one bit is enough to send a session to
//! another shopper. IEEE addition, multiplication and division are the same everywhere, and so are these.

/// Natural logarithm of a positive, normal number; relative error below 1e-14.
pub(crate) fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0);
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), and the argument is at most 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for odd in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / odd;
    }
    exponent * std::f64::consts::LN_2 + 2.0 * s * sum
}

/// e^x for |x| below 700; relative error below 1e-13.
pub(crate) fn exp(x: f64) -> f64 {
    debug_assert!(x.abs() < 700.0);
    let twos = (x * std::f64::consts::LOG2_E).round();
    let rest = x - twos * std::f64::consts::LN_2;
    // Taylor's series; times 1/k because 13 divisions one after another take longer than all the rest.
    let mut sum = 1.0;
    for k in (1..=13).rev() {
        sum = 1.0 + sum * rest * (1.0 / f64::from(k));
    }
    sum * f64::from_bits(((twos as i64 + 1023) as u64) << 52)
}

/// x^y for a positive x.
pub(crate) fn power(x: f64, y: f64) -> f64 {
    exp(y * ln(x))
}

/// cos(2 pi t), t in turns; absolute error below 1e-9.
pub(crate) fn cos_turns(t: f64) -> f64 {
    let angle = (t - t.round()) * std::f64::consts::TAU;
    let square = angle * angle;
    let mut sum = 1.0;
    for k in (1..=12).rev() {
        let two_k = f64::from(2 * k);
        sum = 1.0 - sum * square / (two_k * (two_k - 1.0));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(ours: f64, theirs: f64, tolerance: f64) {
        assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1.0), "{ours} is not {theirs}");
    }

    #[test]
    fn agrees_with_the_systems_library() {
        for x in [1e-300, 1e-9, 0.3, 0.5, 0.999, 1.0, 1.5, 2.0, std::f64::consts::E, 1e6, 1e300] {
            close(ln(x), x.ln(), 1e-14);
        }
        for x in [-600.0, -20.5, -1.0, -1e-9, 0.0, 0.3, 1.0, 34.7, 600.0] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "exp({x})");
        }
        for (x, y) in [(2.0, 0.5), (1e6, -0.8), (3.7e-5, 3.003), (1.0, 9.0)] {
            assert!((power(x, y) / x.powf(y) - 1.0).abs() < 1e-12, "{x}^{y}");
        }
        for t in [-1.3, -0.5, 0.0, 0.1, 0.25, 0.5, 0.77, 1.0, 12.6] {
            close(cos_turns(t), (t * std::f64::consts::TAU).cos(), 1e-9);
        }
    }
}
