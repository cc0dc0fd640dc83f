#!/usr/bin/env bash
# The whole way on one machine: builds recommendations from data-samples/, publishes them to SQLite, DynamoDB and Postgres, and reads
# them back with a SELECT and with boto3. No Docker, no AWS account: DynamoDB is an emulator (moto), Postgres a throwaway server;
# both listen on 127.0.0.1 only and are gone when the script ends.
#
#   scripts/demo.sh [--work DIR] [--nightshelf BINARY]
#
#   --work DIR           where runs, the SQLite file and the servers' files go (default: a new directory, removed at the end)
#   --nightshelf BINARY  take this binary instead of building one
#
# Needs Rust, python3 with venv, and Postgres 14 or newer (Debian: apt-get install postgresql python3-venv). The Python
# packages are pinned (scripts/demo-requirements.txt) and kept in ${NIGHTSHELF_CACHE:-~/.cache/nightshelf}/demo.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VENV="${NIGHTSHELF_CACHE:-${HOME}/.cache/nightshelf}/demo"
readonly REQUIREMENTS=scripts/demo-requirements.txt

fail() {
    echo "scripts/demo.sh: $*" >&2
    exit 1
}

step() {
    printf '\n==> %s\n' "$*"
}

work=""
nightshelf=""
while (($#)); do
    case "$1" in
    --work | --nightshelf)
        (($# > 1)) || fail "$1 needs a value"
        if [[ "$1" == --work ]]; then work=$2; else nightshelf=$2; fi
        shift 2
        ;;
    -h | --help)
        sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' scripts/demo.sh
        exit
        ;;
    *) fail "unknown argument $1 (--help)" ;;
    esac
done

command -v python3 >/dev/null || fail "python3 is missing; on Debian: apt-get install python3-venv"
postgres_bin=""
for folder in "$(command -v pg_config >/dev/null && pg_config --bindir)" /usr/lib/postgresql/*/bin /usr/local/bin /opt/homebrew/bin; do
    [[ -x "${folder}/initdb" && -x "${folder}/postgres" ]] && postgres_bin=${folder}
done
[[ -n "${postgres_bin}" ]] || fail "Postgres (initdb, postgres) is missing; on Debian: apt-get install postgresql"

# Postgres refuses to run as root; then it runs as another user that exists.
as_postgres=()
if ((EUID == 0)); then
    user=postgres
    id "${user}" >/dev/null 2>&1 || user=nobody
    as_postgres=(setpriv --reuid="${user}" --regid="$(id -g "${user}")" --clear-groups)
fi

remove_work=no
if [[ -z "${work}" ]]; then
    work=$(mktemp -d)
    remove_work=yes
fi
mkdir -p "${work}"
work=$(cd "${work}" && pwd)
servers=$(mktemp -d)
chmod 755 "${servers}"
emulator_pid=""

finish() {
    local status=$?
    trap - EXIT
    [[ -z "${emulator_pid}" ]] || kill "${emulator_pid}" 2>/dev/null || true
    if [[ -f "${servers}/postgres/postmaster.pid" ]]; then
        "${as_postgres[@]}" "${postgres_bin}/pg_ctl" -D "${servers}/postgres" -m immediate -s stop || true
    fi
    if ((status)); then
        tail -n 20 "${servers}"/*.log >&2 2>/dev/null || true
    fi
    rm -rf "${servers}"
    [[ "${remove_work}" == no ]] || rm -rf "${work}"
    exit "${status}"
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for WHAT COMMAND...: until the command succeeds, 30 seconds at most.
wait_for() {
    local what=$1
    shift
    for _ in {1..300}; do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "${what} did not start"
}

step "the program"
if [[ -z "${nightshelf}" ]]; then
    cargo build --release --locked
    nightshelf=$(cargo metadata --format-version 1 --no-deps --locked |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/nightshelf
fi
"${nightshelf}" --version

step "boto3 and the emulator, in ${VENV}"
if ! cmp --silent "${VENV}/installed-for" "${REQUIREMENTS}"; then
    rm -rf "${VENV}"
    python3 -m venv "${VENV}" || fail "python3 -m venv failed; on Debian: apt-get install python3-venv"
    "${VENV}/bin/pip" install --quiet --disable-pip-version-check -r "${REQUIREMENTS}"
    cp "${REQUIREMENTS}" "${VENV}/installed-for"
fi

step "DynamoDB (emulator)"
dynamodb_port=$(free_port)
"${VENV}/bin/moto_server" -H 127.0.0.1 -p "${dynamodb_port}" >"${servers}/dynamodb.log" 2>&1 &
emulator_pid=$!
export AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:${dynamodb_port}" AWS_REGION=eu-central-1 AWS_DEFAULT_REGION=eu-central-1
export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo AWS_EC2_METADATA_DISABLED=true
wait_for "the emulator" python3 -c "import socket; socket.create_connection(('127.0.0.1', ${dynamodb_port}))"
echo "listens on ${AWS_ENDPOINT_URL_DYNAMODB}"

step "Postgres (throwaway)"
postgres_port=$(free_port)
((${#as_postgres[@]})) && chown "${user}" "${servers}"
PGPASSWORD=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
export PGPASSWORD
# The password's file is read by the server's user alone.
install -m 600 /dev/null "${servers}/password"
printf '%s' "${PGPASSWORD}" >"${servers}/password"
((${#as_postgres[@]})) && chown "${user}" "${servers}/password"
(
    cd "${servers}"
    "${as_postgres[@]}" "${postgres_bin}/initdb" -D "${servers}/postgres" -U demo --pwfile="${servers}/password" \
        --auth=scram-sha-256 --encoding=UTF8 --no-sync >/dev/null
    "${as_postgres[@]}" "${postgres_bin}/pg_ctl" -D "${servers}/postgres" -w -s -l "${servers}/postgres/server.log" \
        -o "-p ${postgres_port} -h 127.0.0.1 -k ${servers}" start
)
sql() {
    psql --no-psqlrc --quiet --host 127.0.0.1 --port "${postgres_port}" --username demo --dbname "$@"
}
sql postgres --command "CREATE DATABASE shop"
echo "listens on 127.0.0.1:${postgres_port}"

step "nightshelf build: events -> run directory -> SQLite, DynamoDB, Postgres"
export DEMO_POSTGRES_PASSWORD="${PGPASSWORD}"
"${nightshelf}" build --config data-samples/nightshelf.toml --runs "${work}/runs" --sqlite "${work}/nightshelf.db" \
    --publish sqlite --publish dynamodb --publish postgres --create-tables --set publish.dynamodb.table=nightshelf \
    --set publish.dynamodb.verify_sample=50 \
    --set publish.postgres.host=127.0.0.1 --set "publish.postgres.port=${postgres_port}" \
    --set publish.postgres.database=shop --set publish.postgres.user=demo \
    --set publish.postgres.password_env=DEMO_POSTGRES_PASSWORD

step "SELECT from Postgres: items like i000010"
sql shop --command "SELECT rank, similar_item_id, round(score::numeric, 3) AS score
    FROM nightshelf.similar_items_current WHERE item_id = 'i000010' ORDER BY rank LIMIT 5"

step "boto3 from DynamoDB (docs/examples/reader.py): user u0000123, items like i000010, an unknown user"
"${VENV}/bin/python" docs/examples/reader.py --table nightshelf user u0000123 item i000010 recommend nobody |
    "${VENV}/bin/python" -c '
import json, sys
for line in sys.stdin:
    answer = json.loads(line)
    found = answer["found"]
    items = " ".join(found["items"][:5])
    source = found["source"] or "-"
    print("%-9s %-9s source %-10s %d items: %s ..." % (answer["kind"], answer["key"], source, len(found["items"]), items))
'
echo
echo "scripts/demo.sh: done"
