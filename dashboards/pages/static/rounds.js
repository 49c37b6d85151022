// The rounds of a search that trains as it goes: whether it converges, and whether it collapses.

import { csvOf } from "./csv.js";
import { Lines } from "./lines.js";

const ENTROPY = "entropy/";
const PANELS = [["Loss in nats", ["loss", "validation_loss"]], ["Generalisation gap in nats", ["gap"]],
  ["Share of skips", ["skip_share"]], ["Cost", ["cost_expected", "cost_derived"]],
  ["Multiplier of the budget", ["cost_multiplier"]], ["Dominant eigenvalue", ["eigenvalue"]]];

export class Rounds {
  constructor(name, node) {
    this.name = name;
    this.node = node;
    this.panels = new Map(); // caption -> {lines, columns}
  }

  show(rounds) {
    const xs = rounds.map(({ number }) => number);
    const value = (metric) => rounds.map(({ metrics }) => metrics[metric] ?? NaN);
    const told = new Set(rounds.flatMap(({ metrics }) => Object.keys(metrics).filter((name) => metrics[name] !== null)));
    for (const [caption, names] of PANELS) {
      const series = names.filter((name) => told.has(name)).map((name) => ({ name, xs, ys: value(name) }));
      if (series.length) this.panel(caption, series, series.map(({ name, ys }) => [name, ys]));
    }
    const decisions = [...told].filter((name) => name.startsWith(ENTROPY)).map((name) => [name.slice(ENTROPY.length), value(name)]);
    if (decisions.length) this.panel("Entropy of the decisions in nats", [entropies(xs, decisions)], decisions);
  }

  panel(caption, series, columns) {
    const panel = this.panels.get(caption) ?? this.made(caption);
    panel.columns = columns;
    panel.xs = series[0].xs;
    panel.lines.show(series, { xName: "round", yName: caption, dots: panel.xs.length < 30 });
  }

  made(caption) {
    const panel = { columns: [], xs: [] };
    const csv = () => csvOf(["round", ...panel.columns.map(([name]) => name)], panel.xs.map((x, i) => [x, ...panel.columns.map(([, ys]) => ys[i])]));
    panel.lines = new Lines({ caption, height: 200, csvName: `${this.name}-rounds.csv`, csv });
    this.panels.set(caption, panel);
    this.node.append(panel.lines.chart.node);
    return panel;
  }
}

// The mean over all decisions, and from the most certain one to the least.
function entropies(xs, decisions) {
  const each = (work) => xs.map((_, i) => {
    const there = decisions.map(([, ys]) => ys[i]).filter(Number.isFinite);
    return there.length ? work(there) : NaN;
  });
  return { name: "mean", xs, low: each((found) => Math.min(...found)),
    ys: each((found) => found.reduce((a, b) => a + b) / found.length), high: each((found) => Math.max(...found)) };
}
