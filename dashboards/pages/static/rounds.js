// The rounds of a search that trains as it goes: whether it converges, and whether it collapses.

import { csvOf } from "./chart.js";
import { Lines } from "./lines.js";

const ENTROPY = "entropy/";
const PANELS = [["Loss in nats", ["loss", "validation_loss"]], ["Generalisation gap in nats", ["gap"]],
  ["Share of skips", ["skip_share"]], ["Mean entropy of the decisions in nats", null],
  ["Cost", ["cost_expected", "cost_derived"]], ["Multiplier of the budget", ["cost_multiplier"]], ["Dominant eigenvalue", ["eigenvalue"]]];

export function showRounds(node, rounds) {
  if (!rounds.length) return;
  const xs = rounds.map(({ number }) => number);
  const value = (name) => rounds.map(({ metrics }) => metrics[name] ?? NaN);
  const entropies = rounds.map(({ metrics }) => {
    const found = Object.entries(metrics).filter(([name, each]) => name.startsWith(ENTROPY) && each !== null).map(([, each]) => each);
    return found.length ? found.reduce((a, b) => a + b, 0) / found.length : NaN;
  });
  node.replaceChildren(...PANELS.flatMap(([caption, names]) => {
    const series = (names ?? ["entropy"]).map((name) => ({ name, xs, ys: names ? value(name) : entropies }))
      .filter(({ ys }) => ys.some(Number.isFinite));
    if (!series.length) return [];
    const lines = new Lines({ caption, height: 200, csvName: "rounds.csv",
      csv: () => csvOf(["round", ...series.map(({ name }) => name)], xs.map((x, i) => [x, ...series.map(({ ys }) => ys[i])])) });
    lines.show(series, { xName: "round", yName: caption, dots: xs.length < 30 });
    return [lines.chart.node];
  }));
}
