// Puts the interactive chart in the place of each static drawing; where one fails, its drawing stays.
// Vega measures text before it draws, so the page's fonts have to be there first.
await Promise.all([...document.fonts].map((font) => font.load()));
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
for (const figure of document.querySelectorAll("figure")) {
  const drawing = figure.querySelector(".drawing");
  const spec = JSON.parse(figure.querySelector(".spec").textContent);
  const room = drawing.clientWidth;
  if (room < 600) {
    spec.columns = 1;
    spec.config.legend.columns = 2;
    for (const panel of spec.concat) panel.width = room - 80;
  }
  const chart = document.createElement("div");
  const options = { renderer: "svg", actions: false, tooltip: { theme: dark ? "dark" : "light" } };
  vegaEmbed(chart, spec, options).then(() => drawing.replaceChildren(chart), console.error);
}
