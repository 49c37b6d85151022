// All jobs: where they stand, what became of them, and what can be done.

import { element, place } from "./element.js";
import { actions } from "./job_actions.js";
import { ENDED, progressOf, stateOf } from "./job_facts.js";
import { moment, short } from "./numbers.js";
import { ask, complain, mayChange, part } from "./service.js";
import { spark } from "./spark.js";

const LIMIT = 100;
const LOOK_MS = 2000;
const QUIET_MS = 10000; // between looks where no job waits or runs, or nobody sees the page

const NAMES = ["State", "Evaluations", "Hypervolume", "Strategy", "Submitted", "Actions"];
const rows = new Map(); // job id -> what its row shows
const chosen = new Set();

function made(job) {
  const box = element("input", {
    type: "checkbox", "aria-label": `Choose ${job.id}`,
    onchange: (event) => {
      if (event.target.checked) chosen.add(job.id);
      else chosen.delete(job.id);
      place("compare").hidden = chosen.size === 0;
    },
  });
  const cells = NAMES.map((name) => element("td", { "data-name": name }));
  const name = element("td", {}, box, " ", element("a", { href: `/jobs/${part(job.id)}` }, job.name),
    element("div", { class: "quiet mono" }, job.id));
  return { row: element("tr", { "data-job": job.id }, name, ...cells), cells, shown: "", drawnAt: -1 };
}

function update(job) {
  const entry = rows.get(job.id) ?? made(job);
  rows.set(job.id, entry);
  const shown = JSON.stringify([job.status, job.paused, job.evaluated, job.error]);
  if (shown === entry.shown) return entry;
  entry.shown = shown;
  const [state, evaluations, , strategy, submitted, buttons] = entry.cells;
  const replace = (changed) => update(changed);
  state.replaceChildren(stateOf(job), job.error ? element("span", { class: "cause" }, job.error) : "");
  evaluations.replaceChildren(...progressOf(job).filter(Boolean));
  strategy.textContent = job.spec?.strategy?.name ?? "–";
  submitted.replaceChildren(moment(job.created_at), element("div", { class: "quiet" }, job.submitted_by ? `by ${job.submitted_by}` : ""));
  if (!buttons.contains(document.activeElement)) buttons.replaceChildren(...actions(job, replace).filter(Boolean));
  return entry;
}

async function drawSpark(job, entry) {
  if (entry.drawnAt === job.evaluated || !job.evaluated) return;
  entry.drawnAt = job.evaluated;
  const [told] = await ask(`/progress?job=${part(job.id)}`);
  const last = told.hypervolumes.at(-1);
  entry.cells[2].replaceChildren(last === undefined ? "–" : spark(told.numbers, told.hypervolumes, told.evaluated,
    `Hypervolume of ${job.id}: ${short(last)} after ${told.evaluated} evaluations`));
}

async function look() {
  let wait = LOOK_MS;
  try {
    const jobs = await ask(`/jobs?limit=${LIMIT}`);
    const entries = jobs.map(update);
    const body = place("jobs").querySelector("tbody");
    entries.forEach((entry, i) => {
      if (body.children[i] !== entry.row) body.insertBefore(entry.row, body.children[i] ?? null);
    });
    place("jobs").hidden = jobs.length === 0;
    const none = mayChange() ? "No jobs yet: submit one, or run `nas submit`." : "No jobs yet.";
    place("empty").textContent = jobs.length === 0 ? none
      : jobs.length === LIMIT ? `The newest ${LIMIT} jobs; the API tells the others.` : "";
    for (const [i, job] of jobs.entries()) await drawSpark(job, entries[i]);
    if (document.hidden || jobs.every(({ status }) => ENDED.includes(status))) wait = QUIET_MS;
  } catch (error) {
    complain(error);
  }
  setTimeout(look, wait);
}

place("compare").addEventListener("click", () => {
  location.assign(`/compare?${[...chosen].map((id) => `job=${part(id)}`).join("&")}`);
});

look();
