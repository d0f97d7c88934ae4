"""Looks at reports in headless Chromium: all of them at once, each in a frame of every width."""
import html
import json
import re
import shutil
import subprocess
import sys
import unittest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (1280, 400)

# Runs in the harness once all pages have been loaded in frames.
CHECK = """
function check(frame) {
  const d = frame.contentDocument, w = frame.contentWindow, all = (q, from) => [...(from || d).querySelectorAll(q)];
  const move = (node, x, y) => node.dispatchEvent(new w.PointerEvent("pointermove", {clientX: x, clientY: y, bubbles: true}));
  const charts = {};
  for (const box of all("[data-chart]")) {
    const svg = box.querySelector("svg[role=img]"), area = svg.getBoundingClientRect();
    move(svg, area.left + area.width / 2, area.top + area.height / 2);
    const tip = box.querySelector(".tip"), hint = [...tip.children].map((line) => line.textContent);
    const place = tip.getBoundingClientRect();
    charts[box.dataset.chart] = {
      curves: all("path.curve[data-points]", box).map((p) => [Number(p.dataset.points), p.getAttribute("d").split(/[ML]/).length - 1]),
      levels: all("svg[role=img] .level", box).length, marks: all(".mark", box).length, dots: all("svg[role=img] .dot", box).length,
      legend: all(".legend > span", box).map((s) => s.textContent),
      texts: all("svg[role=img] text", box).map((t) => t.textContent), hint, height: area.height,
      texts_outside: all("svg[role=img] text", box).filter((t) => {
        const at = t.getBoundingClientRect();
        return at.left < area.left - 2 || at.right > area.right + 10;
      }).map((t) => t.textContent),
      tip_inside: place.width > 0 && place.left >= area.left - 1 && place.right <= area.right + 1,
    };
    svg.dispatchEvent(new w.PointerEvent("pointerleave"));
    charts[box.dataset.chart].tip_gone = tip.getBoundingClientRect().width === 0;
  }
  const buttons = all("#map-legend button"), faint = () => all(".spot.faint").length;
  if (buttons.length) buttons[0].click();
  const dimmed = faint();
  if (buttons.length) buttons[0].click();
  const text = d.body.innerText, places = all("body *").map((n) => [n, n.getBoundingClientRect()]);
  const reach = (values) => [Math.min(...values), Math.max(...values)];
  return {
    inner: w.innerWidth, scroll: d.documentElement.scrollWidth, title: d.title, charts, text,
    headings: all("section").map((s) => [s.id, s.querySelector("h2").textContent, s.getBoundingClientRect().height]),
    none: Object.fromEntries(all("section").map((s) => [s.id, all(".none", s).map((p) => p.textContent)])),
    images: all("img").map((i) => [i.naturalWidth, i.width, i.height, i.src.slice(0, 22)]),
    triples: all(".triple").length, queries: all(".query").length, wrong: all(".wrong").length,
    outside: places.filter(([, p]) => p.width > 0 && (p.left < -1 || p.right > w.innerWidth + 1)).map(([n]) => n.outerHTML.slice(0, 90)),
    maps: all("[data-map]").map((m) => all(".spot", m).length),
    reach: all("[data-map]").map((m) => reach(all(".spot", m).map((s) => Number(s.getAttribute("cx")) / m.clientWidth))), colours: new Set(all(".spot").map((s) => s.getAttribute("fill"))).size,
    legend: buttons.map((b) => b.textContent), dimmed, undimmed: faint(),
    cells: all(".cell").length, cell_texts: all("#confusion-chart text").map((t) => t.textContent),
    rows: all("table.metrics tbody tr").map((r) => [...r.children].map((c) => c.textContent)),
    scripts: all("script").length, foreign: all("iframe, object, embed, link, img:not([src^='data:image/png;base64,'])").length,
    broken: all("svg *").filter((n) => [...n.attributes].some((a) => /NaN|Infinity|undefined/.test(a.value))).length,
  };
}
window.addEventListener("load", () => {
  const results = {};
  for (const frame of document.querySelectorAll("iframe")) {
    try { results[frame.id] = check(frame); } catch (error) { results[frame.id] = {error: String(error.stack)}; }
  }
  document.getElementById("results").textContent = JSON.stringify(results);
});
"""


def chromium(folder, *arguments):
    return subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                           f"--user-data-dir={folder}/profile", *arguments], capture_output=True, encoding="utf-8",
                          timeout=240)


def look(pages, folder):
    """What the script above saw of each page: {"NAME WIDTH": {...}} for {NAME: text of the page}."""
    frames = "".join(f'<iframe id="{name} {width}" style="width:{width}px;height:900px;border:0" '
                     f'srcdoc="{html.escape(page)}"></iframe>' for name, page in pages.items() for width in WIDTHS)
    harness = folder / "harness.html"
    harness.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body><pre id="results"></pre>{frames}'
                       f"<script>{CHECK}</script></body>", encoding="utf-8")
    seen = chromium(folder, "--dump-dom", f"file://{harness}")
    found = re.search(r'<pre id="results">(.+?)</pre>', seen.stdout, re.DOTALL)
    assert found, seen.stderr[-2000:]
    return json.loads(html.unescape(found.group(1)))


def main():
    """unittest.main(), or ctest's mark for a skipped test where there is no Chromium."""
    if not CHROMIUM:
        print("skipped: no Chromium here (scripts/install_deps --test)")
        sys.exit(77)
    unittest.main()


class PagesTest(unittest.TestCase):
    """Sub-classes fill `results` from look()."""
    results = {}
    where = ""

    def each(self, *names):
        """What was seen of these pages, or of all, at each width."""
        for name in names or sorted({key.rsplit(" ", 1)[0] for key in self.results}):
            for width in WIDTHS:
                self.where = f"{name} at {width} pixels: "
                seen = self.results[f"{name} {width}"]
                self.assertNotIn("error", seen)
                self.assertEqual(seen["inner"], width)
                yield seen
        self.where = ""

    def _formatMessage(self, message, standard):
        return self.where + super()._formatMessage(message, standard)

    def assert_page_is_whole(self, seen):
        """Nothing sticks out, no coordinate is broken, every part stands there, and all pictures are drawn."""
        self.assertLessEqual(seen["scroll"], seen["inner"])
        self.assertEqual(seen["outside"], [])
        self.assertEqual((seen["scripts"], seen["foreign"], seen["broken"]), (2, 0, 0))
        self.assertEqual([part for part, _, _ in seen["headings"]],
                         ["results", "curves", "views", "map", "confusion", "neighbours", "settings"])
        self.assertTrue(all(heading and height > 60 for _, heading, height in seen["headings"]))
        self.assertTrue(all(natural > 0 and width > 20 and height > 20 for natural, width, height, _ in seen["images"]))
        for chart in seen["charts"].values():
            self.assertTrue(chart["curves"] or chart["dots"])
            self.assertEqual(chart["texts_outside"], [])
            self.assertTrue(all(points == drawn for points, drawn in chart["curves"]))
            self.assertTrue(chart["tip_inside"] and chart["tip_gone"])
