// A job: its front as it grows, and what is known of how it came about.

import { Archive } from "./archive.js";
import { baselineOf, isRandom } from "./baseline.js";
import { element, place } from "./element.js";
import { showFailures } from "./failures.js";
import { frontTable } from "./front_table.js";
import { FrontView } from "./front_view.js";
import { Hypervolume } from "./hypervolume.js";
import { Importance } from "./importance.js";
import { actions } from "./job_actions.js";
import { ENDED, facts } from "./job_facts.js";
import { noticeOf, show } from "./notice.js";
import { Points } from "./points.js";
import { Rounds } from "./rounds.js";
import { ask, complain, part } from "./service.js";
import { follow } from "./stream.js";
import { Ranges, View } from "./view.js";

const DRAW_MS = 100;
const TABLE_MS = 1000;
const SLOW_MS = 3000;
const ROUNDS_MS = 10000; // a search that trains goes on for long between its evaluations

const id = place("state").dataset.job;
const path = `/jobs/${part(id)}`;
const view = new View();
const ranges = new Ranges(view);
const rounds = new Rounds(id, place("rounds"));
const page = { job: null, points: null, front: null, hypervolume: null, baseline: null, importance: null, archive: null, judged: 1 };

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

const showNotice = () => show(place("notice"), noticeOf(page.points, ENDED.includes(page.job.status)));

async function choose(row) {
  const number = page.points.column("number")[row];
  const { scatter } = page.front;
  scatter.mark(row);
  view.set("chosen", String(number));
  try {
    const { evaluations: [found] } = await ask(`${path}/evaluations?start=${number}&limit=1`);
    scatter.chart.say(found.error ? `Evaluation ${number} failed: ${found.error}` : `${page.front.describe(row)} `,
      found.error ? "" : element("a", { href: `${path}/networks/${found.architecture_key}` }, "Open this network"));
  } catch (error) {
    complain(error);
  }
}

async function showTable() {
  frontTable(place("front"), page.points.objectives, await ask(`${path}/front`), (number) => page.front.mark(number), (key) => `${path}/networks/${key}`);
}

async function showHypervolume() {
  const jobs = [page.job, ...(page.baseline ? [page.baseline] : [])];
  const told = await ask(`/progress?${jobs.map((job) => `job=${part(job.id)}`).join("&")}`);
  page.hypervolume.show(told.map((each, i) => ({ ...each, name: i ? `random (${jobs[i].id})` : jobs[i].name })),
    page.baseline || isRandom(page.job) ? "" : "No random search for the same is in the store to compare with.");
}

const redraw = soon(DRAW_MS, () => requestAnimationFrame(() => {
  const begun = performance.now();
  page.front.scatter.update();
  showNotice();
  showCount();
  performance.measure("update", { start: begun });
}));
const refreshTable = soon(TABLE_MS, showTable);
const refreshSlowly = soon(SLOW_MS, async () => {
  page.front.parallel.draw();
  await showHypervolume();
  showFailures(place("failures"), await ask(`${path}/failures`));
  await showRounds();
  if (page.points.rows >= 2 * page.judged) await judge();
});

const refreshRounds = soon(ROUNDS_MS, async () => {
  if (ENDED.includes(page.job.status)) return;
  refreshRounds(); // first, so that a lost connection ends nothing
  if (!document.hidden) await showRounds();
});

async function showRounds() {
  rounds.show(await ask(`${path}/rounds`));
}

// What needs all results is judged anew when there are twice as many to go by.
async function judge() {
  page.judged = Math.max(1, page.points.rows);
  page.importance.show(await ask(`${path}/importance`));
  await showArchive();
}

async function showArchive() {
  if (page.job.spec?.strategy?.name !== "map_elites") return;
  page.archive ??= new Archive(id, view);
  page.archive.show(await ask(`${path}/archive`));
  place("archive").replaceChildren(page.archive.node);
}

const askPoints = () => ask(`${path}/points`, { raw: true });

function load(content) {
  page.points = new Points(content);
  page.front = new FrontView(page.points, view, ranges, { name: id, choose });
  const { scatter, parallel } = page.front;
  place("charts").replaceChildren(scatter.chart.node);
  scatter.chart.resize();
  performance.mark("front-drawn");
  showNotice();
  page.hypervolume = new Hypervolume(id, view);
  page.importance = new Importance(id, page.points.objectives.map(({ metric }) => metric), view);
  place("charts").append(page.hypervolume.node, parallel.chart.node);
  place("importance").replaceChildren(page.importance.node);
}

async function complete() {
  await showTable();
  page.baseline = await baselineOf(page.job);
  await showHypervolume();
  showFailures(place("failures"), await ask(`${path}/failures`));
  await showRounds();
  await judge();
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
  refreshRounds();
  return complete();
}

begin().catch(complain);
