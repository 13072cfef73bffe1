#!/usr/bin/env python3
"""What several runs of one recipe have in common: spread.py REPORT REPORT…

Of `eval`'s reports over the same texts by registries that differ in their seeds alone, prints a Markdown table: the
mean accuracy and, after ±, the standard deviation between the runs (n − 1) of the best expert alone, of the
collaboration, and of the collaboration that knows the domain; and by how many points the last is above the best
expert in each run. Fails if they differ in their data, encoder, precision or number of experts.
"""
import argparse
import json
import pathlib
import statistics
import sys


def rows(report):
    """{domain: (n, best expert, collaboration, knows the domain)}, accuracies; the last is of all texts."""
    found = {name: (d["n"], d["expert"]["accuracy"], d["moe"]["accuracy"], d["moe"]["accuracy_task_aware"]) for name, d in report["domains"].items()}
    overall = report["overall"]
    # `oracle`: each domain's best expert, by routing that knows the domain.
    found["all"] = (sum(d[0] for d in found.values()), overall["oracle_accuracy"], overall["accuracy"], overall["accuracy_task_aware"])
    return found


def table(reports):
    for report in reports[1:]:
        for key in ("data", "precision", "encoder_sha256"):
            if report["provenance"][key] != reports[0]["provenance"][key]:
                raise SystemExit(f"spread: the reports differ in provenance.{key}: {reports[0]['provenance'][key]} and {report['provenance'][key]}")
        if len(report["experts"]) != len(reports[0]["experts"]):
            raise SystemExit(f"spread: one report is of {len(reports[0]['experts'])} experts, another of {len(report['experts'])}")
    lines = [f"| {len(reports)} runs | n | best expert alone | MoECollab | knows the domain | above the best expert, points |", "|---|---|---|---|---|---|"]
    runs = [rows(report) for report in reports]
    for name in runs[0]:
        n, *columns = zip(*(run[name] for run in runs))
        cells = [f"{statistics.mean(c):.3f} ± {statistics.stdev(c):.3f}".replace("0.", ".") for c in columns]
        above = [f"{100 * (knows - best):+.1f}".replace("-", "−") for best, knows in zip(columns[0], columns[2])]
        lines.append(f"| {name} | {n[0]:,} | {' | '.join(cells)} | {', '.join(above)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=pathlib.Path, metavar="REPORT", help="report.json of `eval`, two at least")
    files = parser.parse_args().reports
    if len(files) < 2:
        parser.error("a spread needs two reports at least")
    print(table([json.loads(file.read_text(encoding="utf-8")) for file in files]))


if __name__ == "__main__":
    sys.exit(main())
