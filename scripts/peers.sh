#!/usr/bin/env bash
# Puts nightshelf beside its peers: `quality` on one split, `speed` on one machine.
#
#   scripts/peers.sh speed [--size small|full] [--part PART ...] [--work DIR] [--nightshelf BINARY] ...
#
# Training, scoring, item models and whole jobs against implicit, irspack, LensKit, polars and PySpark: one table a part, with
# ratios, also as Markdown. `scripts/peers.sh speed --help` has the flags, the parts and how long they take. PySpark needs
# Java 17; --without does without a program. DIR (default: a new directory) keeps the inputs.
#
#   scripts/peers.sh quality --config CONFIG [--repeats allow|new-only] [--trials 40] [--seconds 300] [--work DIR]
#                            [--nightshelf BINARY] [--our FILE.toml ...] [--no-tune] [--skip-ours] [--reuse]
#
# Implicit, irspack, LensKit, popularity and nightshelf: same split, same rules, same metric code.
# CONFIG names the events; the test is its last 28 days, the validation the 28 days before. Every peer is tuned by
# scripts/peers.py on the validation, and each config of ours (default: CONFIG with item_item) by `nightshelf tune` with
# as many trials; then all are trained on everything before the test, and `nightshelf evaluate` measures their lists.
#
#   --repeats     allow: what was bought before may be shown and counts; new-only: neither (default)
#   --seconds     search no longer than this for one peer (no such cap on ours)
#   --no-tune     take the configs given with --our as they are
#   --skip-ours   the peers and popularity only
#   --reuse       keep the lists in DIR/lists, and tuned configs in DIR that are newer than what they come from
#   NIGHTSHELF_SKIP=a,b   does without these peers: implicit, irspack, lenskit
#
# Leaves in DIR (default: a new directory): split/, lists/NAME.parquet, peers.json (settings, seconds), ours-*.toml,
# peers.html. Needs Python 3.11; the peers go into ${NIGHTSHELF_CACHE:-~/.cache/nightshelf}/peers, some 5 GB.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
readonly here
readonly REQUIREMENTS="${here}/peers-requirements.txt"
readonly SPEED_REQUIREMENTS="${here}/peers-speed-requirements.txt"
readonly VENV="${NIGHTSHELF_CACHE:-${HOME}/.cache/nightshelf}/peers"
readonly PEERS=(implicit irspack lenskit)
readonly TEST=(--split time --test-days 28)

config=""
repeats="new-only"
trials=40
seconds=300
work=""
nightshelf="${here}/../target/release/nightshelf"
ours=()
tune=yes
skip_ours=no
reuse=no

fail() {
    echo "scripts/peers.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${here}/peers.sh"
}

is_skipped() {
    [[ ",${NIGHTSHELF_SKIP:-}," == *",$1,"* ]]
}

need_value() {
    [[ $# -ge 2 ]] || fail "$1 needs a value"
}

read_flags() {
    while (($#)); do
        case $1 in
        --no-tune) tune=no ;;
        --skip-ours) skip_ours=yes ;;
        --reuse) reuse=yes ;;
        --help | -h) usage && exit 0 ;;
        --config) need_value "$@" && config=$2 && shift ;;
        --repeats) need_value "$@" && repeats=$2 && shift ;;
        --trials) need_value "$@" && trials=$2 && shift ;;
        --seconds) need_value "$@" && seconds=$2 && shift ;;
        --work) need_value "$@" && work=$2 && shift ;;
        --nightshelf) need_value "$@" && nightshelf=$2 && shift ;;
        --our) need_value "$@" && ours+=("$2") && shift ;;
        *) fail "unknown argument $1, see --help" ;;
        esac
        shift
    done
}

