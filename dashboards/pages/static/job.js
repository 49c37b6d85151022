// A job: its front as it grows, and what is known of how it came about.

import { check, choice, csvOf } from "./chart.js";
import { element, drawn, place, table } from "./element.js";
import { frontTable } from "./front_table.js";
import { Hypervolume } from "./hypervolume.js";
import { showImportance } from "./importance.js";
import { actions, ENDED, facts } from "./job_state.js";
import { short } from "./numbers.js";
import { MOST_LINES, Parallel } from "./parallel.js";
import { Points } from "./points.js";
import { showRounds } from "./rounds.js";
import { Scatter } from "./scatter.js";
import { ask, complain, part } from "./service.js";
import { follow } from "./stream.js";
import { Ranges, View } from "./view.js";

const DRAW_MS = 100;
const TABLE_MS = 1000;
const SLOW_MS = 3000;
const MOST_AXES = 8;

const id = place("state").dataset.job;
const path = `/jobs/${part(id)}`;
const view = new View();
const ranges = new Ranges(view);
const page = { job: null, points: null, keys: new Map() };

// Do something soon, and once for all calls until then.
function soon(wait, work) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(async () => {
      timer = 0;
      try {
        await work();
      } catch (error) {
        complain(error);
      }
    }, wait);
  };
}

function showState() {
  const { job } = page;
  place("state").replaceChildren(facts(job), element("div", {}, actions(job, changed)),
    job.error ? element("p", { class: "problem" }, job.error) : "");
}

function showCount() {
  place("state").querySelector("dl").replaceWith(facts(page.job)); // the buttons stay, and with them the focus
}

function changed(job) {
  if (ENDED.includes(page.job.status)) location.reload(); // it goes on, and is followed again
  page.job = job;
  showState();
}

function showNotice() {
  const { job, points } = page;
  const failed = points.column("failed").subarray(0, points.rows).reduce((sum, each) => sum + each, 0);
  const words = points.stride > 1 ? `${short(points.rows)} of ${short(points.next)} evaluations are shown: one in ${points.stride}, and the front.`
    : points.rows === 0 ? (ENDED.includes(job.status) ? "This job has no evaluation." : "No evaluation yet: they appear here as they come.")
      : failed === points.rows ? `All ${short(points.rows)} evaluations failed; their causes are below.`
        : points.places.size === 0 ? "No network meets the bounds yet." : points.rows === 1 ? "There is one evaluation so far." : "";
  place("notice").textContent = words;
  place("notice").hidden = !words;
}

function describeRow(row) {
  const { points } = page;
  const told = points.objectives.map(({ metric }) => {
    const unsure = points.deviation(metric)?.[row] ?? 0;
    return `${metric} ${short(points.column(metric)[row])}${unsure > 0 ? ` ± ${short(unsure)} (predicted)` : ""}`;
  });
  return `Evaluation ${short(points.column("number")[row])}: ${told.join(", ")}`;
}

function makeScatter() {
  const { points } = page;
  const metrics = points.metrics;
  const pick = (name, usual) => (metrics.includes(view.get(name)) ? view.get(name) : usual);
  const axes = {
    x: pick("x", points.objectives[1]?.metric ?? "number"), y: pick("y", points.objectives[0].metric),
    xLog: view.get("xlog") === "1", yLog: view.get("ylog") === "1", dominated: view.get("dominated") !== "0", bounds: points.objectives,
  };
  const change = (name, value, address, told) => { axes[name] = value; view.set(address, told); scatter.show(axes); };
  const shown = ["number", ...metrics];
  const tools = [
    choice("Across", shown, axes.x, (name) => change("x", name, "x", name)),
    check("logarithmic", axes.xLog, (on) => change("xLog", on, "xlog", on ? "1" : null)),
    choice("Up", shown, axes.y, (name) => change("y", name, "y", name)),
    check("logarithmic", axes.yLog, (on) => change("yLog", on, "ylog", on ? "1" : null)),
    check("dominated", axes.dominated, (on) => change("dominated", on, "dominated", on ? null : "0")),
    element("button", { type: "button", class: "plain", onclick: () => ranges.clear() }, "Clear ranges"),
  ];
  const scatter = new Scatter({
    caption: "Front", height: 420, tools, view, csvName: `${id}.csv`, csv: pointsCsv,
    label: "Networks over two metrics; the table of the front below has the same in words.",
  }, points, ranges, choose);
  scatter.hovered = (row) => { if (row !== null) scatter.chart.say(describeRow(row)); };
  scatter.chart.key.replaceChildren(...keyOf());
  scatter.show(axes);
  return scatter;
}

function keyOf() {
  const mark = (shape, name) => element("li", {}, drawn("svg", { width: 16, height: 16, "aria-hidden": "true" }, shape), name);
  const circle = (fill) => drawn("circle", { cx: 8, cy: 8, r: 5, fill, stroke: "var(--front)", "stroke-width": 1.5 });
  return [mark(circle("var(--front)"), "front, measured"), mark(circle("none"), "front, predicted, with its deviation"),
    mark(drawn("rect", { x: 5, y: 5, width: 6, height: 6, fill: "var(--quiet)" }), "dominated, darker the later"),
    mark(drawn("line", { x1: 0, y1: 8, x2: 16, y2: 8, stroke: "var(--bound)", "stroke-width": 2, "stroke-dasharray": "4 3" }), "bound")];
}

