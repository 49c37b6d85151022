// The front of a job and its parallel coordinates, which share their ranges.

import { csvOf } from "./csv.js";
import { drawn, element } from "./element.js";
import { check, choice } from "./frame.js";
import { short } from "./numbers.js";
import { ramp } from "./palette.js";
import { MOST_LINES, Parallel } from "./parallel.js";
import { Scatter } from "./scatter.js";

const MOST_AXES = 8;
const ORDER = "time";

export class FrontView {
  // `name` begins the names of downloads; `choose(row)` is called for a click on a point.
  constructor(points, view, ranges, { name, choose }) {
    Object.assign(this, { points, view, ranges, name });
    this.scatter = this.makeScatter(choose);
    this.parallel = this.makeParallel();
    ranges.listeners = [() => requestAnimationFrame(() => { this.scatter.draw(); this.parallel.draw(); })];
    this.mark(Number(view.get("chosen", "NaN")));
  }

  // Ring the point of an evaluation of the front.
  mark(number) {
    this.scatter.mark(this.points.places.get(number) ?? null);
  }

  describe(row) {
    const { points } = this;
    const told = points.objectives.map(({ metric }) => {
      const unsure = points.deviation(metric)?.[row] ?? 0;
      return `${metric} ${short(points.column(metric)[row])}${unsure > 0 ? ` ± ${short(unsure)} (predicted)` : ""}`;
    });
    return `Evaluation ${short(points.column("number")[row])}: ${told.join(", ")}`;
  }

  makeScatter(choose) {
    const { points, view, ranges } = this;
    const shown = ["number", ...points.metrics];
    const pick = (name, known, usual) => (known.includes(view.get(name)) ? view.get(name) : usual);
    const third = points.objectives[2]?.metric;
    const axes = {
      x: pick("x", shown, points.objectives[1]?.metric ?? "number"), y: pick("y", shown, points.objectives[0].metric),
      colour: pick("colour", [ORDER, ...points.metrics], third ?? ORDER),
      xLog: view.get("xlog") === "1", yLog: view.get("ylog") === "1", dominated: view.get("dominated") !== "0", bounds: points.objectives,
    };
    const change = (name, value, address, told) => {
      axes[name] = value;
      view.set(address, told);
      scatter.show(axes);
      scatter.chart.key.replaceChildren(...keyOf(axes.colour));
    };
    const tools = [
      choice("Across", shown, axes.x, (name) => change("x", name, "x", name)),
      check("logarithmic", axes.xLog, (on) => change("xLog", on, "xlog", on ? "1" : null)),
      choice("Up", shown, axes.y, (name) => change("y", name, "y", name)),
      check("logarithmic", axes.yLog, (on) => change("yLog", on, "ylog", on ? "1" : null)),
      choice("Colour", [ORDER, ...points.metrics], axes.colour, (name) => change("colour", name, "colour", name)),
      check("dominated", axes.dominated, (on) => change("dominated", on, "dominated", on ? null : "0")),
      element("button", { type: "button", class: "plain", onclick: () => ranges.clear() }, "Clear ranges"),
    ];
    const scatter = new Scatter({
      caption: "Front", height: 420, tools, view, csvName: `${this.name}.csv`, csv: () => this.csv(),
      label: "Networks over two metrics; the table of the front below has the same in words.",
    }, points, ranges, choose);
    scatter.hovered = (row) => { if (row !== null) scatter.chart.say(this.describe(row)); };
    scatter.chart.key.replaceChildren(...keyOf(axes.colour));
    scatter.chart.node.append(this.fields());
    scatter.show(axes);
    return scatter;
  }

  makeParallel() {
    const { points, view, ranges } = this;
    const names = [...new Set([...points.objectives.map(({ metric }) => metric), ...points.metrics])].slice(0, MOST_AXES);
    const parallel = new Parallel({
      caption: "Parallel coordinates", height: 300, view, csvName: `${this.name}-chosen.csv`, csv: () => this.csv(),
      label: "A line for each network across its metrics; drag along an axis to keep a range, which the front shows, too.",
    }, points, ranges);
    parallel.show(names, points.objectives.length);
    parallel.chart.say(`Drag along an axis to keep a range, press it to drop the range. At most ${short(MOST_LINES)} evenly chosen networks, and the front.`);
    return parallel;
  }

  // The ranges of the objectives as fields, for who does not drag.
  fields() {
    const field = (metric, end, i) => element("label", {}, `${metric} ${end} `, element("input", {
      type: "number", step: "any", onchange: ({ target }) => {
        const range = [...(this.ranges.get(metric) ?? [-Infinity, Infinity])];
        range[i] = target.value === "" ? [-Infinity, Infinity][i] : Number(target.value);
        this.ranges.set({ [metric]: range.some(Number.isFinite) ? range : null });
      },
    }));
    return element("details", {}, element("summary", {}, "Ranges by number"), element("div", { class: "tools" },
      this.points.objectives.flatMap(({ metric }) => ["from", "to"].map((end, i) => field(metric, end, i)))));
  }

  // The evaluations inside of the ranges.
  csv() {
    const { points } = this;
    const front = new Set(points.front);
    const inside = this.ranges.test(points);
    const names = [...points.columns.keys()];
    const rows = [];
    for (let row = 0; row < points.rows; row++) {
      if (!inside || inside(row)) rows.push([...names.map((name) => points.column(name)[row]), front.has(row) ? 1 : 0]);
    }
    return csvOf([...names, "on_front"], rows);
  }
}

function keyOf(colour) {
  const [from, to] = colour === ORDER ? ["early", "late"] : [`little ${colour}`, "much"];
  const mark = (shape, name) => element("li", {}, drawn("svg", { width: 16, height: 16, "aria-hidden": "true" }, shape), name);
  const circle = (fill) => drawn("circle", { cx: 8, cy: 8, r: 5, fill, stroke: "var(--front)", "stroke-width": 1.5 });
  return [mark(circle("var(--front)"), "front, measured"), mark(circle("none"), "front, predicted, with its deviation"),
    element("li", {}, `dominated, hollow where predicted: ${from}`, ramp(), to),
    mark(drawn("line", { x1: 0, y1: 8, x2: 16, y2: 8, stroke: "var(--bound)", "stroke-width": 2, "stroke-dasharray": "4 3" }), "bound")];
}
