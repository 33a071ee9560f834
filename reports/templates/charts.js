// Puts the interactive chart in the place of each static drawing; where one fails, its drawing stays.
// Vega measures text before it draws, so the page's fonts have to be there first.
await Promise.all([...document.fonts].map((font) => font.load()));
const hint = (legend) => `Hover for values, ${legend}drag to move, Ctrl + wheel to zoom, double-click to reset.`;
for (const figure of document.querySelectorAll("figure")) {
  const drawing = figure.querySelector(".drawing");
  const spec = JSON.parse(figure.querySelector(".chart-spec").textContent);
  const room = drawing.clientWidth;
  const drawn = drawing.querySelector("svg").viewBox.baseVal.width;
  if (room < 600) {
    spec.columns = 1;
    const longest = Math.max(0, ...Object.values(spec.datasets).flat().map((row) => row.group?.length ?? 0));
    spec.config.legend.columns = Math.max(1, Math.floor(room / (50 + 6.5 * longest)));
    const name = Math.max(0, ...Object.values(spec.datasets).flat().map((row) => row.name?.length ?? 0));
    for (const panel of spec.concat) panel.width = room - 90 - (name && 24 + 6.6 * name);
  } else {
    // Panels take the room that is left, up to twice their height.
    const more = (room - drawn) / spec.columns;
    for (const panel of spec.concat) {
      panel.height *= Math.min(1.4, Math.max(1, room / drawn));
      panel.width += Math.max(0, more);
    }
  }
  const chart = document.createElement("div");
  chart.ariaHidden = "true"; // the drawing around it is an image with a text; its data are in the tables
  // The tooltip takes its colours from the page's style sheet, light or dark.
  vegaEmbed(chart, spec, { renderer: "svg", actions: false, tooltip: { theme: "custom" } }).then(() => {
    drawing.replaceChildren(chart);
    const below = figure.querySelector(".hint");
    const legend = spec.concat[0].layer[0].params.some((one) => one.name === "shown");
    below.textContent = hint(legend ? "click in the legend to hide or show, " : "");
    below.hidden = false;
  }, console.error);
}
