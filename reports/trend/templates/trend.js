"use strict";
(() => {
  const streams = JSON.parse(document.getElementById("data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function shapes(stream, series, times) {
    const upright = (at) => ({
      type: "line", xref: "x", yref: "paper", x0: times[at], x1: times[at], y0: 0, y1: 1,
      line: { color: colour("--muted"), width: 1, dash: "dot" },
    });
    const flat = (from, to, y, name, dash) => ({
      type: "line", x0: from, x1: to, y0: y, y1: y, line: { color: colour(name), width: 1.5, dash },
    });
    const first = times[series.at[0]], last = times[series.at[series.at.length - 1]];
    const drawn = stream.marks.map((mark) => upright(mark.at));
    if (series.limit !== null && series.values.some((value) => value !== null)) {
      drawn.push(flat(first, last, series.limit, "--fail", "dash"));
    }
    series.steps.forEach((step, index) => {
      const next = series.steps[index + 1];
      if (index === 0) drawn.push(flat(first, times[step[0]], step[1], "--ink", "solid"));
      drawn.push(flat(times[step[0]], next ? times[next[0]] : last, step[2], "--ink", "solid"));
    });
    return drawn;
  }

  function figure(stream, series) {
    const words = { p: "pass", f: "fail", u: "unknown", n: "" };
    const names = { p: "--line", f: "--fail", u: "--unknown", n: "--line" };
    const verdicts = [...series.verdicts];
    const apart = new Set(series.apart);
    const marked = new Map(stream.marks.map((mark) => [mark.at, mark.told.join("<br>")]));
    const x = series.at.map((at) => stream.times[at]);
    const text = series.at.map((at, index) => [
      stream.runs[at], words[verdicts[index]], apart.has(at) ? "outlier" : "", marked.get(at) || "",
    ].filter(Boolean).join("<br>"));
    const trace = {
      x, y: series.values.map((value) => value === null ? 0 : value), text, mode: "lines+markers", type: "scatter",
      hovertemplate: "%{y}<br>%{x}<br>%{text}<extra></extra>",
      line: { color: colour("--line"), width: 1.2 },
      marker: {
        size: 7, color: verdicts.map((verdict) => colour(names[verdict])),
        symbol: series.at.map((at, index) => series.values[index] === null ? "x" : apart.has(at) ? "circle-open" : "circle"),
      },
    };
    const axis = { gridcolor: colour("--rule"), zeroline: false, linecolor: colour("--rule") };
    const layout = {
      height: 320, margin: { l: 60, r: 16, t: 34, b: 40 }, showlegend: false, hovermode: "closest",
      title: { text: series.name, font: { size: 13 } }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--ink"), family: "inherit" }, xaxis: axis,
      yaxis: { ...axis, title: { text: series.unit }, rangemode: "tozero" },
      shapes: shapes(stream, series, stream.times),
    };
    return [[trace], layout, { responsive: true, displaylogo: false }];
  }

  function toggle(button) {
    const host = button.closest("[data-series]");
    const found = host.chart;
    if (found) {
      found.remove();
      host.chart = null;
    } else {
      const stream = streams[Number(host.dataset.stream)];
      const place = document.createElement("div");
      place.className = "chart";
      host.chart = place;
      if (host.tagName === "TR") {
        const row = document.createElement("tr"), cell = document.createElement("td");
        cell.colSpan = host.cells.length;
        cell.append(place);
        row.append(cell);
        host.after(row);
        host.chart = row;
      } else {
        host.append(place);
      }
      Plotly.newPlot(place, ...figure(stream, stream.series[Number(host.dataset.series)]));
    }
    button.setAttribute("aria-expanded", String(!found));
    button.textContent = found ? "Chart" : "Close";
  }

  for (const host of document.querySelectorAll("[data-series]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Chart";
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => toggle(button));
    (host.querySelector(".act") || host).append(button);
  }
  dark.addEventListener("change", () => {
    for (const host of document.querySelectorAll("[data-series]")) {
      const button = host.querySelector("button");
      if (host.chart) { toggle(button); toggle(button); }
    }
  });
})();
