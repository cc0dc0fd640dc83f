"""Deals the events (and order lines) of a build into buckets by user: the one thing of a build that Spark does itself.

    spark-submit shuffle_events.py --work s3://bucket/work/RUN

Reads WORK/plan.json, which `nightshelf worker plan` wrote; writes WORK/events/bucket=NNN/*.parquet, and WORK/orders likewise.
A row's bucket is pmod(xxhash64(user id as text), n_buckets), the number that nightshelf itself gives the user. No row is
dropped and no column changed; a column `nightshelf_latest` tells what the row's file path said of its day.

Needs Python's standard library and PySpark 3.5 or 4.0, nothing else. Run again it does nothing once it was done.
"""

import argparse
import json
import math
import re
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

# The plan.json that this job reads.
FORMAT_VERSION = 1

# A file of one bucket at most, as bytes of the input: what one worker reads comfortably in one go.
FILE_BYTES = 256 << 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, metavar="LOCATION", help="the run's work location, as the workers have it")
    return parser.parse_args()


def uri(location):
    """A location as Hadoop wants it: a path without a scheme is a local file, whatever the cluster's default is."""
    return location if "://" in location else "file://" + location


class Files:
    """The cluster's file systems, by Hadoop's own client: no node needs boto3."""

    def __init__(self, spark):
        self.jvm = spark.sparkContext._jvm
        self.conf = spark.sparkContext._jsc.hadoopConfiguration()

    def _of(self, location):
        path = self.jvm.org.apache.hadoop.fs.Path(uri(location))
        return path.getFileSystem(self.conf), path

    def exists(self, location):
        system, path = self._of(location)
        return system.exists(path)

    def read_text(self, location):
        system, path = self._of(location)
        stream = system.open(path)
        try:
            return self.jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
        finally:
            stream.close()


def quoted(names):
    """A column by its path; names may hold dots."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def literal(path):
    """A path that Spark takes as it is: in its own language of patterns these characters mean something."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", uri(path))


class Schemas:
    """Schemas of the groups' files: read from one footer a group, since all files of a group have the same."""

    def __init__(self, spark):
        self.spark = spark
        self.known = {}

    def of(self, group):
        """Spark's schema, and which columns are timestamps in nanoseconds, which Spark itself refuses to read."""
        jvm, conf = self.spark.sparkContext._jvm, self.spark.sparkContext._jsc.hadoopConfiguration()
        path = jvm.org.apache.hadoop.fs.Path(uri(group["paths"][0]))
        file = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(path, conf)
        reader = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(file)
        try:
            message = reader.getFooter().getFileMetaData().getSchema()
        finally:
            reader.close()
        text = message.toString()
        if text not in self.known:
            nanos = [
                field.getName()
                for field in message.getFields()
                if field.getLogicalTypeAnnotation() is not None
                and str(field.getLogicalTypeAnnotation().toString()).startswith("TIMESTAMP(NANOS")
            ]
            schema = read(self.spark).parquet(literal(group["paths"][0])).schema
            self.known[text] = (schema, nanos)
        return self.known[text]


def read(spark):
    # A directory dt=... above a file must not become a column: the plan has understood it already.
    return spark.read.option("recursiveFileLookup", "true").option("mergeSchema", "false")


def frame_of(spark, source):
    """All rows of a source. The files of a group have one schema; groups may lack columns that others have."""
    schemas, whole = Schemas(spark), None
    for group in source["groups"]:
        schema, nanos = schemas.of(group)
        frame = read(spark).schema(schema).parquet(*[literal(path) for path in group["paths"]])
        columns = []
        for name in group["columns"]:
            column = F.col(quoted([name]))
            if name in nanos:
                # Read as integers (nanosAsLong); nightshelf keeps whole seconds, so microseconds lose nothing.
                n = quoted([name])
                column = F.expr(f"timestamp_micros(({n} - pmod({n}, 1000L)) div 1000L)").alias(name)
            columns.append(column)
        frame = frame.select(*columns, F.lit(group["latest"]).cast("bigint").alias("nightshelf_latest"))
        whole = frame if whole is None else whole.unionByName(frame, allowMissingColumns=True)
    return whole


