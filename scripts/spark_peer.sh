#!/usr/bin/env bash
# The same job twice on the same Spark cluster (a master and two workers on this machine): nightshelf's stages, and what one would
# write in PySpark alone (scripts/pipelines/spark_mllib.py: MLlib's ALS and recommendForAllUsers). Prints the seconds of each stage
# and of both, one after the other; both end with lists for every user in Parquet.
#
# What the two do is not the same to the letter: MLlib filters nothing that a user has seen, makes no similar, popular or trending
# lists, no report; nightshelf does, in the stages below. Set-up of the cluster and making the shop are not counted, starting
# applications on the cluster is.
#
#   scripts/spark_peer.sh [--events N] [--users N] [--items N] [--n-factors N] [--iterations N] [--buckets N]
#                         [--cores N] [--memory MB] [--dir DIR] [--binary FILE] [--only nightshelf|mllib]
#
# Defaults: 20,000,000 events, 1,000,000 users, 100,000 items, 64 factors, 10 iterations, 32 buckets; workers of 1 core and 6,000 MB.
# MLlib scored 300 users a second on 2 cores: at the default size it takes about an hour.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "scripts/spark_peer.sh: $*" >&2
    exit 1
}

events=20000000 users=1000000 items=100000 n_factors=64 iterations=10 buckets=32 cores=1 memory=6000
dir="" binary=target/release/nightshelf only=""
while (($#)); do
    (($# > 1)) || fail "$1 needs a value"
    case $1 in
    --events) events=$2 ;;
    --users) users=$2 ;;
    --items) items=$2 ;;
    --n-factors) n_factors=$2 ;;
    --iterations) iterations=$2 ;;
    --buckets) buckets=$2 ;;
    --cores) cores=$2 ;;
    --memory) memory=$2 ;;
    --dir) dir=$2 ;;
    --binary) binary=$2 ;;
    --only) only=$2 ;;
    *) fail "there is no option $1; the options are in the head of this file" ;;
    esac
    shift 2
done
[[ -x ${binary} ]] || fail "there is no ${binary}: cargo build --release --locked, or --binary"
binary=$(realpath "${binary}")
read -r SPARK_HOME PYSPARK_PYTHON < <(scripts/spark.sh --home)
export SPARK_HOME PYSPARK_PYTHON SPARK_LOCAL_IP=127.0.0.1
# MLlib wants numpy; nightshelf's jobs do not.
"${PYSPARK_PYTHON}" -c 'import numpy' 2>/dev/null || "${PYSPARK_PYTHON}" -m pip install --quiet numpy==2.4.6

here=$(mktemp -d)
pids=()
finish() {
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "${here}"
}
trap finish EXIT
dir=${dir:-${here}/shop}
if [[ ! -d ${dir}/events ]]; then
    echo "==> making a shop of ${events} events in ${dir}" >&2
    "${binary}" synth --out "${dir}" --events "${events}" --users "${users}" --items "${items}" >/dev/null
fi
dir=$(realpath "${dir}")

export SPARK_CONF_DIR="${here}/conf"
mkdir -p "${SPARK_CONF_DIR}"
port=$("${PYSPARK_PYTHON}" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
master="spark://127.0.0.1:${port}"
cat >"${SPARK_CONF_DIR}/spark-defaults.conf" <<CONF
spark.master ${master}
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.ui.enabled false
spark.local.dir ${here}/local
spark.executor.cores ${cores}
CONF
"${SPARK_HOME}/bin/spark-class" org.apache.spark.deploy.master.Master --host 127.0.0.1 --port "${port}" --webui-port 0 \
    >"${here}/master.log" 2>&1 &
pids+=($!)
for number in 1 2; do
    "${SPARK_HOME}/bin/spark-class" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --webui-port 0 --cores "${cores}" \
        --memory "${memory}m" --work-dir "${here}/worker-${number}" "${master}" >"${here}/worker-${number}.log" 2>&1 &
    pids+=($!)
done
for _ in {1..300}; do
    (($(grep -c "Registering worker" "${here}/master.log" || true) == 2)) && break
    sleep 0.2
done
(($(grep -c "Registering worker" "${here}/master.log" || true) == 2)) || fail "the cluster did not start: $(tail -3 "${here}/master.log")"

# seconds NAME MICROSECONDS
seconds() {
    printf '%-12s %7d.%d s\n' "$1" $(($2 / 1000000)) $(($2 / 100000 % 10))
}

total=0
# timed NAME COMMAND...: runs it, prints its seconds, adds them up.
timed() {
    local name=$1 start end
    shift
    start=${EPOCHREALTIME/[^0-9]/}
    "$@" >"${here}/out.log" 2>&1 || {
        tail -30 "${here}/out.log" >&2
        fail "${name} failed, see above"
    }
    end=${EPOCHREALTIME/[^0-9]/}
    total=$((total + end - start))
    seconds "${name}" $((end - start))
}

echo "cluster: 2 workers of ${cores} cores and ${memory} MB; ${events} events, ${users} users, ${items} items, ${n_factors} factors, ${iterations} iterations"
if [[ ${only} != mllib ]]; then
    cat >"${here}/nightshelf.toml" <<CONF
[build]
runs = "${here}/runs"
[events]
paths = ["${dir}/events/"]
[catalog]
path = "${dir}/catalog.parquet"
[interactions]
n_buckets = ${buckets}
[model.als]
n_factors = ${n_factors}
iterations = ${iterations}
[publish]
targets = []
CONF
    own=(--config "${here}/nightshelf.toml" --work "${here}/work")
    submit() {
        "${SPARK_HOME}/bin/spark-submit" --conf spark.task.cpus="${cores}" --conf spark.executor.memory=512m jobs/run_partitions.py "$@" \
            --binary "${binary}" "${own[@]}"
    }
    echo "nightshelf"
    timed plan "${binary}" worker plan --run night "${own[@]}"
    timed shuffle "${SPARK_HOME}/bin/spark-submit" --conf spark.executor.memory=$((memory - 1000))m jobs/shuffle_events.py --work "${here}/work"
    timed survey submit survey
    timed merge "${binary}" worker merge survey "${own[@]}"
    timed aggregate submit aggregate
    timed train "${binary}" train "${own[@]}"
    timed recommend submit recommend --buckets-per-task $(((buckets + 3) / 4))
    timed seal "${binary}" worker seal "${own[@]}"
    seconds whole "${total}"
fi
if [[ ${only} != nightshelf ]]; then
    total=0
    as_of=$(find "${dir}/events" -name 'dt=*' | sort | tail -1 | sed 's/.*dt=//')
    echo "PySpark with MLlib, as of ${as_of}"
    timed whole "${PYSPARK_PYTHON}" scripts/pipelines/spark_mllib.py --master "${master}" --events "${dir}/events" --as-of "${as_of}" \
        --out "${here}/mllib" --n-factors "${n_factors}" --iterations "${iterations}" --threads $((2 * cores)) --memory $((memory - 1000))m
fi
