// Several jobs on one chart: each alone, or the median and the quartiles over the seeds of the same search.

import { csvOf } from "./csv.js";
import { element, place } from "./element.js";
import { check, choice } from "./frame.js";
import { Lines } from "./lines.js";
import { ask, complain, part } from "./service.js";
import { View } from "./view.js";

const GRID = 200;
const MOST = 50;
const view = new View();

// The value of a curve of steps at each place of a grid; NaN before its first step and after its end.
function sampled({ numbers, hypervolumes, evaluated }, grid) {
  let step = -1;
  return grid.map((at) => {
    while (step + 1 < numbers.length && numbers[step + 1] <= at) step++;
    return step < 0 || at > evaluated ? NaN : hypervolumes[step];
  });
}

// The quantile of sorted values, between its neighbours.
function quantile(sorted, share) {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.ceil(at)] - sorted[low]) * (at - low);
}

// What two jobs have in common when only their seed differs.
const search = ({ spec }) => JSON.stringify({ ...spec, seed: null, name: null });

function grouped(jobs, told) {
  const longest = Math.max(...told.map(({ evaluated }) => evaluated));
  const grid = Array.from({ length: GRID }, (_, i) => (i * Math.max(1, longest - 1)) / (GRID - 1));
  const groups = bySearch(jobs);
  return [...groups.values()].map((members) => {
    const curves = members.map((i) => sampled(told[i], grid));
    const at = (share) => grid.map((_, g) => {
      const values = curves.map((curve) => curve[g]).filter(Number.isFinite).sort((a, b) => a - b);
      return values.length === members.length ? quantile(values, share) : NaN; // only where all seeds are
    });
    const { spec, name } = jobs[members[0]];
    return { name: `${name}, ${spec.strategy?.name ?? "?"} (${members.length} seed${members.length > 1 ? "s" : ""})`,
      xs: grid, ys: at(0.5), low: at(0.25), high: at(0.75) };
  });
}

function bySearch(jobs) {
  const found = new Map();
  jobs.forEach((job, i) => found.set(search(job), [...(found.get(search(job)) ?? []), i]));
  return found;
}

async function begin() {
  const known = await ask("/jobs?limit=200");
  const asked = view.given.getAll("job").slice(0, MOST);
  const chosen = known.filter(({ id }) => asked.includes(id));
  const missing = asked.filter((id) => !known.some((job) => job.id === id));
  for (const id of missing) chosen.push(await ask(`/jobs/${part(id)}`));
  const list = element("fieldset", { class: "card" }, element("legend", {}, "Jobs"), known.filter(({ evaluated }) => evaluated > 0).map((job) =>
    check(`${job.name} (${job.id}, ${job.spec?.strategy?.name ?? "?"})`, chosen.includes(job), (on) => {
      const ids = new Set(asked);
      if (on) ids.add(job.id);
      else ids.delete(job.id);
      location.assign(`/compare?${[...ids].map((id) => `job=${part(id)}`).join("&")}`);
    })));
  place("compare").replaceChildren(list);
  if (!chosen.length) {
    list.before(element("p", {}, "Choose jobs with the same objectives."));
    return;
  }
  const told = await ask(`/progress?${chosen.map(({ id }) => `job=${part(id)}`).join("&")}`);
  let over = view.get("by") === "job" ? "job" : "search";
  const series = () => (over === "search" ? grouped(chosen, told) : chosen.map((job, i) => ({
    name: `${job.name} (${job.id})`, xs: [...told[i].numbers, told[i].evaluated - 1], ys: [...told[i].hypervolumes, told[i].hypervolumes.at(-1)] })))
    .filter(({ xs }) => xs.length > 1);
  const draw = () => lines.show(series(), { xName: "evaluation", yName: "hypervolume", steps: true });
  const lines = new Lines({
    caption: "Hypervolume in the box of all their results", height: 420, view, csvName: "compare.csv",
    tools: [choice("A line for each", ["search", "job"], over, (name) => { over = name; view.set("by", name); draw(); })],
    csv: () => csvOf(["series", "evaluation", "hypervolume", "lower_quartile", "upper_quartile"], series().flatMap(({ name, xs, ys, low, high }) =>
      xs.map((x, i) => [name, x, ys[i], low?.[i] ?? NaN, high?.[i] ?? NaN]))),
  });
  list.before(lines.chart.node);
  lines.chart.say("With a line for each search: the median over its seeds, and from quartile to quartile.");
  draw();
}

begin().catch(complain);
