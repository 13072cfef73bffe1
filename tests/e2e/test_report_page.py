"""The report's page in a browser: nothing goes wrong, nothing is loaded, every chart is drawn, nothing overflows."""
import json
import os
import pathlib
import unittest

from browser import Browser
from harness import ENCODER, EndToEnd, run

# Of each chart: what it is of, and what of it can be seen. A point counts if it lies within the axes.
CHARTS = """[...document.querySelectorAll('.chart canvas')].map(canvas => {
  const chart = Chart.getChart(canvas), {left, right, top, bottom} = chart.chartArea;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let i = 3; i < pixels.length; i += 4) inked += pixels[i] > 0;
  const inside = ({x, y}) => x >= left - 1 && x <= right + 1 && y >= top - 1 && y <= bottom + 1;
  return {title: canvas.getAttribute('aria-label'), inked, wide: right - left, high: bottom - top,
          points: chart.data.datasets.map((_, i) => chart.getDatasetMeta(i).data.filter(inside).length),
          text: String(chart.options.scales.x.ticks.color ?? Chart.defaults.color)};
})"""
# Elements that stick out of the page, but for what scrolls within itself.
OVERFLOW = """[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') &&
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 120))"""
LOOKS = [(width, dark, False) for width in (1280, 390) for dark in (False, True)] + [(794, True, True)]


class Page(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.__exit__)

    def look_at(self, page, name):
        """Looks at a page in every way, and returns its charts as first seen. Keeps pictures if MOECOLLAB_PICTURES names a folder."""
        browser, first = self.browser, None
        browser.open(page)
        for width, dark, paper in LOOKS:
            browser.show(width, dark, paper)
            charts = browser.evaluate(CHARTS)
            for chart in charts:
                self.assertGreater(chart["inked"], 500, chart)
                self.assertGreater(min(chart["wide"], chart["high"]), 40, chart)
                self.assertTrue(all(n > 0 for n in chart["points"]) and chart["points"], chart)
            self.assertEqual(browser.evaluate(OVERFLOW), [], f"{name} at {width} px")
            if "MOECOLLAB_PICTURES" in os.environ:
                look = f"{width}{'-dark' if dark else ''}{'-paper' if paper else ''}"
                browser.screenshot(pathlib.Path(os.environ["MOECOLLAB_PICTURES"]) / f"{name}-{look}.png")
            first = first or charts
        self.assertEqual(browser.said, [])
        self.assertEqual(browser.requests, [page.resolve().as_uri()], "the page itself, and nothing else")
        return first

    def evaluated(self, *arguments):
        """A report, by default of the shared registry on the development texts, and its page."""
        report, page = self.folder / "report.json", self.folder / "report.html"
        arguments = arguments or (*self.data("dev"), "--registry", self.shared / "registry", "--cache-dir", self.shared / "cache")
        self.succeeds("eval", *arguments, "--report", report, "--html", page, "--quiet")
        return report, page

    def succeeds(self, *arguments):
        done = run(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)


