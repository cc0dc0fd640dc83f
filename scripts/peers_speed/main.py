"""Speed of nightshelf and of its peers on the same input: alternating runs, medians, ratios. Started by scripts/peers.sh.

Parts (--part, repeatable; default: all), with the minutes that a round takes at full size on two quiet cores (train and pipeline: estimated):

  train     seconds of a sweep and the objective reached: implicit, irspack (CG, iALS++), LensKit      8
  score     everybody's exact top 50: implicit, irspack; with --gowalla also 64, 256, 512 factors      2, gowalla 4
  items     350 neighbours an item, and top 50 from them: implicit, irspack                            27
  pipeline  10 million events to SQLite against polars + implicit + sqlite3                            7
  spark     1 million events to Parquet against PySpark with MLlib                                     2

At the small size (a tenth, or a twentieth for whole jobs) a round of all of it took 4 minutes. Times are without making the
inputs, which takes two minutes at full size and is done once in a work directory.

A round runs every contender once, so that slow minutes of the machine meet all of them. There are --rounds of them,
fewer when another one would not fit into --seconds. Peers run with as many threads as nightshelf, and BLAS under
them with one. Each runs in a process of its own; memory is the peak of the process and its descendants.
A run during which its processes were stopped, or nothing was seen of them for two seconds, is discarded and said so.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from machine import description
from parts import JOB, PARTS, Context
from process import Failed, Stalled
from tables import Figure, as_markdown, as_text, table


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/peers.sh speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=list(PARTS), action="append", help="measure this part alone; repeatable")
    parser.add_argument("--size", choices=["small", "full"], default="small")
    parser.add_argument("--rounds", type=int, default=3, help="runs of every contender (3)")
    parser.add_argument("--seconds", type=int, default=420, help="start no round of a part that ends later (420)")
    parser.add_argument("--gowalla", type=Path, help="directory with the train.parquet of the Gowalla split, for score")
    parser.add_argument("--factors", type=int, default=JOB["n_factors"], help="factors of part train (64)")
    parser.add_argument("--spark-events", type=int, help="events of part spark (300,000 small, 1,000,000 full)")
    parser.add_argument("--without", action="append", default=[], help="leave out this program; repeatable")
    parser.add_argument("--work", type=Path, required=True, help="inputs and intermediate files; kept")
    parser.add_argument("--markdown", type=Path, help="where the tables go (WORK/speed-SIZE.md)")
    parser.add_argument("--nightshelf", required=True, help="the binary")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds is at least 1")
    if args.factors < 1:
        parser.error("--factors is at least 1")
    if args.gowalla and not (args.gowalla / "train.parquet").is_file():
        parser.error(f"--gowalla: no {args.gowalla}/train.parquet")
    return args


def measure(part, rounds, seconds):
    """Figures of the part. A contender that fails is named and left out; the others go on."""
    figures, failed = {}, []
    started = time.monotonic()
    for number in range(rounds):
        begun = time.monotonic()
        for contender in part.contenders:
            if contender not in failed and not measure_once(contender, figures):
                failed.append(contender)
        now = time.monotonic()
        if number + 1 < rounds and now - started + (now - begun) > seconds:
            print(f"    {number + 1} of {rounds} rounds: --seconds {seconds}", file=sys.stderr)
            break
    measured = {(who, threads) for _, who, threads in figures}
    failed += [one for one in part.contenders if one not in failed and (one.who, one.threads) not in measured]
    return list(figures.values()), failed


def measure_once(contender, figures):
    label = f"{contender.who}, {contender.threads} threads"
    begun = time.monotonic()
    try:
        measured = contender.measure()
    except Stalled as error:
        print(f"    {label}: run discarded, {error}", file=sys.stderr)
        return True
    except Failed as error:
        print(f"    {label}: FAILED, {error}", file=sys.stderr)
        return False
    shown = []
    for one in measured:
        key = (one.what, contender.who, contender.threads)
        blank = Figure(one.what, one.unit, contender.who, contender.threads, one.lower_is_better)
        figure = figures.setdefault(key, blank)
        figure.values += one.values
        figure.cores += [one.cores] if one.cores is not None else []
        figure.peak_mb += [one.peak_mb] if one.peak_mb is not None else []
        figure.notes = one.notes
        shown.append(f"{one.what} {' '.join(f'{value:.4g}' for value in one.values)} {one.unit}")
    print(f"    {label}: {'; '.join(shown)} ({time.monotonic() - begun:.0f} s)", file=sys.stderr)
    return True


def command_line(args):
    words = [f"--size {args.size}", f"--rounds {args.rounds}"]
    words += [f"--part {part}" for part in args.part or []]
    words += ["--gowalla DIR"] if args.gowalla else []
    words += [f"--factors {args.factors}"] if args.factors != JOB["n_factors"] else []
    words += [f"--spark-events {args.spark_events}"] if args.spark_events else []
    return f"scripts/peers.sh speed {' '.join(words)}"


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = parse()
    args.work.mkdir(parents=True, exist_ok=True)
    spark_events = args.spark_events or (300_000 if args.size == "small" else 1_000_000)
    context = Context(args.work.resolve(), args.nightshelf, args.size, args.gowalla, spark_events, args.factors)
    head = [*description(args.nightshelf), f"- command: `{command_line(args)}`"]
    markdown = args.markdown or args.work / f"speed-{args.size}.md"
    sections, broken = ["\n".join(head)], False
    print("\n".join(head))
    for name in args.part or PARTS:
        print(f"==> {name}", file=sys.stderr)
        part = PARTS[name](context)
        part.contenders = [one for one in part.contenders if one.who not in args.without]
        figures, failed = measure(part, args.rounds, args.seconds)
        broken = broken or bool(failed)
        missing = [f"No valid run: {one.who} with {one.threads} threads." for one in failed]
        header, rows = table(figures)
        print("\n".join(["", part.title, "", as_text(header, rows), *missing]), flush=True)
        sections.append("\n\n".join([f"### {part.title}", as_markdown(header, rows), *missing]))
        markdown.write_text("\n\n".join(sections) + "\n")
    print(f"\n Markdown   {markdown}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
