// How the front grew, over evaluations and over time, beside a random search for the same where there was one.

import { choice, csvOf } from "./chart.js";
import { Lines } from "./lines.js";
import { ask, part } from "./service.js";

const OVER = { evaluations: ["numbers", "evaluation"], time: ["seconds", "seconds since the job began"] };

// What makes two jobs searches for the same.
const sameness = ({ spec }) => JSON.stringify([spec.space, spec.data, spec.supernet, spec.devices, spec.objectives]);

export class Hypervolume {
  constructor(job, view) {
    this.job = job;
    this.over = view.get("over") in OVER ? view.get("over") : "evaluations";
    this.told = [];
    this.lines = new Lines({
      caption: "Hypervolume", csvName: `${job.id}-hypervolume.csv`, view,
      tools: [choice("Over", Object.keys(OVER), this.over, (name) => { this.over = name; view.set("over", name); this.draw(); })],
      csv: () => csvOf(["job", "evaluation", "seconds", "hypervolume"], this.told.flatMap(({ name, numbers, seconds, hypervolumes }) =>
        numbers.map((number, i) => [name, number, seconds[i], hypervolumes[i]]))),
    });
    this.node = this.lines.chart.node;
  }

  // Look for a random search for the same, once.
  async findBaseline() {
    if (this.job.spec?.strategy?.name === "random") return;
    const jobs = await ask("/jobs?limit=200");
    this.baseline = jobs.find((other) => other.id !== this.job.id && other.evaluated > 0
      && other.spec?.strategy?.name === "random" && sameness(other) === sameness(this.job));
  }

  async refresh() {
    const jobs = [this.job, ...(this.baseline ? [this.baseline] : [])];
    const told = await ask(`/progress?${jobs.map(({ id }) => `job=${part(id)}`).join("&")}`);
    this.told = told.map((each, i) => ({ ...each, name: i ? `random (${jobs[i].id})` : jobs[i].name }));
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
      this.lines.chart.say(this.baseline ? "" : "No random search for the same is in the store to compare with.");
    }
  }
}
