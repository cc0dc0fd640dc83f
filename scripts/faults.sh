#!/usr/bin/env bash
# Proves the promises D1 to D11 of docs/reliability.md, and prints what was measured as a Markdown table.
#
#   scripts/faults.sh            full size, release mode: many hours on two cores, most of them D1; with 20,000 rows D1 and D4 take an hour each
#   scripts/faults.sh ci         the size that scripts/test.sh runs, in the dev profile: two minutes
#   scripts/faults.sh full d5    only tests whose names begin so
#
#   NIGHTSHELF_FAULT_SEED=N      replays the seed that a failed test printed
#   NIGHTSHELF_FAULTS_ROWS=N     full size with runs of at most N users: D1's 240 publishes of 200,000 rows take hours
#
# Needs nothing but Rust: DynamoDB is an emulator within the test process.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PROMISES=(D1 D2 D3 D4 D5 D6 D7 D8 D9 D10 D11)

size=${1:-full}
name=${2:-}
profile=()
case "${size}" in
full) profile=(--release) ;;
ci) ;;
*)
    sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' scripts/faults.sh
    exit 2
    ;;
esac

results=$(mktemp)
trap 'rm -f "${results}"' EXIT
export NIGHTSHELF_FAULTS=${size} NIGHTSHELF_FAULTS_RESULTS=${results}
tests=("faults::")
if [[ -n "${name}" ]]; then
    tests=(--exact)
    while read -r test; do tests+=("${test}"); done < <(
        cargo test --locked --features failpoints "${profile[@]}" --test it -- --list |
            sed -n "s/^\(faults::[a-z]*::${name}_.*\): test$/\1/p"
    )
    ((${#tests[@]} > 1)) || {
        echo "scripts/faults.sh: no test begins with ${name}" >&2
        exit 2
    }
fi
cargo test --locked --features failpoints "${profile[@]}" --test it -- --test-threads=1 "${tests[@]}" --skip sql_faults >&2

echo "Size: ${size}. $(date -u +%Y-%m-%d), $(nproc) cores, commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)."
echo
echo "| | cases | measured |"
echo "|---|---|---|"
sort -V -t '|' -k 2,2 "${results}"
[[ -z "${name}" ]] || exit 0
for promise in "${PROMISES[@]}"; do
    grep -q "^| ${promise} |" "${results}" || {
        echo "scripts/faults.sh: ${promise} left no result" >&2
        exit 1
    }
done
