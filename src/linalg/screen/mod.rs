//! Exact search for the largest dot products, past the speed of f32 arithmetic.
//!
//! In: rows (items) packed once, vectors (users) and a bound for each. Out: every row whose product is above its
//! vector's bound, with the product's exact bits. Refuses: approximate answers; what it skips is proven to be below.
//!
//! How: items are ordered by their norm and rounded to 7 bits, users to 8. Thirty-two items at a time, a product of
//! integers plus a bound of what rounding took away says which could beat a user's bound; those alone are computed in
//! f32. A user is done where norms alone cannot beat his bound.
//!
//! Formula: with `y = a q + e` (item) and `x = t p + f` (user),
//! `x . y <= a t (p . q) + |f| (|y| + |e|) + |x| |e|`, and the f32 product is at most `gamma |x| |y|` above it
//! (Higham 2002, section 3.1).
//! Source: Li, Chan, Yiu, Mamoulis 2017 (FEXIPRO: integer bounds in principal axes); Teflioudi, Gemulla 2016 (LEMP).

mod items;
mod kernel;
mod scan;
mod users;

pub use items::Screen;

#[cfg(test)]
mod tests;
