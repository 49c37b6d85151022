// Which decisions matter: a bar for each, of the share of a metric's variance that it explains by itself.

import { choice } from "./chart.js";
import { element } from "./element.js";

const MOST = 12;

export function showImportance(node, rows, metrics, view) {
  let metric = metrics.includes(view.get("importance")) ? view.get("importance") : metrics[0];
  const draw = () => {
    const known = rows.filter(({ shares }) => shares[metric] !== null && shares[metric] !== undefined)
      .sort((a, b) => b.shares[metric] - a.shares[metric]).slice(0, MOST);
    const bars = known.flatMap(({ decision, shares }) => {
      const percent = `${Math.round(100 * shares[metric])} %`;
      return [element("span", { class: "mono" }, decision),
        element("meter", { min: 0, max: 1, value: shares[metric], "aria-label": `${decision}: ${percent}` }), element("span", {}, percent)];
    });
    node.replaceChildren(
      choice("Metric", metrics, metric, (name) => { metric = name; view.set("importance", name); draw(); }),
      known.length ? element("div", { class: "bars" }, bars) : element("p", { class: "quiet" }, "Too few results to tell."),
      element("p", { class: "help" }, "Share of the variance that a decision explains by itself, among the newest 2,000 results."));
  };
  draw();
}
