// Predictors: predicted against measured, what their intervals hold, and where they err.

import { csvOf } from "./csv.js";
import { element, place, table } from "./element.js";
import { Intervals } from "./intervals.js";
import { Lines } from "./lines.js";
import { short } from "./numbers.js";
import { ask, complain } from "./service.js";

const SCORES = { spearman: "Spearman's rank correlation", kendall: "Kendall's rank correlation",
  within_10: "Within 10 % of the measurement", coverage_90: "Held by 90 % intervals" };

function card(each) {
  const name = `${each.metric}@${each.device} of ${each.subject === "graph" ? "any network" : each.subject}`;
  const scores = (found) => Object.entries(SCORES).filter(([key]) => key in found).map(([key, label]) => [label, short(found[key])]);
  const facts = [["Kind", each.kind], ["Samples", short(each.samples)], ["Learned from, too", each.sources.join(", ") || "no other device"],
    ...scores(each.scores), ...scores(each.tested).map(([label, value]) => [`${label}, other networks`, value])];
  const node = element("section", { class: "card" }, element("h2", {}, name),
    element("dl", { class: "facts" }, facts.map(([label, value]) => element("div", {}, element("dt", {}, label), element("dd", {}, value)))));
  const grid = element("div", { class: "grid" });
  if (each.left_out.length) {
    grid.append(new Intervals(`${name}: predicted without it, with 90 % intervals`, each.left_out, { name: "predicted" }).chart.node,
      new Intervals(`${name}: residuals by size`, each.left_out, { name: "residuals", residuals: true }).chart.node);
  }
  const levels = each.coverage.map(({ level }) => level);
  const coverage = new Lines({ caption: `${name}: what intervals hold`, height: 260, csvName: "coverage.csv",
    csv: () => csvOf(["level", "share"], each.coverage.map(({ level, share }) => [level, share])) });
  coverage.show([{ name: "held", xs: levels, ys: each.coverage.map(({ share }) => share) }, { name: "promised", xs: levels, ys: levels }],
    { xName: "level of the interval", yName: "share held", dots: true });
  grid.append(coverage.chart.node);
  node.append(grid);
  if (each.left_out.length) node.append(samples(each.left_out));
  return node;
}

// Which networks were chosen to be measured, the most telling first.
function samples(rows) {
  const told = (choices) => Object.entries(choices).map(([name, option]) => `${name} ${typeof option === "string" ? option : JSON.stringify(option)}`).join(", ");
  return element("details", {}, element("summary", {}, `The ${rows.length} networks that were chosen`),
    element("div", { class: "scroll", role: "region", "aria-label": "Chosen networks", tabindex: 0 }, table([
      { name: "Measured", number: true, cell: ({ measured }) => short(measured) },
      { name: "Predicted without it", number: true, cell: ({ predicted }) => short(predicted) },
      { name: "Choices", cell: ({ choices }) => told(choices) || "not kept" }], rows)));
}

async function begin() {
  const { predictors, broken } = await ask("/predictors");
  place("predictors").replaceChildren(...predictors.map(card), ...broken.map((cause) => element("p", { class: "problem" }, cause)),
    predictors.length ? "" : element("p", { class: "card quiet" }, "No predictors yet: nas predictor fit makes one."));
}

begin().catch(complain);
