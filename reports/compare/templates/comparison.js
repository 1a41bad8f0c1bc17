"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const LANE = 46, FRAME = 56;
  const drawn = new Map();
  let overTime = false;

  const shade = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  /* Runs that are alike must not cover each other: each is moved a little, always by the same amount. */
  const jitter = (number) => ((number * 0.618034) % 1) - 0.5;

  const told = (group, unit) => group.runs.map((run, row) =>
    `${run}<br>${group.atLeast[row] ? "at least " : ""}${group.values[row].toPrecision(4)} ${unit}<br>`
    + `${group.started[row].replace("T", " ")} UTC<br>the case: ${group.verdicts[row]}`);

  const points = (group, lane, unit) => ({
    type: "scatter", mode: "markers", name: group.name, hoverinfo: "text+name", text: told(group, unit),
    x: overTime ? group.started : group.values,
    y: overTime ? group.values : group.values.map((_, row) => lane + 0.5 * jitter(row + 1)),
    marker: {
      color: shade(group.colour), size: 8, opacity: 0.8, line: { width: 1.2, color: shade(group.colour) },
      symbol: group.verdicts.map((verdict, row) => {
        const shape = group.atLeast[row] ? (overTime ? "triangle-up" : "triangle-right") : "circle";
        return verdict === "pass" ? shape : `${shape}-open`;
      }),
    },
  });

  const box = (group, lane) => ({
    type: "box", orientation: "h", name: group.name, x: group.values, y0: lane, boxpoints: false, hoverinfo: "skip",
    line: { color: shade(group.colour), width: 1.2 }, fillcolor: "rgba(0,0,0,0)", width: 0.72,
  });

  const axis = () => ({
    gridcolor: shade("--grid"), zerolinecolor: shade("--rule"), linecolor: shade("--rule"), tickfont: { size: 11 },
    automargin: true,
  });

  /* 1, 2 and 5 of each decade, as whole numbers: plotly.js would write only the digit. */
  const decades = (values) => {
    const ticks = [];
    for (let power = Math.floor(Math.log10(Math.min(...values))); power <= Math.log10(Math.max(...values)); power += 1) {
      for (const digit of [1, 2, 5]) ticks.push(digit * 10 ** power);
    }
    return { type: "log", tickmode: "array", tickvals: ticks, ticktext: ticks.map((tick) => String(Number(tick.toPrecision(2)))) };
  };

  const figure = (chart) => {
    const lanes = chart.groups.map((_, row) => row);
    const scale = chart.log ? decades(chart.groups.flatMap((group) => group.values)) : { type: "linear" };
    const measured = { ...axis(), title: { text: chart.unit, font: { size: 11 } }, ...scale };
    const data = chart.groups.flatMap((group, lane) =>
      overTime ? [points(group, lane, chart.unit)] : [box(group, lane), points(group, lane, chart.unit)]);
    const named = {
      ...axis(), tickmode: "array", tickvals: lanes, ticktext: chart.groups.map((group) => group.name),
      range: [lanes.length - 0.5, -0.5], showgrid: false, zeroline: false,
    };
    const layout = {
      height: overTime ? 210 : FRAME + LANE * lanes.length, margin: { l: 8, r: 14, t: 6, b: 34 }, showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: shade("--ink"), family: "Inter, Segoe UI, Helvetica Neue, Arial, sans-serif", size: 11 },
      xaxis: overTime ? { ...axis(), type: "date" } : measured, yaxis: overTime ? measured : named,
      hovermode: "closest", dragmode: "zoom", boxmode: "overlay",
      hoverlabel: { bgcolor: shade("--paper"), bordercolor: shade("--muted"), font: { color: shade("--ink"), size: 12 } },
    };
    return [data, layout];
  };

  const CONFIGURATION = { displayModeBar: false, responsive: true };

  const draw = (place) => {
    const chart = charts.find((one) => one.id === place.id);
    if (!chart) return;
    const [data, layout] = figure(chart);
    (drawn.has(place) ? Plotly.react : Plotly.newPlot)(place, data, layout, CONFIGURATION)
      .then(() => place.setAttribute("data-drawn", ""));
    drawn.set(place, true);
  };

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        seen.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "600px" });
  for (const place of document.querySelectorAll(".plot")) seen.observe(place);

  const redraw = () => { for (const place of drawn.keys()) draw(place); };
  dark.addEventListener("change", redraw);
  for (const button of document.querySelectorAll("button.time")) {
    button.addEventListener("click", () => {
      overTime = !overTime;
      for (const one of document.querySelectorAll("button.time")) one.setAttribute("aria-pressed", String(overTime));
      redraw();
    });
  }
})();
