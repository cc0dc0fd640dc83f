"""Runs `nightshelf worker STAGE` once for every bucket of a build (`pairs`: for every part), as tasks of Spark.

    spark-submit --files .../nightshelf,.../nightshelf.toml run_partitions.py aggregate --work s3://bucket/work/RUN

Spark schedules, retries and speculates; the program computes. A task starts the program as a child process, passes the
child's stderr on to the executor's log as it comes, and fails with the child's exit code and last lines. A child writes to a
path of its own attempt and its result counts once it is complete, so a task may run twice, or be killed, without harm.

Needs Python's standard library and PySpark 3.5 or 4.0, nothing else.
"""

import argparse
import json
import re
import sys

from pyspark import SparkContext

# What a stage is dealt by: how the plan counts it, the flag of the program, and the word for people.
BUCKETS, PARTS = ("n_buckets", "--bucket", "buckets"), ("n_item_parts", "--part", "parts")
STAGES = {"survey": BUCKETS, "aggregate": BUCKETS, "pairs": PARTS, "recommend": BUCKETS}
# The last lines of a child that failed, as the task's exception and the driver's last words show them.
N_LAST_LINES = 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--work", required=True, metavar="LOCATION", help="the run's work location")
    parser.add_argument("--config", default="nightshelf.toml", metavar="FILE", help="config: a path, or a name of --files")
    parser.add_argument("--binary", default="nightshelf", metavar="FILE", help="program: a path, or a name of --files")
    parser.add_argument("--buckets-per-task", type=int, default=1, metavar="N", help="consecutive buckets (or parts) of one process")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of a process; default: spark.task.cpus")
    return parser.parse_args()


def read_plan(sc, work):
    """plan.json, by Hadoop's own client: no node needs boto3."""
    location = work if "://" in work else "file://" + work
    path = sc._jvm.org.apache.hadoop.fs.Path(f"{location}/plan.json")
    stream = path.getFileSystem(sc._jsc.hadoopConfiguration()).open(path)
    try:
        return json.loads(sc._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def run_task(first, last, options):
    """Runs the program on the buckets (or parts) first to last; what runs on an executor, and so imports what it needs itself."""
    import collections
    import ctypes
    import os
    import signal
    import socket
    import stat
    import subprocess
    import sys
    import uuid

    from pyspark import SparkFiles, TaskContext

    def found(name):
        # Names of --files lie in the container's directory (YARN) or in Spark's own (a standalone cluster).
        for place in (name, os.path.join(os.getcwd(), name), SparkFiles.get(os.path.basename(name))):
            if os.path.isabs(place) and os.path.isfile(place):
                return place
        raise RuntimeError(f"nightshelf-failed: {name} is neither a file of {socket.gethostname()} nor one of --files")

    binary = found(options["binary"])
    if not os.access(binary, os.X_OK):
        os.chmod(binary, os.stat(binary).st_mode | stat.S_IXUSR)
    buckets = str(first) if first == last else f"{first}-{last}"
    task = TaskContext.get()
    # Of this attempt alone, and readable: which application, which attempt of the task.
    attempt = f"{options['application']}-{task.taskAttemptId()}-{uuid.uuid4().hex[:8]}"
    command = [binary, "worker", options["stage"], "--config", found(options["config"]), "--work", options["work"]]
    command += [options["flag"], buckets, "--attempt", attempt]
    environment = dict(os.environ, NIGHTSHELF__BUILD__THREADS=str(options["threads"]))

    def die_with_parent():
        # PR_SET_PDEATHSIG: when Spark kills this Python worker (another attempt won, the job was cancelled), the child goes too.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)

    label = f"nightshelf {options['stage']} {buckets}"
    print(f"{label}: {' '.join(command)}", file=sys.stderr, flush=True)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        preexec_fn=die_with_parent, text=True, encoding="utf-8", errors="replace", bufsize=1,
    )
    last_lines = collections.deque(maxlen=options["n_last_lines"])
    for line in child.stdout:
        line = line.rstrip("\n")
        last_lines.append(line)
        print(f"{label}: {line}", file=sys.stderr, flush=True)
    code = child.wait()
    if code == 0:
        return buckets
    if code < 0:
        ended = f"was killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            ended += " (by the kernel or YARN when memory ran out: raise emr.spark.worker_memory_mb)"
    else:
        ended = f"ended with exit code {code}"
    said = "".join(f"\n  {line}" for line in last_lines) or "\n  (it said nothing)"
    where = f"on {socket.gethostname()}, attempt {task.attemptNumber()} of the task"
    what = f"`worker {options['stage']} {options['flag']} {buckets}`"
    raise RuntimeError(f"nightshelf-failed: {what} {ended}, {where}{said}\nnightshelf-end")


def reason(error):
    """Of Spark's long exception, what the program said."""
    found = re.search(r"RuntimeError: nightshelf-failed: (.*?)\s*(?:nightshelf-end|$)", str(error), re.DOTALL)
    return found.group(1) if found else str(error)


def main():
    args = arguments()
    work = args.work.rstrip("/")
    sc = SparkContext(appName=f"nightshelf {args.stage}")
    counted, flag, noun = STAGES[args.stage]
    n = read_plan(sc, work)[counted]
    step = max(1, args.buckets_per_task)
    ranges = [(first, min(first + step, n) - 1) for first in range(0, n, step)]
    options = {
        "stage": args.stage,
        "flag": flag,
        "work": work,
        "config": args.config,
        "binary": args.binary,
        "threads": args.threads or int(sc.getConf().get("spark.task.cpus", "1")),
        "application": re.sub(r"[^A-Za-z0-9]+", "-", sc.applicationId),
        "n_last_lines": N_LAST_LINES,
    }
    text = f"nightshelf {args.stage}: {n} {noun} in {len(ranges)} tasks"
    # Cancelling the job interrupts its tasks, and with them the children.
    sc.setJobGroup(f"nightshelf-{args.stage}", text, True)
    print(text, file=sys.stderr, flush=True)
    try:
        # A partition each: a task is what Spark retries.
        tasks = sc.parallelize(ranges, len(ranges)).setName(text)
        done = tasks.map(lambda pair: run_task(pair[0], pair[1], options)).collect()
    except Exception as error:  # noqa: BLE001: whatever it was, the last words are the reason
        print(f"error: stage {args.stage} failed: {reason(error)}", file=sys.stderr, flush=True)
        sc.stop()
        sys.exit(1)
    print(f"nightshelf {args.stage}: all of {len(done)} tasks are done", file=sys.stderr, flush=True)
    sc.stop()


if __name__ == "__main__":
    main()
