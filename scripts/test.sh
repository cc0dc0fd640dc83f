#!/usr/bin/env bash
# The test command: formatting, lints, all tests, documentation, dependency rules.
#
# Needs a Rust toolchain (rustup.rs) and a C compiler (Debian: apt-get install gcc libc6-dev). Everything else that
# the tests talk to, such as the S3 server, runs inside the test process: no Docker, no AWS account.
#
#   NIGHTSHELF_SKIP=a,b   leaves out parts by name: fmt, clippy, test, doc, deny
#   CI=...                keeps compiled dependencies outside the clone, in ${XDG_CACHE_HOME:-~/.cache}/nightshelf/target
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PARTS=(fmt clippy test doc deny)
passed=()
skipped=()
current="set-up"
SECONDS=0

joined() {
    local IFS=,
    echo "${*:-none}"
}

finish() {
    local status=$?
    if ((status == 0)); then
        echo "scripts/test.sh: OK in ${SECONDS} s; passed: $(joined "${passed[@]}"); skipped: $(joined "${skipped[@]}")"
    else
        echo "scripts/test.sh: FAILED in part '${current}' after ${SECONDS} s; passed before: $(joined "${passed[@]}")" >&2
    fi
}
trap finish EXIT

fail() {
    echo "scripts/test.sh: $*" >&2
    exit 1
}

is_skipped() {
    [[ ",${NIGHTSHELF_SKIP:-}," == *",$1,"* ]]
}

# part NAME COMMAND...: runs one part unless it is to be skipped.
part() {
    current=$1
    shift
    if is_skipped "${current}"; then
        echo "==> ${current}: SKIPPED (NIGHTSHELF_SKIP)"
        skipped+=("${current}")
        return
    fi
    echo "==> ${current}: $*"
    "$@"
    passed+=("${current}")
}

need_tool() {
    command -v "$1" >/dev/null || fail "$1 is missing: $2"
}

# need_component SUBCOMMAND COMPONENT: a cargo subcommand that comes with the toolchain.
need_component() {
    is_skipped "$1" && return
    cargo "$1" --version >/dev/null 2>&1 && return
    command -v rustup >/dev/null || fail "cargo $1 is missing; install the toolchain's component $2"
    rustup component add "$2"
}

skip=${NIGHTSHELF_SKIP:-}
for name in ${skip//,/ }; do
    [[ " ${PARTS[*]} " == *" ${name} "* ]] || fail "NIGHTSHELF_SKIP names '${name}'; the parts are ${PARTS[*]}"
done
need_tool cargo "install Rust from https://rustup.rs"
need_tool cc "on Debian: apt-get install gcc libc6-dev"
need_component fmt rustfmt
need_component clippy clippy

if [[ -n "${CI:-}" ]]; then
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-${HOME}/.cache}/nightshelf/target}"
    export CARGO_INCREMENTAL=0
    echo "==> compiled files are kept in ${CARGO_TARGET_DIR}"
fi

part fmt cargo fmt --check
part clippy cargo clippy --all-targets --locked -- -D warnings
# Unit tests, tests/it and doc tests.
part test cargo test --locked
part doc env RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --document-private-items --locked
if is_skipped deny || cargo deny --version >/dev/null 2>&1; then
    part deny cargo deny --locked check
else
    echo "==> deny: SKIPPED, cargo-deny is not installed (cargo install cargo-deny --locked)"
    skipped+=(deny)
fi
