#!/usr/bin/env python3
"""Reads what nightshelf publishes to DynamoDB, by the contract of docs/readers.md.

Copy the class into a front end, or ask from a shell:

    pip install boto3
    python reader.py --table nightshelf user u0000123 item i000010 popular overall

Credentials, region and endpoint come from where boto3 always finds them.
"""

import argparse
import json
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# What a key of each kind starts with: publish.dynamodb.prefixes of the config.
PREFIXES = {"user": "u#", "item": "i#", "popular": "p#", "together": "b#", "trending": "t#"}

# How long a pointer may be used: rows that it does not name are kept far longer, so no read misses.
POINTER_MAX_AGE_S = 10.0


class NothingPublished(Exception):
    """The table has no pointer yet."""


class Reader:
    """Looks lists up. One for a process; any thread may ask."""

    def __init__(self, table="nightshelf", client=None):
        # A page waits for this: give up early and show the popular list.
        config = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "max_attempts": 3})
        self._client = client or boto3.client("dynamodb", config=config)
        self._table = table
        self._lock = threading.Lock()
        self._pointer = None
        self._read_at = 0.0

    def pointer(self):
        """(table, floor, current) of the run that readers see; read again once it is ten seconds old."""
        with self._lock:
            if self._pointer is None or time.monotonic() - self._read_at > POINTER_MAX_AGE_S:
                read_at = time.monotonic()
                try:
                    key = {"pk": {"S": "!pointer"}, "sk": {"N": "0"}}
                    answer = self._client.get_item(TableName=self._table, Key=key)
                    if "Item" not in answer:
                        raise NothingPublished(self._table)
                    item = answer["Item"]
                    # After an import rows lie in another table than the pointer.
                    table = item.get("table", {}).get("S", self._table)
                    self._pointer = (table, int(item["floor"]["N"]), int(item["current"]["N"]))
                    self._read_at = read_at
                except (BotoCoreError, ClientError):
                    # The old one still names a whole run.
                    if self._pointer is None:
                        raise
            return self._pointer

    def read(self, kind, key, pointer=None):
        """The list of a key, best first, or None when it has none.

        Everything on one page should be read with one pointer: then it is of one run.
        """
        table, floor, current = pointer or self.pointer()
        answer = self._client.query(
            TableName=table,
            KeyConditionExpression="pk = :key AND sk BETWEEN :floor AND :current",
            ExpressionAttributeValues={
                ":key": {"S": PREFIXES[kind] + key},
                ":floor": {"N": str(floor)},
                ":current": {"N": str(current)},
            },
            ScanIndexForward=False,
            Limit=1,
        )
        rows = answer["Items"]
        if not rows or rows[0].get("gone", {}).get("BOOL"):
            return None
        row = rows[0]
        return {
            "items": [entry(value) for value in row["l"]["L"]],
            "source": row.get("s", {}).get("S"),
            "sequence": int(row["sk"]["N"]),
        }

    def recommend(self, user):
        """What to show a user: his own list, or what sells."""
        pointer = self.pointer()
        return self.read("user", user, pointer) or self.read("popular", "overall", pointer)


def entry(value):
    """An item id (encoding `compact`), or an id with its score (encoding `map`)."""
    if "S" in value:
        return value["S"]
    return {"id": value["M"]["i"]["S"], "score": float(value["M"]["s"]["N"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="nightshelf")
    parser.add_argument("questions", nargs="+", metavar="KIND KEY", help="kinds: " + ", ".join(PREFIXES) + ", recommend")
    arguments = parser.parse_args()
    reader = Reader(arguments.table)
    questions = arguments.questions
    if len(questions) % 2:
        parser.error("every kind needs a key")
    for kind, key in zip(questions[::2], questions[1::2]):
        found = reader.recommend(key) if kind == "recommend" else reader.read(kind, key)
        print(json.dumps({"kind": kind, "key": key, "found": found}, ensure_ascii=False))


if __name__ == "__main__":
    main()
