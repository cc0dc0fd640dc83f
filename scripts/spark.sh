#!/usr/bin/env bash
# Runs the PySpark jobs of jobs/ on a real Spark cluster (a master and two workers on this machine) and compares what comes out
# with `nightshelf build`, byte by byte; part `spark` of scripts/test.sh.
#
# Fetches PySpark from PyPI into ${NIGHTSHELF_CACHE:-~/.cache/nightshelf}/spark once (370 MB; no account, no Docker), and on Debian, as
# root, a Java runtime where none is installed.
#
#   NIGHTSHELF_PYSPARK=4.0.1   another version of PySpark
#   scripts/spark.sh --check   only sees that everything is there
#   scripts/spark.sh --home    prints Spark's directory and Python, for other scripts
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "scripts/spark.sh: $*" >&2
    exit 1
}

version=${NIGHTSHELF_PYSPARK:-$(sed -n 's/^pyspark==//p' scripts/spark-requirements.txt)}
cache="${NIGHTSHELF_CACHE:-${HOME}/.cache/nightshelf}/spark/${version}"

need_java() {
    if command -v java >/dev/null; then
        # Spark 3.5 runs on 8, 11 and 17, Spark 4.0 on 17 and 21.
        java -version 2>&1 | grep -qE 'version "(17|21)' && return
        fail "Spark needs Java 17: $(java -version 2>&1 | head -1) is installed"
    fi
    if [[ ${EUID} -ne 0 ]] || ! command -v apt-get >/dev/null; then
        fail "Spark needs Java: install openjdk-17-jre-headless, or leave the part out with NIGHTSHELF_SKIP=spark"
    fi
    echo "==> installing a Java runtime" >&2
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends openjdk-17-jre-headless >&2
}

need_spark() {
    [[ -f "${cache}/complete" ]] && return
    command -v python3 >/dev/null || fail "python3 is missing (Debian: apt-get install python3-venv)"
    echo "==> fetching pyspark ${version} into ${cache}" >&2
    rm -rf "${cache}"
    python3 -m venv "${cache}" || fail "python3 has no venv (Debian: apt-get install python3-venv)"
    "${cache}/bin/pip" install --quiet --disable-pip-version-check "pyspark==${version}" >&2 ||
        fail "pyspark ${version} cannot be installed, see above"
    touch "${cache}/complete"
}

need_java
need_spark
export NIGHTSHELF_SPARK_PYTHON="${cache}/bin/python"
NIGHTSHELF_SPARK_HOME=$("${NIGHTSHELF_SPARK_PYTHON}" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')
export NIGHTSHELF_SPARK_HOME
case ${1:-} in
--check) ;;
--home) echo "${NIGHTSHELF_SPARK_HOME} ${NIGHTSHELF_SPARK_PYTHON}" ;;
"")
    # One after the other: each starts a cluster of its own.
    cargo test --features failpoints --locked --test it spark:: -- --ignored --test-threads=1
    ;;
*) fail "usage: scripts/spark.sh [--check | --home]" ;;
esac
