// Which decisions matter: a bar for each, of the share of a metric's variance that it explains by itself.

import { csvOf } from "./csv.js";
import { element } from "./element.js";
import { choice, Frame } from "./frame.js";

const MOST = 12;
const HELP = "Share of the variance that a decision explains by itself, among the newest 2,000 results.";

export class Importance {
  constructor(name, metrics, view) {
    this.rows = [];
    this.metric = metrics.includes(view.get("importance")) ? view.get("importance") : metrics[0];
    this.body = element("div");
    this.frame = new Frame({
      caption: "Which decisions matter", body: this.body, view, csvName: `${name}-importance.csv`,
      tools: [choice("Metric", metrics, this.metric, (chosen) => { this.metric = chosen; view.set("importance", chosen); this.draw(); })],
      csv: () => csvOf(["decision", ...metrics], this.rows.map(({ decision, shares }) => [decision, ...metrics.map((each) => shares[each] ?? NaN)])),
    });
    this.frame.say(HELP);
    this.node = this.frame.node;
  }

  show(rows) {
    this.rows = rows;
    this.draw();
  }

  draw() {
    const share = ({ shares }) => shares[this.metric] ?? null;
    const known = this.rows.filter((row) => share(row) !== null).sort((a, b) => share(b) - share(a)).slice(0, MOST);
    const bars = known.flatMap((row) => {
      const percent = `${Math.round(100 * share(row))} %`;
      return [element("span", { class: "mono" }, row.decision),
        element("meter", { min: 0, max: 1, value: share(row), "aria-label": `${row.decision}: ${percent}` }), element("span", {}, percent)];
    });
    this.body.replaceChildren(known.length ? element("div", { class: "bars" }, bars)
      : element("p", { class: "quiet" }, "Too few results to tell."));
  }
}
