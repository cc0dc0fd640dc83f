//! The binary: parse, dispatch, print, exit code.

fn main() {}
