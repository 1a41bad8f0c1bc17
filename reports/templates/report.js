"use strict";
(() => {
  const root = document.documentElement;
  const NAMED = /^var\((--[a-z0-9-]+)\)$/;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = [];

  const palette = () => {
    const style = getComputedStyle(root);
    return (name) => style.getPropertyValue(name).trim();
  };

  /* The figure names its colours as the style sheet does; plotly.js wants them as values. */
  const coloured = (node, shade) => {
    if (typeof node === "string") {
      const named = NAMED.exec(node);
      return named ? shade(named[1]) : node;
    }
    if (Array.isArray(node)) return node.map((one) => coloured(one, shade));
    if (node && typeof node === "object") {
      return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, coloured(value, shade)]));
    }
    return node;
  };

  /* plotly.js tells a moment as milliseconds, or as "2026-01-01 00:00:30.1234" with nothing behind what is zero. */
  const MOMENT = /^(\d+)-(\d+)-(\d+)(?:[ T](\d+)(?::(\d+)(?::(\d+)(\.\d+)?)?)?)?/;
  const milliseconds = (edge) => {
    if (typeof edge === "number") return edge;
    const [year, month, day, hour = 0, minute = 0, second = 0, rest = 0] = MOMENT.exec(edge).slice(1);
    return Date.UTC(year, month - 1, day, hour, minute, second) + Number(rest) * 1000;
  };

  /* With scripts a browser takes the pictures for text, which costs nothing until one is needed. */
  const unfold = (where) => {
    for (const folded of where.querySelectorAll(".static > noscript")) {
      folded.parentElement.innerHTML = folded.textContent;
    }
  };

  const CONFIGURATION = { displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false };
  const NARROW = 640;

  class Chart {
    constructor(section) {
      this.section = section;
      this.place = section.querySelector(".chart");
      this.source = section.querySelector("script[type='application/json']");
      this.hidden = new Set();
      this.tried = this.drawn = false;
    }

    /* The chart takes the picture's place while it is drawn, and gives it back if that fails. */
    draw() {
      if (this.tried) return;
      this.tried = true;
      this.section.classList.add("scripted");
      this.ready = this.begun().catch((error) => this.failed(error));
    }

    async begun() {
      this.figure = JSON.parse(this.source.textContent);
      this.whole = this.figure.layout.xaxis.range.slice();
      const { data, layout } = this.shown();
      await Plotly.newPlot(this.place, data, layout, CONFIGURATION);
      this.place.on("plotly_relayout", () => this.tell());
      this.controls();
      this.tell();
      this.drawn = true;
      this.place.setAttribute("data-drawn", "");
    }

    failed(error) {
      unfold(this.section);
      this.section.classList.remove("scripted");
      console.error("The interactive timeline cannot be drawn, its picture is shown instead.", error);
    }

    shown() {
      const shade = palette();
      const found = coloured({ data: this.figure.data, layout: this.figure.layout }, shade);
      if (this.place.clientWidth < NARROW) {
        found.layout.margin = { ...found.layout.margin, l: 84 };
        for (const one of found.layout.annotations.filter((annotation) => "xshift" in annotation)) {
          one.xshift = -84;
          one.text = one.text.replace(/<\/b>.*$/, "</b>");
        }
        found.layout.xaxis.nticks = found.layout.xaxis2.nticks = 4;
        for (const trace of found.data) if (trace.type === "bar") delete trace.text;
      }
      for (const trace of found.data) if (this.hidden.has(trace.legendgroup)) trace.visible = false;
      return found;
    }

    recolour() {
      if (!this.drawn) return;
      const range = this.range();
      const { data, layout } = this.shown();
      layout.xaxis.range = layout.xaxis2.range = range;
      this.ready = Plotly.react(this.place, data, layout, CONFIGURATION);
    }

    range() {
      return this.place.layout.xaxis.range.map(milliseconds);
    }

    go(begin, end) {
      const [first, last] = this.whole;
      const length = Math.min(Math.max(end - begin, 10), last - first);
      const from = Math.min(Math.max(begin, first), last - length);
      Plotly.relayout(this.place, { "xaxis.range": [Math.round(from), Math.round(from + length)] });
    }

    zoom(factor) {
      const [begin, end] = this.range();
      const middle = (begin + end) / 2;
      const half = ((end - begin) * factor) / 2;
      this.go(middle - half, middle + half);
    }

    pan(share) {
      const [begin, end] = this.range();
      const by = (end - begin) * share;
      this.go(begin + by, end + by);
    }

    act(name) {
      const acts = {
        in: () => this.zoom(0.5), out: () => this.zoom(2), earlier: () => this.pan(-0.25), later: () => this.pan(0.25),
        whole: () => this.go(...this.whole),
      };
      acts[name]();
    }

    controls() {
      const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "earlier", ArrowRight: "later", 0: "whole", Home: "whole" };
      this.place.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
        event.preventDefault();
        this.act(keys[event.key]);
      });
      for (const button of this.section.querySelectorAll("button[data-act]")) {
        button.addEventListener("click", () => this.act(button.dataset.act));
      }
      for (const button of this.section.querySelectorAll("button[data-group]")) {
        button.disabled = false;
        button.addEventListener("click", () => this.toggle(button));
      }
      const places = this.section.querySelector("select");
      this.figure.moments.forEach((moment, number) => places.append(new Option(moment.label, String(number))));
      places.addEventListener("change", () => {
        if (places.value === "") return this.act("whole");
        const [begin, end] = this.figure.moments[Number(places.value)].range;
        const around = Math.max(2000, (end - begin) * 0.15);
        return this.go(begin - around, end + around);
      });
    }

    toggle(button) {
      const group = button.dataset.group;
      const show = this.hidden.delete(group);
      if (!show) this.hidden.add(group);
      /* Beyond nine machines colours begin anew; whose colour it is are hidden together. */
      for (const one of this.section.querySelectorAll("button[data-group]")) {
        if (one.dataset.group === group) one.setAttribute("aria-pressed", String(show));
      }
      const found = this.figure.data.flatMap((trace, number) => (trace.legendgroup === group ? [number] : []));
      if (found.length) Plotly.restyle(this.place, { visible: show }, found);
    }

    tell() {
      const [begin, end] = this.range();
      const clock = (edge) => new Date(edge).toISOString().slice(11, 23);
      this.section.querySelector(".range").textContent = `${clock(begin)} to ${clock(end)} UTC`;
    }
  }

  const start = () => {
    for (const place of document.querySelectorAll(".chart")) charts.push(new Chart(place.closest(".timeline")));
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        charts.find((chart) => chart.section === entry.target).draw();
      }
    }, { rootMargin: "600px 0px" });
    for (const chart of charts) seen.observe(chart.section);
    /* Paper gets the pictures. */
    const print = () => unfold(document);
    window.addEventListener("beforeprint", print);
    window.matchMedia("print").addEventListener("change", print);
    dark.addEventListener("change", () => charts.forEach((chart) => chart.recolour()));
  };

  document.addEventListener("DOMContentLoaded", start);
})();
