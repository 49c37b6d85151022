// How the front grew, over evaluations and over time, beside a random search for the same where there was one.

import { csvOf } from "./csv.js";
import { choice } from "./frame.js";
import { Lines } from "./lines.js";

const OVER = { evaluations: ["numbers", "evaluation"], time: ["seconds", "seconds since the job began"] };

export class Hypervolume {
  constructor(name, view) {
    this.over = view.get("over") in OVER ? view.get("over") : "evaluations";
    this.told = [];
    this.lines = new Lines({
      caption: "Hypervolume", csvName: `${name}-hypervolume.csv`, view,
      tools: [choice("Over", Object.keys(OVER), this.over, (name) => { this.over = name; view.set("over", name); this.draw(); })],
      csv: () => csvOf(["job", "evaluation", "seconds", "hypervolume"], this.told.flatMap(({ name, numbers, seconds, hypervolumes }) =>
        numbers.map((number, i) => [name, number, seconds[i], hypervolumes[i]]))),
    });
    this.node = this.lines.chart.node;
  }

  // `told` has the steps of each job by its name, the job's own first; `note` is what else is to be said.
  show(told, note = "") {
    this.told = told;
    this.note = note;
    this.draw();
  }

  draw() {
    const [column, xName] = OVER[this.over];
    const series = this.told.filter(({ numbers }) => numbers.length).map((each) => {
      const last = column === "numbers" ? each.evaluated - 1 : each.seconds.at(-1);
      return { name: each.name, xs: [...each[column], last], ys: [...each.hypervolumes, each.hypervolumes.at(-1)] };
    });
    this.lines.show(series, { xName, yName: "hypervolume", steps: true });
    const last = this.told[0]?.hypervolumes.at(-1);
    if (last !== undefined) {
      this.lines.chart.describe(`Hypervolume: ${last.toPrecision(4)} of the box between the best and the worst results`);
      this.lines.chart.say(this.note);
    }
  }
}
