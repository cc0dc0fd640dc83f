#!/usr/bin/env bash
# The test command: formatting, lints, all tests, documentation, dependency rules.
#
# Part `readers` runs the reader examples of docs/examples with boto3 and with the AWS SDK for JavaScript
# (scripts/readers.sh); it needs python3 with venv, node 20 and npm, and installs pinned packages once.
#
# Part `spark` runs the PySpark jobs on a real Spark cluster on this machine (scripts/spark.sh): it fetches PySpark from PyPI once, and
# needs python3 with venv and Java 17, which is installed where it is missing, as root on Debian. Part `glibc` sees that the program
# asks for no newer GLIBC than EMR's nodes have.
#
# Needs a Rust toolchain (rustup.rs), a C compiler (Debian: apt-get install gcc libc6-dev), and the programs of Postgres and
# MariaDB, which are installed where they are missing, as root on Debian; the tests start throwaway servers of them. Everything
# else that the tests talk to, such as the S3 server, runs inside the test process: no Docker, no AWS account.
#
#   NIGHTSHELF_SKIP=a,b   leaves out parts by name: fmt, clippy, test, glibc, spark, readers, doc, deny; of readers also python, javascript; or of the tests those on postgres, mariadb
#   CI=...                keeps compiled dependencies outside the clone, in ${XDG_CACHE_HOME:-~/.cache}/nightshelf/target
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PARTS=(fmt clippy test glibc spark readers doc deny)
readonly PIECES=(python javascript)
readonly SERVERS=(postgres mariadb)
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

# The server of a database, for the tests: need_server NAME PROGRAM PACKAGE
need_server() {
    is_skipped "$1" && return
    is_skipped test && return
    command -v "$2" >/dev/null && return
    compgen -G "/usr/lib/postgresql/*/bin/$2" >/dev/null && return
    [[ -x "/usr/sbin/$2" ]] && return
    if [[ ${EUID} -ne 0 ]] || ! command -v apt-get >/dev/null; then
        fail "the tests need $2: install $1 (Debian: apt-get install $3), or leave its tests out with NIGHTSHELF_SKIP=$1"
    fi
    echo "==> installing $3"
    # Only the programs are wanted: no service is started.
    local policy=/usr/sbin/policy-rc.d made=""
    if [[ ! -e ${policy} ]]; then
        printf '#!/bin/sh\nexit 101\n' >"${policy}"
        chmod +x "${policy}"
        made=yes
    fi
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$3"
    [[ -z ${made} ]] || rm -f "${policy}"
}

skip=${NIGHTSHELF_SKIP:-}
for name in ${skip//,/ }; do
    [[ " ${PARTS[*]} ${SERVERS[*]} " == *" ${name} "* ]] ||
        fail "NIGHTSHELF_SKIP names '${name}'; the parts are ${PARTS[*]} ${SERVERS[*]}"
done
need_tool cargo "install Rust from https://rustup.rs"
need_tool cc "on Debian: apt-get install gcc libc6-dev"
need_component fmt rustfmt
need_component clippy clippy
need_server postgres initdb postgresql
need_server mariadb mariadbd mariadb-server
is_skipped glibc || need_tool objdump "on Debian: apt-get install binutils (or NIGHTSHELF_SKIP=glibc)"
# What is missing is told before the tests run, not after.
is_skipped spark || scripts/spark.sh --check

if [[ -n "${CI:-}" ]]; then
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-${HOME}/.cache}/nightshelf/target}"
    export CARGO_INCREMENTAL=0
    echo "==> compiled files are kept in ${CARGO_TARGET_DIR}"
fi

part fmt cargo fmt --check
part clippy cargo clippy --all-targets --features failpoints --locked -- -D warnings
# Unit tests, tests/it and doc tests.
part test cargo test --features failpoints --locked
# EMR 7 runs on Amazon Linux 2023 (docs/emr.md). The program is the one that the tests were made with.
part glibc scripts/glibc.sh "${CARGO_TARGET_DIR:-target}/debug/nightshelf"
# The jobs of jobs/ on a master and two workers, and the steps that `nightshelf emr` submits.
part spark scripts/spark.sh
# The reader examples of docs/examples, with boto3 and with the AWS SDK for JavaScript.
part readers scripts/readers.sh
part doc env RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --document-private-items --features failpoints --locked
if is_skipped deny || cargo deny --version >/dev/null 2>&1; then
    part deny cargo deny --locked check
else
    echo "==> deny: SKIPPED, cargo-deny is not installed (cargo install cargo-deny --locked)"
    skipped+=(deny)
fi
