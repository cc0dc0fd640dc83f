"""Makes an earlier catalogue of a shop (2 % of the prices were higher, 1 % of the items were sold out, 1 % were not there) and fills in
the config of twenty campaigns.

    prepare.py SHOP CONFIG_TEMPLATE CONFIG

Needs pyarrow and numpy.
"""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main():
    shop, template, config = sys.argv[1:]
    table = pq.read_table(f"{shop}/catalog.parquet")
    random = np.random.default_rng(1)
    price = table["price"].to_numpy()
    price = np.where(random.random(len(table)) < 0.02, np.round(price * 1.2, 2), price)
    available = table["available"].to_numpy(zero_copy_only=False)
    available = np.where(random.random(len(table)) < 0.01, False, available)
    earlier = table.set_column(table.schema.get_field_index("price"), "price", pa.array(price))
    earlier = earlier.set_column(table.schema.get_field_index("available"), "available", pa.array(available))
    pq.write_table(earlier.filter(pa.array(random.random(len(table)) > 0.01)), f"{shop}/earlier.parquet")

    def largest(column):
        counts = sorted(pc.value_counts(table[column]).to_pylist(), key=lambda it: (-it["counts"], it["values"]))
        return [it["values"] for it in counts]

    categories = largest("category")
    values = {"SHOP": shop, "BRAND1": largest("brand")[0], "CAT1": categories[0], "CAT2": categories[1]}
    with open(template, encoding="utf-8") as file:
        text = file.read()
    # The head says what the names stand for.
    text = text[text.index("[publish]"):]
    for name, value in values.items():
        text = text.replace(name, value)
    with open(config, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
