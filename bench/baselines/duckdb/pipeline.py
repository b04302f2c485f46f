"""The event pipeline as one DuckDB query over typed read_ndjson.

    pipeline.py INPUT OUTPUT THREADS REPORT

The report's clocks start when Python and DuckDB are loaded and stop when the results are written: loading them is not
what is compared.
"""

import json
import resource
import sys
import time

import duckdb

QUERY = """
    SELECT type, count(*), sum(value), avg(value)
    FROM read_ndjson($path, columns = {ts: 'TIMESTAMP', type: 'VARCHAR', user: 'VARCHAR', value: 'BIGINT'})
    WHERE type <> 'view' AND value >= 10
    GROUP BY type
    ORDER BY type
"""


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def line(key: str, count: int, total: int, average: float) -> str:
    average = int(average) if average.is_integer() else average
    row = {"key": key, "count": count, "sum": int(total), "avg": average}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def main(path: str, output: str, threads: str, report: str) -> None:
    wall, cpu = time.monotonic(), cpu_seconds()
    database = duckdb.connect()
    database.execute(f"SET threads = {int(threads)}")
    rows = database.execute(QUERY, {"path": path}).fetchall()
    with open(output, "w", encoding="utf-8") as file:
        file.writelines(line(*row) for row in rows)
    used = {"wall_seconds": time.monotonic() - wall, "cpu_seconds": cpu_seconds() - cpu}
    with open(report, "w", encoding="utf-8") as file:
        json.dump(used, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
