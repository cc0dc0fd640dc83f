"""What one would write without nightshelf, on Spark (in local mode, or on the cluster of --master): events to lists in Parquet with MLlib's ALS.

    spark_mllib.py --events DIR --as-of 2026-08-29 --out DIR [--n-factors 64] [--iterations 10] [-k 50]

Weights by event type, halved with age; ids numbered by StringIndexer; implicit ALS; recommendForAllUsers, which does not
filter what was seen; ids put back. Prints {"lists": n}. Needs Java 17.
"""

import argparse
import json
import math
from functools import reduce
from pathlib import Path

from pyspark.ml.feature import StringIndexer
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

WEIGHTS = {"view": 1.0, "cart": 3.0, "remove_from_cart": -1.5, "purchase": 5.0, "refund": -5.0}
HALF_LIFE_DAYS = {"view": 30.0, "cart": 30.0, "remove_from_cart": 30.0, "purchase": 180.0, "refund": 180.0}


def session(master, threads, memory, scratch):
    return (
        SparkSession.builder.master(master or f"local[{threads}]")
        .appName("recommendations")
        .config("spark.driver.memory", memory)
        .config("spark.executor.memory", memory)
        .config("spark.executor.extraJavaOptions", "--add-modules=jdk.incubator.vector")
        .config("spark.driver.extraJavaOptions", "--add-modules=jdk.incubator.vector")  # MLlib's fast BLAS
        .config("spark.sql.shuffle.partitions", 4 * threads)
        .config("spark.default.parallelism", 4 * threads)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.local.dir", str(scratch))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


def by_type(values):
    cases = [(F.col("event_type") == name, F.lit(value)) for name, value in values.items()]
    return reduce(lambda chain, case: chain.when(*case), cases[1:], F.when(*cases[0]))


def read_cells(spark, events, as_of):
    end = F.expr(f"timestamp '{as_of} 23:59:59'")
    age = (F.unix_timestamp(end) - F.unix_timestamp("timestamp")) / 86_400
    weight = by_type(WEIGHTS) * F.exp(-age / by_type(HALF_LIFE_DAYS) * math.log(2))
    return (
        spark.read.parquet(str(events))
        .select("user_id", "item_id", "event_type", "timestamp")
        .where(F.col("user_id").isNotNull() & F.col("item_id").isNotNull())
        .where(F.col("event_type").isin(list(WEIGHTS)) & (F.col("timestamp") <= end))
        .groupBy("user_id", "item_id")
        .agg(F.sum(weight).cast("float").alias("weight"))
        .where("weight > 0")
    )


def labels(spark, indexer, column):
    """The indexer's ids as a table by number."""
    names = indexer.labelsArray[["user_id", "item_id"].index(column)]
    number = {"user_id": "user", "item_id": "item"}[column]
    return spark.createDataFrame(list(enumerate(names)), f"{number} int, {column} string")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n-factors", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--alpha", type=float, default=10.0)
    parser.add_argument("--regularization", type=float, default=0.05)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--master", help="address of a cluster; threads are then all of its cores")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="6g")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    spark = session(args.master, args.threads, args.memory, args.out / "scratch")
    spark.sparkContext.setLogLevel("ERROR")

    cells = read_cells(spark, args.events, args.as_of).cache()
    indexer = StringIndexer(inputCols=["user_id", "item_id"], outputCols=["user", "item"]).fit(cells)
    numbered = indexer.transform(cells).select(F.col("user").cast("int"), F.col("item").cast("int"), "weight").cache()
    als = ALS(
        rank=args.n_factors,
        maxIter=args.iterations,
        implicitPrefs=True,
        alpha=args.alpha,
        regParam=args.regularization,
        userCol="user",
        itemCol="item",
        ratingCol="weight",
        numUserBlocks=2 * args.threads,
        numItemBlocks=2 * args.threads,
        seed=7,
    )
    model = als.fit(numbered)
    entries = model.recommendForAllUsers(args.k).select("user", F.posexplode("recommendations").alias("rank", "entry"))
    named = entries.select("user", "rank", "entry.item", "entry.rating").join(
        F.broadcast(labels(spark, indexer, "item_id")), "item"
    )
    lists = (
        named.groupBy("user")
        .agg(F.array_sort(F.collect_list(F.struct("rank", "item_id", F.col("rating").alias("score")))).alias("items"))
        .join(F.broadcast(labels(spark, indexer, "user_id")), "user")
        .select("user_id", "items")
    )
    path = str(args.out / "recommendations")
    lists.write.mode("overwrite").parquet(path)
    count = spark.read.parquet(path).count()
    spark.stop()
    print(json.dumps({"lists": count}))


if __name__ == "__main__":
    main()
