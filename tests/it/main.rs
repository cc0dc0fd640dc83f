//! Integration tests, one module a stage.
#![allow(clippy::unwrap_used)]

mod synth;
