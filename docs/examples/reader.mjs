#!/usr/bin/env node
/**
 * Reads what nightshelf publishes to DynamoDB, by the contract of docs/readers.md.
 *
 * Copy the class into a front end, or ask from a shell:
 *
 *     npm install @aws-sdk/client-dynamodb @aws-sdk/lib-dynamodb
 *     node reader.mjs --table nightshelf user u0000123 item i000010 popular overall
 *
 * Credentials, region and endpoint come from where the SDK always finds them.
 */

import { pathToFileURL } from "node:url";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, GetCommand, QueryCommand } from "@aws-sdk/lib-dynamodb";

/** What a key of each kind starts with: publish.dynamodb.prefixes of the config. */
const PREFIXES = { user: "u#", item: "i#", popular: "p#", together: "b#", trending: "t#" };

/** How long a pointer may be used: rows that it does not name are kept far longer, so no read misses. */
const POINTER_MAX_AGE_MS = 10_000;

/** Looks lists up. One for a process. */
export class Reader {
  #client;
  #table;
  #pointer;
  #readAt = -Infinity;
  #reading;

  constructor(table = "nightshelf", client = new DynamoDBClient({ maxAttempts: 3, requestHandler: { connectionTimeout: 1_000, requestTimeout: 1_000 } })) {
    this.#client = DynamoDBDocumentClient.from(client);
    this.#table = table;
  }

  /** { floor, current } of the run that readers see; read again once it is ten seconds old. */
  async pointer() {
    if (performance.now() - this.#readAt <= POINTER_MAX_AGE_MS) return this.#pointer;
    // Those who ask meanwhile wait for the same answer.
    this.#reading ??= this.#readPointer().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #readPointer() {
    const readAt = performance.now();
    try {
      const { Item } = await this.#client.send(new GetCommand({ TableName: this.#table, Key: { pk: "!pointer", sk: 0 } }));
      if (Item) {
        // After an import rows lie in another table than the pointer.
        this.#pointer = { table: Item.table ?? this.#table, floor: Item.floor, current: Item.current };
        this.#readAt = readAt;
      }
    } catch (error) {
      // The old one still names a whole run.
      if (!this.#pointer) throw error;
    }
    if (!this.#pointer) throw new Error(`nothing is published to ${this.#table} yet`);
    return this.#pointer;
  }

  /**
   * The list of a key, best first, or null when it has none.
   *
   * Everything on one page should be read with one pointer: then it is of one run.
   */
  async read(kind, key, pointer) {
    const { table, floor, current } = pointer ?? (await this.pointer());
    const { Items } = await this.#client.send(
      new QueryCommand({
        TableName: table,
        KeyConditionExpression: "pk = :key AND sk BETWEEN :floor AND :current",
        ExpressionAttributeValues: { ":key": PREFIXES[kind] + key, ":floor": floor, ":current": current },
        ScanIndexForward: false,
        Limit: 1,
      }),
    );
    const row = Items[0];
    if (!row || row.gone) return null;
    return { items: row.l.map(entry), source: row.s ?? null, sequence: row.sk };
  }

  /** What to show a user: his own list, or what sells. */
  async recommend(user) {
    const pointer = await this.pointer();
    return (await this.read("user", user, pointer)) ?? (await this.read("popular", "overall", pointer));
  }
}

/** An item id (encoding `compact`), or an id with its score (encoding `map`). */
function entry(value) {
  return typeof value === "string" ? value : { id: value.i, score: value.s };
}

async function main(words) {
  let table = "nightshelf";
  if (words[0] === "--table") [, table, ...words] = words;
  if (words.length === 0 || words.length % 2) {
    throw new Error(`usage: reader.mjs [--table NAME] KIND KEY ...; kinds: ${Object.keys(PREFIXES).join(", ")}, recommend`);
  }
  const reader = new Reader(table);
  for (let at = 0; at < words.length; at += 2) {
    const [kind, key] = [words[at], words[at + 1]];
    const found = kind === "recommend" ? await reader.recommend(key) : await reader.read(kind, key);
    console.log(JSON.stringify({ kind, key, found }));
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(process.argv.slice(2));
}
