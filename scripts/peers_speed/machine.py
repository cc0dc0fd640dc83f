"""What the figures were taken on, and the environment that keeps a peer to its number of threads."""

import os
import platform
import subprocess
from datetime import date
from importlib import metadata
from pathlib import Path

PACKAGES = ["implicit", "irspack", "lenskit", "pyspark", "polars", "numpy", "scipy", "pyarrow"]


def cpu_field(name):
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def has_avx512():
    return "avx512f" in cpu_field("flags").split()


def description(nightshelf):
    """Lines of Markdown about the machine and the versions."""
    ours = subprocess.run([nightshelf, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    vectors = "AVX-512" if has_avx512() else "AVX2" if "avx2" in cpu_field("flags").split() else "no AVX2"
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in PACKAGES if installed(package))
    return [
        f"- machine: {cpu_field('model name')} (family {cpu_field('cpu family')}, model {cpu_field('model')}, {vectors}), "
        f"{os.cpu_count()} cores, {gib:.0f} GiB; load at the start {os.getloadavg()[0]:.1f}",
        f"- date: {date.today().isoformat()}",
        f"- versions: {ours}, Python {platform.python_version()}, {versions}",
    ]


def installed(package):
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def environment(threads):
    """The peer's own threads do the work; BLAS, which is called from them, has one."""
    variables = dict(os.environ)
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LK_NUM_BACKEND_THREADS"):
        variables[name] = "1"
    names = ["OMP_NUM_THREADS", "LK_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS"]
    for name in [*names, "IRSPACK_NUM_THREADS_DEFAULT"]:
        variables[name] = str(threads)
    if has_avx512():
        variables["OPENBLAS_CORETYPE"] = "SKYLAKEX"
    return variables
