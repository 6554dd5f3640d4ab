"""The table of bench/run: medians, ratios, and what was aimed at."""
import statistics
import sys

figures = {}
for line in open(sys.argv[1]):
    name, value = line.rstrip("\n").split("\t")
    figures.setdefault(name, []).append(float(value))
median = {name: statistics.median(values) for name, values in figures.items()}

SERVICES = [("bigquery", "BigQuery's pages"), ("snowflake", "Snowflake's partitions"), ("databricks", "Databricks' chunks"),
            ("google_sheets", "Google Sheets' blocks"), ("elasticsearch", "Elasticsearch's documents"),
            ("elasticsearch_sql", "Elasticsearch's SQL"), ("rockset", "Rockset's pages")]
# work; our figure; the rival's; what the ratio is; the bound (None: for comparison), and whether it is a lower one
RATIOS = [
    ("first load, upsert", "load: censync", "load: ON CONFLICT", "times as fast", 1.5, True),
    ("the same", "load: censync", "load: INSERT", "times its time", 1.35, False),
    ("second run, nothing changed, upsert", "unchanged: censync", "unchanged: ON CONFLICT", "times as fast", 3, True),
    ("second run, nothing changed, mirror", "mirror unchanged: censync", "mirror unchanged: MERGE, DELETE", "times as fast", 1.5, True),
    ("1 % changed, 0.5 % new, 0.5 % gone, mirror", "mirror changed: censync", "mirror changed: MERGE, DELETE", "times as fast", 1.3, True),
    ("NDJSON over HTTP, first load", "HTTP load: censync", "HTTP load: json_to_recordset", "times as fast", 2.5, True),
    *(("%s, first load" % name, "%s: censync" % key, "%s: NDJSON" % key, "times its time", 1.5, False) for key, name in SERVICES),
    ("MariaDB, first load, upsert", "mysql: censync", "mysql: mysql_fdw, ON CONFLICT", "times as fast", 2, True),
    ("PostgreSQL, first load, upsert", "postgres load: censync", "postgres load: COPY to COPY", "times its time", 1.5, False),
    ("the same", "postgres load: censync", "postgres load: postgres_fdw", "times as fast", 1.7, True),
    ("PostgreSQL, nothing changed, mirror", "postgres unchanged: censync", "postgres unchanged: MERGE, DELETE", "times as fast", 2.5, True),
    ("1,000 bad rows of five kinds", "bad: 1000 bad", "bad: clean", "times its time", 2, False),
    ("1,000 changed rows into the large table", "few: censync", "few: UPDATE", "times its time", 3, False),
    ("first load, ten times the rows", "rows: 10", "rows: 1", "times its time", 12, False),
    ("plain INSERT, ten times the rows", "rows, INSERT: 10", "rows, INSERT: 1", "times its time", None, False),
    ("unchanged, ten times the rows", "rows, unchanged: 10", "rows, unchanged: 1", "times its time", 12, False),
]
# work; figure; unit; bound
BOUNDS = [
    ("WAL of the second run, nothing changed", "unchanged: WAL", "bytes", 65536),
    ("nothing but bad rows, until it fails", "bad: all bad", "s", 120),
    *((f"peak memory, {f}, {n} times the rows", f"memory: {f}, {n}", "MB", 100) for f in ("ndjson", "json", "csv", "mysql") for n in (1, 5)),
    *((f"peak memory, {name}{note}", f"memory: {key}{large}", "MB", 100)
      for key, name in SERVICES for large, note in (("", ""), (", large", ", pages of 25 MB"))),
    *((f"peak memory, PostgreSQL, {n} times the rows", f"postgres memory: {n}", "MB", 100) for n in (1, 5)),
    ("a run of ten rows", "small: ms", "ms", 10),
    ("growth of the catalogs in 1,000 of them", "small: catalog bytes", "bytes", 0),
]

for work, ours, rival, unit, bound, is_lower in RATIOS:
    if ours not in median or rival not in median:
        continue
    ratio = median[rival] / median[ours] if is_lower else median[ours] / median[rival]
    met = bound is None or (ratio >= bound if is_lower else ratio <= bound)
    aim = "" if bound is None else "(%s %g)" % ("at least" if is_lower else "at most", bound)
    print("%-44s %8.3f s  %-32s %8.3f s  %5.2f %-15s %s%s" % (
        work, median[ours], rival, median[rival], ratio, unit, aim, "" if met else "  MISSED"))
for work, name, unit, bound in BOUNDS:
    if name in median:
        print("%-44s %8g %s  (at most %g)%s" % (work, median[name], unit, bound, "" if median[name] <= bound else "  MISSED"))
