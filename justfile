# `just` lists the targets; `just test` is what CI runs.

default:
    @just --list

# Quick look while editing: types and lints.
check:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# Everything that must pass before a push.
test:
    scripts/test.sh

# Criterion benches; say which with `just bench NAME`.
bench *ARGS:
    cargo bench --locked {{ARGS}}
