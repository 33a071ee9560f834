"""A page of the report, drawn by headless Chromium: what axe-core finds, and how wide it gets. Needs no network.

Chromium draws a page that holds the report in frames of several widths; a script in each frame waits for the charts,
asks axe-core, and writes what it found into the outer page, which Chromium then prints.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(os.environ.get("EFFBATCH_AXE", ROOT / "node_modules" / "axe-core" / "axe.min.js"))
SCHEMES = {"dark": 0, "light": 1}  # as Chromium numbers them
MISSING = (
    "needs Chromium on the PATH"
    if CHROMIUM is None
    else f"needs axe-core at {AXE}: `npm install --no-save axe-core`, or its axe.min.js named in EFFBATCH_AXE"
    if not AXE.is_file()
    else ""
)

_ASK = """
const drawn = () => [...document.querySelectorAll("figure")].every((figure) => figure.querySelector(".vega-embed svg"));
for (let i = 0; i < 600 && !drawn(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
const found = await axe.run(document, { resultTypes: ["violations"], elementRef: false });
const box = document.scrollingElement;
const wide = [...document.querySelectorAll("main *")].filter((one) => !one.closest(".scroll, svg") &&
  one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 120));
parent.report(innerWidth, {
  drawn: drawn(), width: box.scrollWidth, wide, ink: getComputedStyle(document.body).color,
  violations: found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 5).join("; ")}`),
});
"""
_OUTER = """<!doctype html><html lang="en">
<head><title>t</title><meta name="color-scheme" content="light dark"></head>
<body><pre id="found"></pre><script>
const all = {};
function report(width, found) {
  all[width] = found;
  document.querySelector("#found").textContent = JSON.stringify(all);
}
</script>%s</body></html>"""


def findings(page: str, folder: Path, *, scheme: str, widths: tuple[int, ...] = (400, 1000)) -> dict[int, dict]:
    """By width in px: whether all charts were `drawn`, the `width` needed, `ink`, and the `violations` of axe-core.

    page     the report as HTML
    folder   for the files in between
    """
    assert CHROMIUM is not None
    axe = AXE.read_text(encoding="utf-8")
    asking = f"<script>{axe}</script><script type='module'>{_ASK}</script></body>"
    framed = asking.join(page.rsplit("</body>", 1))  # scripts may hold that word, too
    frames = "".join(f'<iframe width="{w}" height="900" srcdoc="{escape(framed)}"></iframe>' for w in widths)
    outer = folder / f"{scheme}.html"
    outer.write_text(_OUTER % frames, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
            "--virtual-time-budget=120000",
            "--dump-dom",
            outer.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stderr
    return {int(width): what for width, what in json.loads(unescape(found[1])).items()}
