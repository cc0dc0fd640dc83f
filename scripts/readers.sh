#!/usr/bin/env bash
# Runs the reader examples of docs/examples against the emulator: boto3 in a venv, the AWS SDK for JavaScript in a folder,
# both pinned and kept in ${NIGHTSHELF_CACHE:-~/.cache/nightshelf}/readers. Needs python3 with venv, node 20 and npm.
#
#   scripts/readers.sh [python|javascript ...]      default: both
#   NIGHTSHELF_SKIP=python,javascript               leaves one out, or both
set -euo pipefail
cd "$(dirname "$0")/.."

readonly CACHE="${NIGHTSHELF_CACHE:-${HOME}/.cache/nightshelf}/readers"
readonly EXAMPLES=docs/examples

fail() {
    echo "scripts/readers.sh: $*" >&2
    exit 1
}

need_tool() {
    command -v "$1" >/dev/null || fail "$1 is missing: $2 (or NIGHTSHELF_SKIP=$3)"
}

is_skipped() {
    [[ ",${NIGHTSHELF_SKIP:-}," == *",$1,"* ]]
}

# is_current DIR FILE: what is in DIR was installed for this FILE.
is_current() {
    cmp --silent "$1/installed-for" "$2"
}

tests=()
languages=("$@")
((${#languages[@]})) || languages=(python javascript)
for language in "${languages[@]}"; do
    if is_skipped "${language}"; then
        echo "scripts/readers.sh: ${language} SKIPPED (NIGHTSHELF_SKIP)"
        continue
    fi
    folder="${CACHE}/${language}"
    case "${language}" in
    python)
        need_tool python3 "on Debian: apt-get install python3-venv" python
        if ! is_current "${folder}" "${EXAMPLES}/requirements.txt"; then
            rm -rf "${folder}"
            python3 -m venv "${folder}" || fail "python3 -m venv failed; on Debian: apt-get install python3-venv"
            "${folder}/bin/pip" install --quiet --disable-pip-version-check -r "${EXAMPLES}/requirements.txt"
            cp "${EXAMPLES}/requirements.txt" "${folder}/installed-for"
        fi
        export NIGHTSHELF_READERS_PYTHON="${folder}/bin/python"
        ;;
    javascript)
        need_tool node "https://nodejs.org, version 20 or newer" javascript
        need_tool npm "it comes with node" javascript
        if ! is_current "${folder}" "${EXAMPLES}/package.json"; then
            rm -rf "${folder}"
            mkdir -p "${folder}"
            cp "${EXAMPLES}/package.json" "${folder}/"
            npm install --prefix "${folder}" --no-audit --no-fund --loglevel=error
            cp "${EXAMPLES}/package.json" "${folder}/installed-for"
        fi
        export NIGHTSHELF_READERS_NODE="${folder}"
        ;;
    *) fail "'${language}' is neither python nor javascript" ;;
    esac
    tests+=("readers::${language}_reads_what_was_published")
done
((${#tests[@]})) || exit 0
# Not run is not passed: the count is checked.
output=$(mktemp)
trap 'rm -f "${output}"' EXIT
cargo test --locked --features failpoints --test it -- --exact --include-ignored "${tests[@]}" | tee "${output}"
grep -q "test result: ok. ${#tests[@]} passed" "${output}" || fail "not all of ${tests[*]} ran"