function pointsCsv() {
  const { points } = page;
  const front = new Set(points.front);
  const inside = ranges.test(points);
  const names = [...points.columns.keys()];
  const rows = [];
  for (let row = 0; row < points.rows; row++) {
    if (!inside || inside(row)) rows.push([...names.map((name) => points.column(name)[row]), front.has(row) ? 1 : 0]);
  }
  return csvOf([...names, "on_front"], rows);
}

async function choose(row) {
  const number = page.points.column("number")[row];
  page.scatter.mark(row);
  view.set("chosen", String(number));
  try {
    const { evaluations } = await ask(`${path}/evaluations?start=${number}&limit=1`);
    const [found] = evaluations;
    page.scatter.chart.say(found.error ? `Evaluation ${number} failed: ${found.error}` : `${describeRow(row)} `,
      found.error ? "" : element("a", { href: `${path}/networks/${found.architecture_key}` }, "Open this network"));
  } catch (error) {
    complain(error);
  }
}

function makeParallel() {
  const { points } = page;
  const names = [...new Set([...points.objectives.map(({ metric }) => metric), ...points.metrics])].slice(0, MOST_AXES);
  const parallel = new Parallel({
    caption: "Parallel coordinates", height: 300, view, csvName: `${id}-chosen.csv`, csv: pointsCsv,
    label: "A line for each network across its metrics; drag along an axis to keep a range, which the front shows, too.",
  }, points, ranges);
  parallel.show(names);
  parallel.chart.say(`Drag along an axis to keep a range, press it to drop the range. At most ${short(MOST_LINES)} evenly chosen networks, and the front.`);
  return parallel;
}

function rangeFields() {
  const node = element("details", {}, element("summary", {}, "Ranges by number"));
  const fields = element("div", { class: "tools" }, page.points.objectives.flatMap(({ metric }) => ["from", "to"].map((end, i) =>
    element("label", {}, `${metric} ${end} `, element("input", { type: "number", step: "any", onchange: (event) => {
      const range = ranges.get(metric) ?? [-Infinity, Infinity];
      const value = event.target.value === "" ? [-Infinity, Infinity][i] : Number(event.target.value);
      const changed = i ? [range[0], value] : [value, range[1]];
      ranges.set({ [metric]: changed.some(Number.isFinite) ? changed : null });
    } })))));
  node.append(fields);
  return node;
}

async function showFailures() {
  const found = await ask(`${path}/failures`);
  place("failures").replaceChildren(found.length ? table([
    { name: "Cause", cell: ({ error }) => error },
    { name: "Evaluations", number: true, cell: ({ count }) => short(count) },
    { name: "First", number: true, cell: ({ first }) => short(first) },
  ], found) : element("p", { class: "quiet" }, "None."));
}

const redraw = soon(DRAW_MS, () => requestAnimationFrame(() => {
  const begun = performance.now();
  page.scatter.update();
  showNotice();
  showCount();
  performance.measure("update", { start: begun });
}));
const refreshTable = soon(TABLE_MS, async () => frontTable(place("front"), id, await ask(`${path}/front`), markNumber));
const refreshSlowly = soon(SLOW_MS, async () => {
  page.parallel.draw();
  await page.hypervolume.refresh();
  await showFailures();
});

const askPoints = () => ask(`${path}/points`, { raw: true });

function load(content) {
  page.points = new Points(content);
  page.scatter = makeScatter();
  place("charts").replaceChildren(page.scatter.chart.node);
  page.scatter.chart.resize();
  performance.mark("front-drawn");
  showNotice();
  page.parallel = makeParallel();
  page.hypervolume = new Hypervolume(page.job, view);
  place("charts").append(page.hypervolume.node, page.parallel.chart.node);
  page.scatter.chart.node.append(rangeFields());
  ranges.listeners = [() => requestAnimationFrame(() => { page.scatter.draw(); page.parallel.draw(); })];
  const chosen = Number(view.get("chosen", "NaN"));
  if (page.points.places.has(chosen)) page.scatter.mark(page.points.places.get(chosen));
}

const markNumber = (number) => page.scatter.mark(page.points.places.get(number) ?? null);

async function complete() {
  frontTable(place("front"), id, await ask(`${path}/front`), markNumber);
  await page.hypervolume.findBaseline();
  await page.hypervolume.refresh();
  await showFailures();
  await showImportance(place("importance"), id, page.points.objectives.map(({ metric }) => metric), view);
  await showRounds(place("rounds"), id);
}

async function begin() {
  const [job, content] = await Promise.all([ask(path), askPoints()]);
  page.job = job;
  showState();
  load(content);
  if (ENDED.includes(page.job.status)) return complete();
  follow(id, () => page.points.next, {
    job: (job) => { page.job = job; showState(); },
    evaluation: (evaluation) => {
      if (!page.points.add(evaluation)) return;
      page.job.evaluated = Math.max(page.job.evaluated, evaluation.number + 1);
      redraw();
      refreshTable();
      refreshSlowly();
    },
    end: async () => {
      page.job = await ask(path);
      showState();
      load(await askPoints()); // what was measured anew at the end decides about the front
      await complete();
    },
  });
  return complete();
}

begin().catch(complain);
