// Puts the interactive chart in the place of each static drawing; where one fails, its drawing stays.
// Vega measures text before it draws, so the page's fonts have to be there first.
await Promise.all([...document.fonts].map((font) => font.load()));
const HINT = "Hover for values, click in the legend to hide or show, drag to move, Ctrl + wheel to zoom, double-click to reset.";
for (const figure of document.querySelectorAll("figure")) {
  const drawing = figure.querySelector(".drawing");
  const spec = JSON.parse(figure.querySelector(".chart-spec").textContent);
  const room = drawing.clientWidth;
  if (room < 600) {
    spec.columns = 1;
    const longest = Math.max(0, ...Object.values(spec.datasets).flat().map((row) => row.group?.length ?? 0));
    spec.config.legend.columns = Math.max(1, Math.floor(room / (50 + 6.5 * longest)));
    for (const panel of spec.concat) panel.width = room - 90;
  }
  const chart = document.createElement("div");
  chart.ariaHidden = "true"; // the drawing around it is an image with a text; its data are in the tables
  // The tooltip takes its colours from the page's style sheet, light or dark.
  vegaEmbed(chart, spec, { renderer: "svg", actions: false, tooltip: { theme: "custom" } }).then(() => {
    drawing.replaceChildren(chart);
    const hint = figure.querySelector(".hint");
    hint.textContent = HINT;
    hint.hidden = false;
  }, console.error);
}