check_flags() {
    [[ -f ${config} ]] || fail "--config: no such file: '${config}'"
    [[ ${repeats} == allow || ${repeats} == new-only ]] || fail "--repeats is allow or new-only, not '${repeats}'"
    [[ ${trials} =~ ^[1-9][0-9]*$ ]] || fail "--trials is a number above 0, not '${trials}'"
    [[ ${seconds} =~ ^[1-9][0-9]*$ ]] || fail "--seconds is a number above 0, not '${seconds}'"
    command -v "${nightshelf}" >/dev/null || fail "no ${nightshelf}: cargo build --release --locked, or --nightshelf"
    [[ ${tune} == yes || ${#ours[@]} -gt 0 ]] || fail "--no-tune needs configs: --our FILE.toml"
    local file
    for file in "${ours[@]}"; do
        [[ -f ${file} ]] || fail "--our: no such file: ${file}"
    done
}

# The venv is made again when the requirements or the Python change; a peer that was skipped is added when it is not.
make_venv() {
    local python=${PYTHON:-python3.11} stamp peer
    stamp="$(cksum <"${REQUIREMENTS}") $("${python}" --version)" || fail "no ${python}: set PYTHON"
    if [[ ! -f ${VENV}/stamp || $(<"${VENV}/stamp") != "${stamp}" ]]; then
        echo "==> making ${VENV}, once; the peers take minutes to install" >&2
        "${python}" -m venv --clear "${VENV}"
        install numpy scipy pandas pyarrow || fail "numpy, scipy, pandas and pyarrow cannot be installed, see above"
        echo "${stamp}" >"${VENV}/stamp"
    fi
    for peer in "${PEERS[@]}"; do
        is_skipped "${peer}" || add_peer "${peer}"
    done
}

add_peer() {
    [[ -f ${VENV}/has-$1 ]] && return
    echo "==> installing $1" >&2
    install "$1" && "${VENV}/bin/python" -c "import $1" ||
        fail "peer $1 cannot be installed, see above; NIGHTSHELF_SKIP=$1 does without it"
    touch "${VENV}/has-$1"
}

install() {
    "${VENV}/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
        --constraint "${REQUIREMENTS}" --constraint "${SPEED_REQUIREMENTS}" "$@" >&2
}

export_split() {
    "${nightshelf}" evaluate --quiet --config "${config}" --model popularity "${TEST[@]}" --folds 2 \
        --repeats "${repeats}" --export-split "${work}/split" >"${work}/split.txt"
}

run_peers() {
    OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 OMP_NUM_THREADS=2 LK_NUM_THREADS=2 LK_NUM_BACKEND_THREADS=1 \
        "${VENV}/bin/python" "${here}/peers.py" search --config "${config}" --work "${work}" --repeats "${repeats}" \
        --trials "${trials}" --seconds "${seconds}" --skip "${NIGHTSHELF_SKIP:-}"
}

# is_current TUNED SOURCE: --reuse, and the tuned config is newer than its source.
is_current() {
    [[ ${reuse} == yes && -f $1 && $1 -nt $2 ]]
}

# tune_one SOURCE NAME [FLAG...]: writes WORK/ours-NAME.toml.
tune_one() {
    local source=$1 out="${work}/ours-$2.toml"
    shift 2
    is_current "${out}" "${source}" && return
    rm -f "${out%.toml}.jsonl"
    echo "==> tuning ${out##*/}" >&2
    "${nightshelf}" tune --quiet --config "${source}" "$@" --out "${out}" --force --trials "${trials}" \
        "${TEST[@]}" --folds 1 --repeats "${repeats}" -k 20 --metric ndcg >"${out%.toml}.txt"
}

# candidates: the configs of ours to be measured, a line each.
candidates() {
    local file name
    if [[ ${tune} == no ]]; then
        printf '%s\n' "${ours[@]}"
        return
    fi
    if ((${#ours[@]} == 0)); then
        tune_one "${config}" item_item --model item_item
        echo "${work}/ours-item_item.toml"
    fi
    for file in "${ours[@]}"; do
        name=$(basename "${file}" .toml)
        tune_one "${file}" "${name}"
        echo "${work}/ours-${name}.toml"
    done
}

measure() {
    local flags=() file
    if [[ ${skip_ours} == yes ]]; then
        flags+=(--config "${config}" --model popularity)
    else
        candidates >"${work}/ours.txt"
        while read -r file; do flags+=(--config "${file}"); done <"${work}/ours.txt"
    fi
    for file in "${work}"/lists/*.parquet; do
        flags+=(--lists "$(basename "${file}" .parquet)=${file}")
    done
    "${nightshelf}" evaluate --quiet "${flags[@]}" "${TEST[@]}" --folds 1 --repeats "${repeats}" -k 20 --metric ndcg \
        --report "${work}/peers.html"
}

# The lists are those of one variant of the split.
check_reuse() {
    [[ -f ${work}/peers.json ]] || fail "--reuse: no ${work}/peers.json"
    grep -q "\"repeats\": \"${repeats}\"" "${work}/peers.json" || fail "--reuse: ${work} is not of --repeats ${repeats}"
}

quality() {
    read_flags "$@"
    check_flags
    work=${work:-$(mktemp -d)}
    mkdir -p "${work}"
    make_venv
    if [[ ${reuse} == yes ]]; then
        check_reuse
    else
        rm -rf "${work}/lists" "${work}/split" "${work}/peers.json"
        export_split
        run_peers
    fi
    measure
    echo
    "${VENV}/bin/python" "${here}/peers.py" show --work "${work}"
    echo
    echo " directory  ${work}"
}

# add_tools: what `speed` needs beyond the peers of `quality`, again when their versions change.
add_tools() {
    local stamp
    stamp=$(cksum <"${SPEED_REQUIREMENTS}")
    [[ -f ${VENV}/has-tools && $(<"${VENV}/has-tools") == "${stamp}" ]] && return
    echo "==> installing psutil, polars and pyspark" >&2
    install psutil polars && install --no-binary pyspark pyspark ||
        fail "psutil, polars or pyspark cannot be installed, see above"
    echo "${stamp}" >"${VENV}/has-tools"
}

speed() {
    local rest=()
    while (($#)); do
        case $1 in
        --work) need_value "$@" && work=$2 && shift ;;
        --nightshelf) need_value "$@" && nightshelf=$2 && shift ;;
        *) rest+=("$1") ;;
        esac
        shift
    done
    make_venv
    add_tools
    if [[ " ${rest[*]} " != *" --help "* && " ${rest[*]} " != *" -h "* ]]; then
        command -v "${nightshelf}" >/dev/null || fail "no ${nightshelf}: cargo build --release --locked, or --nightshelf"
        work=${work:-$(mktemp -d)}
    fi
    exec "${VENV}/bin/python" "${here}/peers_speed/main.py" --work "${work:-.}" --nightshelf "${nightshelf}" "${rest[@]}"
}

case ${1:-} in
quality) shift && quality "$@" ;;
speed) shift && speed "$@" ;;
--help | -h) usage ;;
*) usage >&2 && exit 2 ;;
esac
