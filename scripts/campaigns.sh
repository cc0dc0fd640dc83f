#!/usr/bin/env bash
# What campaigns cost at scale: a made-up shop with customers, orders and an earlier catalogue, built with twenty campaigns.
# Prints the build's summary; its line `time` has the seconds of `campaigns` and `campaign lists`, and of everything else.
#
#   scripts/campaigns.sh [--events N] [--users N] [--items N] [--dir DIR] [--binary FILE]
#
# Defaults: 20,000,000 events, 1,000,000 users, 100,000 items; two minutes on 2 cores. Needs a Python with pyarrow and numpy (PYTHON;
# by default that of scripts/peers.sh). DIR (default: a new directory) keeps the shop and the run.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "scripts/campaigns.sh: $*" >&2
    exit 1
}

events=20000000 users=1000000 items=100000 dir="" binary=target/release/nightshelf
while (($#)); do
    (($# > 1)) || fail "$1 needs a value"
    case $1 in
    --events) events=$2 ;;
    --users) users=$2 ;;
    --items) items=$2 ;;
    --dir) dir=$2 ;;
    --binary) binary=$2 ;;
    *) fail "there is no option $1; the options are in the head of this file" ;;
    esac
    shift 2
done
[[ -x ${binary} ]] || fail "there is no ${binary}: cargo build --release --locked, or --binary"
python=${PYTHON:-${NIGHTSHELF_CACHE:-${HOME}/.cache/nightshelf}/peers/bin/python}
"${python}" -c 'import numpy, pyarrow' 2>/dev/null || fail "${python} has no numpy and pyarrow: set PYTHON"
dir=${dir:-$(mktemp -d)}
mkdir -p "${dir}"
dir=$(realpath "${dir}")
if [[ ! -d ${dir}/events ]]; then
    echo "==> making a shop of ${events} events in ${dir}" >&2
    "${binary}" synth --out "${dir}" --events "${events}" --users "${users}" --items "${items}" >/dev/null
fi
"${python}" scripts/campaigns/prepare.py "${dir}" scripts/campaigns/twenty.toml "${dir}/campaigns.toml"
"${binary}" build --config "${dir}/campaigns.toml" --runs "${dir}/runs" --publish none
