// Where a job stands.

import { element } from "./element.js";
import { duration, short } from "./numbers.js";

export const ENDED = ["SUCCEEDED", "FAILED", "CANCELLED"];

export function stateOf(job) {
  return job.paused && !ENDED.includes(job.status) ? "PAUSED" : job.status; // one that was cancelled stays paused, too
}

export function budgetOf(job) {
  return job.spec?.budget?.evaluations ?? null;
}

export function progressOf(job) {
  const budget = budgetOf(job);
  return [
    `${short(job.evaluated)}${budget ? ` of ${short(budget)}` : ""} `,
    budget ? element("progress", { value: Math.min(job.evaluated, budget), max: budget,
      "aria-label": `Evaluations of ${job.name}` }) : null,
  ];
}

export function tookSeconds(job) {
  if (!job.started_at) return null;
  return ((job.finished_at ? new Date(job.finished_at) : new Date()) - new Date(job.started_at)) / 1000;
}

export function facts(job) {
  const took = tookSeconds(job);
  const wall = job.spec?.budget?.wall_seconds;
  const rows = [["State", stateOf(job)], ["Evaluations", progressOf(job)], ["Strategy", job.spec?.strategy?.name ?? "–"],
    ["Submitted by", job.submitted_by ?? "–"], ["Space", job.spec?.space?.name ?? "–"],
    ["Time", took === null ? "–" : `${duration(took)}${wall ? `, ${duration(job.ran_seconds)} of ${duration(wall)} used` : ""}`],
    ...(job.end_reason ? [["Ended because", job.end_reason]] : []),
    ...(job.restarts.length ? [["Drivers lost", String(job.restarts.length)]] : [])];
  return element("dl", { class: "facts" }, rows.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}
