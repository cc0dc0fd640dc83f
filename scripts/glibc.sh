#!/usr/bin/env bash
# Says which GLIBC a program asks for, and fails when it is a newer one than Amazon Linux 2023 has (2.34), which is what EMR 7
# runs on.
#
#   scripts/glibc.sh PROGRAM [NEWEST]
set -euo pipefail

program=${1:?usage: scripts/glibc.sh PROGRAM [NEWEST]}
newest=${2:-2.34}
command -v objdump >/dev/null || {
    echo "scripts/glibc.sh: objdump is missing (Debian: apt-get install binutils)" >&2
    exit 1
}
[[ -f ${program} ]] || {
    echo "scripts/glibc.sh: there is no ${program}" >&2
    exit 1
}
asks=$(objdump -T "${program}" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -1)
if [[ -z ${asks} ]]; then
    echo "${program} asks for no GLIBC"
elif [[ $(printf '%s\n' "${asks}" "${newest}" | sort -V | tail -1) == "${newest}" ]]; then
    echo "${program} asks for GLIBC ${asks}, and may for ${newest}"
else
    echo "${program} asks for GLIBC ${asks}, newer than ${newest}: build it on an older system, see docs/emr.md" >&2
    objdump -T "${program}" | grep "GLIBC_${asks}" | head -5 >&2
    exit 1
fi