class Report(Page):
    def test_every_chart_is_drawn_light_and_dark_wide_narrow_and_on_paper(self):
        report, page = self.evaluated()
        charts = self.look_at(page, "report")
        self.assertEqual([chart["title"] for chart in charts],
                         ["Reliability of the confidence", "Accuracy of the surest answers", "Use of the label spaces",
                          "Use of the experts", "Accuracy of the domains while the gate learns",
                          "Use of the experts while the gate learns", "Objective of the gate", "Experts while they learn",
                          "Cost against accuracy"])
        self.assertEqual(charts[3]["points"], [3], "a bar an expert")
        values = json.loads(report.read_text())
        self.assertEqual(len(values["overall"]["coverage_curve"]), charts[1]["points"][0])

    def test_dark_and_light_charts_differ_and_paper_is_light(self):
        self.browser.open(self.evaluated()[1])
        colours = []
        for dark, paper in ((False, False), (True, False), (True, True)):
            self.browser.show(1280, dark, paper)
            colours.append({chart["text"] for chart in self.browser.evaluate(CHARTS)})
        self.assertEqual([len(seen) for seen in colours], [1, 1, 1])
        self.assertNotEqual(colours[0], colours[1])
        self.assertEqual(colours[0], colours[2])

    def test_a_page_without_scripts_says_why_there_are_no_charts(self):
        page = self.evaluated()[1]
        self.browser.call("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(self.browser.call, "Emulation.setScriptExecutionDisabled", value=False)
        self.browser.open(page)
        self.assertIn("drawn by a script", self.browser.evaluate("document.body.innerText"))


class Others(Page):
    def test_what_a_sweep_found_is_shown_beside_a_report(self):
        report, _ = self.evaluated()
        self.succeeds("sweep", *self.data("train"), "--registry", self.shared / "registry", "--cache-dir", self.shared / "cache", "--quiet",
                      "--lambda1", 0, 0.1, "--lambda2", 0, 0.1, "--epochs", 2, "--out", self.folder / "sweep")
        self.assertEqual([chart["points"] for chart in self.look_at(self.folder / "sweep/sweep.html", "sweep")], [[2, 2], [2, 2]])
        page = self.folder / "all.html"
        self.succeeds("report", report, self.folder / "sweep/sweep.json", "--html", page)
        titles = [chart["title"] for chart in self.look_at(page, "all")]
        self.assertEqual(titles[-2:], ["Accuracy over λ1", "Utilisation over λ1"])

    def test_two_documents_of_a_kind_and_no_report_are_refused(self):
        report, _ = self.evaluated()
        sweep = self.folder / "sweep.json"
        sweep.write_text(json.dumps({"schema": "moecollab.sweep/1"}))
        done = run("report", sweep)
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("sweep.json is no result of `moecollab sweep` that can be read", done.stderr)
        done = run("report", *[report] * 3)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("3 of the 3 files are reports", done.stderr)


class Odd(Page):
    """Experts and texts that look otherwise than most."""

    def pool(self, domains, epochs=2):
        """A registry with a lexical expert for each domain's labels, five texts per label, and the arguments that evaluate it."""
        arguments = ["--registry", self.folder / "registry", "--cache-dir", self.folder / "cache"]
        data = []
        for domain, labels in domains.items():
            file = self.folder / f"{domain}.jsonl"
            file.write_text("".join(json.dumps({"text": f"{domain} word{i} says {'on ' * n}", "label": label}) + "\n"
                                    for i, label in enumerate(labels) for n in range(5)))
            data.append(f"--data={domain}={file}")
            self.succeeds("train-expert", domain, "--kind", "lexical", "--domain", domain, data[-1], *arguments, "--encoder", ENCODER,
                          "--epochs", epochs, "--quiet")
        self.succeeds("train-gate", *data, *arguments, "--quiet")
        return [*data, *arguments]

    def test_sixty_labels_labels_from_right_to_left_and_labels_with_markup(self):
        hostile = ["</script><img src=x onerror=alert(1)>", "<b>bold</b>&amp;", "<!-- \"'` -->"]
        arguments = self.pool({"wide": [f"label {i}" for i in range(60)], "right-to-left": ["خوشحال", "שמח", "غمگین"], "markup": hostile})
        wide = self.folder / "wide.jsonl"
        wide.write_text(wide.read_text().replace('"label 7"', '"label 8"'))
        self.look_at(self.evaluated(*arguments)[1], "labels")
        seen = self.browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true), document.body.innerText")
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('img, b').length"), 0)
        for text in (*hostile, "خوشحال", "mistakes among 60 labels"):
            self.assertIn(text, seen)
        self.assertEqual(self.browser.evaluate(OVERFLOW), [])

    def test_one_text_of_one_label_and_one_expert(self):
        arguments = self.pool({"lone": ["yes", "no"]})
        (self.folder / "lone.jsonl").write_text(json.dumps({"text": "lone word0 says on", "label": "yes"}) + "\n")
        titles = [chart["title"] for chart in self.look_at(self.evaluated(*arguments)[1], "lone")]
        self.assertIn("Use of the experts", titles)


if __name__ == "__main__":
    unittest.main()