def bucket_of(frame, path, n_buckets):
    """The bucket of each row. Rows without a user go by their other columns: they belong to nobody, and all of them in one
    bucket would be the one that everybody waits for. By the row itself, so that a task that runs twice deals alike."""
    user = F.col(quoted(path)).cast("string")
    whole = [F.col(quoted([field.name])) for field in frame.schema.fields if "map<" not in field.dataType.simpleString()]
    key = F.when(user.isNull(), F.xxhash64(*whole)).otherwise(F.xxhash64(user))
    return key, F.pmod(key, F.lit(n_buckets)).cast("int")


def shuffle(spark, name, source, n_buckets, target):
    """Writes the rows of a source by bucket."""
    frame = frame_of(spark, source)
    key, bucket = bucket_of(frame, source["user_id"], n_buckets)
    # From the input's size: a partition for each bucket, several where a bucket is larger than one file should be.
    n_files = max(1, math.ceil(source["n_bytes"] / n_buckets / FILE_BYTES))
    salt = F.pmod(F.xxhash64(key), F.lit(n_files)).cast("int")
    n_partitions = n_buckets * n_files
    text = f"{name}: {len(source['groups'])} groups of files, {source['n_bytes']:,} bytes, into {n_buckets} buckets"
    spark.sparkContext.setJobGroup(f"nightshelf-shuffle-{name}", f"nightshelf shuffle {text}", True)
    print(f"nightshelf shuffle: {text}, {n_partitions} partitions", file=sys.stderr, flush=True)
    width = max(3, len(str(n_buckets - 1)))
    dealt = frame.withColumn("bucket", F.lpad(bucket.cast("string"), width, "0"))
    dealt = dealt.repartition(n_partitions, "bucket", salt)
    dealt.write.mode("overwrite").partitionBy("bucket").parquet(uri(target))


def shuffle_all(spark, work):
    files = Files(spark)
    plan = json.loads(files.read_text(f"{work}/plan.json"))
    if plan["format_version"] != FORMAT_VERSION:
        raise ValueError(f"{work}/plan.json has format {plan['format_version']}, this job reads {FORMAT_VERSION}")
    for name in ("events", "orders"):
        source, target = plan.get(name), f"{work}/{name}"
        if not source or not source["groups"]:
            continue
        if files.exists(f"{target}/_SUCCESS"):
            print(f"nightshelf shuffle: {target} is there already", file=sys.stderr, flush=True)
            continue
        shuffle(spark, name, source, plan["n_buckets"], target)


def reason(error):
    """Of Spark's long exception, the lines that name a cause."""
    lines = [line.strip(" :") for line in str(error).splitlines()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return "\n  ".join(dict.fromkeys(lines[:2] + causes[-3:]))


def main():
    args = arguments()
    work = args.work.rstrip("/")
    spark = (
        SparkSession.builder.appName("nightshelf shuffle")
        # Spark's default would write timestamps as INT96, which is not the column that was read.
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .config("spark.sql.session.timeZone", "UTC")
        # Old dates stay what they are.
        .config("spark.sql.parquet.datetimeRebaseModeInRead", "CORRECTED")
        .config("spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED")
        # Columns that differ by case only are different columns.
        .config("spark.sql.caseSensitive", "true")
        # Timestamps in nanoseconds come as integers and are turned into timestamps here.
        .config("spark.sql.legacy.parquet.nanosAsLong", "true")
        # Adaptive coalescing would undo the number of partitions that is chosen above.
        .config("spark.sql.adaptive.coalescePartitions.enabled", "false")
        .getOrCreate()
    )
    try:
        shuffle_all(spark, work)
    except Exception as error:  # noqa: BLE001: whatever it was, the last words are the reason
        print(f"error: stage shuffle failed: {reason(error)}", file=sys.stderr, flush=True)
        spark.stop()
        sys.exit(1)
    spark.stop()


if __name__ == "__main__":
    main()
